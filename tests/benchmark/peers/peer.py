"""What the peers in Python have in common: a round, told by a line of the input."""
import json
import os
import sys
import threading
import time

SQL = os.environ.get("BENCHMARK_STATEMENT", "select 1")
COLD = "BENCHMARK_COLD" in os.environ


def play(make):
    """`make(slots, url)` opens a pool, and returns what acquires, what releases, and what is done with a connection."""
    url = sys.argv[1] if len(sys.argv) > 1 else None
    for line in sys.stdin:
        threads, slots, held, steps, sleep, seconds = (float(word) for word in line.split())
        if steps:  # one of Python's takes as long as some fifty of the others'
            print("{}", flush=True)
            continue
        threads, holds = int(threads), sleep > 0 or url
        acquire, release, statement, close = make(int(slots), url)
        holders = [acquire() for _ in range(int(held))]
        ready, over = threading.Barrier(threads + 1), threading.Event()
        cycles, waits, ended = [0] * threads, [[] for _ in range(threads)], [0.0] * threads

        def run(place):
            count, mine = 0, waits[place]
            ready.wait()
            while not over.is_set():
                asked = time.perf_counter_ns()
                connection = acquire()
                if holds or count % 1024 == 0:
                    mine.append(time.perf_counter_ns() - asked)
                if url:
                    statement(connection)
                if sleep:
                    time.sleep(sleep / 1e6)
                release(connection)
                count += 1
            ended[place] = time.perf_counter()
            cycles[place] = count

        all_of_them = [threading.Thread(target=run, args=(place,)) for place in range(threads)]
        for each in all_of_them:
            each.start()
        ready.wait()
        begun, used = time.perf_counter(), time.process_time()
        time.sleep(seconds)
        over.set()
        for each in all_of_them:
            each.join()
        used = time.process_time() - used
        for each in holders:
            release(each)
        close()
        print(json.dumps({"seconds": max(ended) - begun, "processor": used, "ended": [each - begun for each in ended], "cycles": cycles, "waits": sum(waits, [])}), flush=True)
