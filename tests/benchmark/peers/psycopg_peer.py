# name: psycopg_pool
# kind: fair
# does: pool statements
# package: python3-psycopg python3-psycopg-pool
import peer
import psycopg
import psycopg_pool


class Stub:
    closed, autocommit = False, True

    class pgconn:
        transaction_status, status = psycopg.pq.TransactionStatus.IDLE, psycopg.pq.ConnStatus.OK

    connect = classmethod(lambda cls, conninfo, **more: cls())
    close = lambda self: None


def make(slots, url):
    which = {"kwargs": {"autocommit": True, "prepare_threshold": 0}} if url else {"connection_class": Stub}
    pool = psycopg_pool.ConnectionPool(url or "", min_size=4 if peer.COLD else slots, max_size=slots, **which)
    if not peer.COLD:
        pool.wait(60)
    return pool.getconn, pool.putconn, lambda connection: connection.execute(peer.SQL).fetchone(), pool.close


peer.play(make)
