"""psycopg_pool, as its defaults are. See ./run for what it reads and prints."""
# package: python3-psycopg-pool python3-psycopg
import asyncio
import sys
import time

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests


async def main(url, size):
    callers = [tuple(map(float, line.split())) for line in sys.stdin]
    async with AsyncConnectionPool(url, min_size=size, max_size=size) as pool:
        await pool.wait()
        begun = time.monotonic()

        async def call(came, hold):
            asked = granted = time.monotonic()
            fate = "served"
            try:
                async with pool.connection() as connection:
                    granted = time.monotonic()
                    await connection.execute("select pg_sleep(%s)", (hold,))
            except (PoolTimeout, TooManyRequests):
                fate = "timed_out"
            except psycopg.Error:
                fate = "failed"
            ended = time.monotonic()
            return f"{came} {granted - asked} {ended - granted} {fate}"

        tasks = []
        for came, hold in callers:
            await asyncio.sleep(max(begun + came - time.monotonic(), 0))
            tasks.append(asyncio.create_task(call(came, hold)))
        print("\n".join(await asyncio.gather(*tasks)))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
