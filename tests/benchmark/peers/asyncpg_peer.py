# name: asyncpg
# kind: fair
# does: statements coroutines
# package: python3-asyncpg
import asyncio
import json
import os
import sys
import time

import asyncpg

SQL = os.environ.get("BENCHMARK_STATEMENT", "select 1")
COLD = "BENCHMARK_COLD" in os.environ


async def play(tasks, slots, seconds):
    cycles, waits, after = [0] * tasks, [], [0.0] * tasks
    async with asyncpg.create_pool(sys.argv[1], min_size=0 if COLD else slots, max_size=slots) as pool:
        ended = time.perf_counter() + seconds

        async def run(place):
            while time.perf_counter() < ended:
                asked = time.perf_counter_ns()
                async with pool.acquire() as connection:
                    waits.append(time.perf_counter_ns() - asked)
                    await connection.fetchval(SQL)
                cycles[place] += 1
            after[place] = time.perf_counter() - begun

        begun, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(run(place) for place in range(tasks)))
        return {"seconds": time.perf_counter() - begun, "processor": time.process_time() - used, "ended": after, "cycles": cycles, "waits": waits}


for line in sys.stdin:
    tasks, slots, _, _, _, seconds = line.split()
    print(json.dumps(asyncio.run(play(int(tasks), int(slots), float(seconds)))), flush=True)
