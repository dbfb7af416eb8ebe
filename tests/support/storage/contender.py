"""A process that works on a root at the same time as others: `python -m tests.support.storage.contender ROOT WORK N`.

`count` adds 1 to the object `counter` N times by compare-and-swap; `claim` tries to be the first at N keys and prints
how often it was; `churn` puts, deletes and lists keys that begin with its process id.
"""

import asyncio
import os
import sys
from pathlib import Path

from deltaglider_proxy.storage.backend import IfAbsent, IfMatch
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.errors import ConditionFailed
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.objects import BUCKET, get, keys, put


async def count(backend: FilesystemBackend, times: int) -> int:
    async def add() -> None:
        while True:
            current = await backend.head(BUCKET, "counter")
            assert current.metadata is not None
            value = str(int(current.metadata["n"]) + 1)
            try:
                await put(backend, "counter", value.encode(), {"n": value}, IfMatch(current.etag))
            except ConditionFailed:
                continue
            return

    for _ in range(0, times, 5):
        await asyncio.gather(*(add() for _ in range(5)))
    return times


async def claim(backend: FilesystemBackend, times: int) -> int:
    won = 0
    for number in range(times):
        key = f"claims/{number // 10}/{number}"
        try:
            await put(backend, key, str(os.getpid()).encode(), condition=IfAbsent())
            won += 1
            assert await get(backend, key) == str(os.getpid()).encode()
        except ConditionFailed:
            continue
    return won


async def churn(backend: FilesystemBackend, times: int) -> int:
    mine = f"shared/{os.getpid()}"
    for number in range(times):
        key = f"{mine}/{number}"
        await put(backend, key, key.encode())
        assert await get(backend, key) == key.encode()
        assert [key] == [found for found in await keys(backend) if found.startswith(mine)]
        assert await backend.delete(BUCKET, key)
    return times


async def main() -> None:
    root, work, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    pool = Pool(2)
    backend = FilesystemBackend(root, pool, SystemClock(), fsync=False)
    print(await {"count": count, "claim": claim, "churn": churn}[work](backend, times))
    await backend.close()
    pool.close()


if __name__ == "__main__":
    asyncio.run(main())
