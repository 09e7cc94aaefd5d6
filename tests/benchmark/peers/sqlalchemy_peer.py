# name: SQLAlchemy QueuePool
# kind: barges
# does: pool statements
# package: python3-sqlalchemy python3-psycopg2
import peer
import sqlalchemy.pool


class Stub:
    rollback = commit = close = lambda self: None


def select_one(connection):
    with connection.cursor() as cursor:
        cursor.execute(peer.SQL)
        cursor.fetchone()


def make(slots, url):
    create = Stub
    if url:
        import psycopg2

        create = lambda: psycopg2.connect(url)
    pool = sqlalchemy.pool.QueuePool(create, pool_size=slots, max_overflow=0, timeout=30)
    for each in [pool.connect() for _ in range(0 if peer.COLD else slots)]:
        each.close()
    return pool.connect, lambda connection: connection.close(), select_one, pool.dispose


peer.play(make)
