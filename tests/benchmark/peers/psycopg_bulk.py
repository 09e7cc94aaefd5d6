# name: psycopg
# kind: peer
# does: bulk
# tasks: read copy_out copy_in pipeline
# package: python3-psycopg
import datetime
import sys
import time

import psycopg

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)
INSERT = "insert into into_bulk values (%s, %s, %s, %s)"


def rows(count):
    begin = EPOCH + datetime.timedelta(microseconds=1_700_000_000_000_000)
    return [(i, f"name {i % 1000}", begin + i * 1_234_567 * MICROSECOND, i / 8) for i in range(count)]


def total(some):
    return sum(id + len(name) + (at - EPOCH) // MICROSECOND % 1000 + value for id, name, at, value in some)


def do(task, connection, data):
    with connection.cursor() as cursor:
        if task == "read":
            return total(cursor.execute("select id, name, at, value from bulk"))
        if task == "copy_out":
            with cursor.copy("copy bulk to stdout") as copy:
                copy.set_types(["int4", "text", "timestamptz", "float8"])
                return total(copy.rows())
        if task == "copy_in":
            with cursor.copy("copy into_bulk from stdin") as copy:
                for row in data:
                    copy.write_row(row)
        if task == "pipeline":
            for begin in range(0, len(data), 1000):
                cursor.executemany(INSERT, data[begin : begin + 1000])
        return len(data)


with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    data = []
    for line in sys.stdin:
        task, count = line.split()
        if len(data) != int(count):
            data = rows(int(count))
        used = time.process_time()
        outcome = do(task, connection, data)
        print(repr(float(outcome)), time.process_time() - used, flush=True)
