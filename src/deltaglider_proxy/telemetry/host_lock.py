"""A file that one process of the host holds at a time (flock(2)); the kernel takes it from one that dies."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def held(path: Path, look: float) -> AsyncIterator[None]:
    """While nobody else holds it. Waiting takes no thread, for it may be long: there is a look each `look` seconds."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not try_lock(descriptor):  # noqa: ASYNC110 - it is another process that changes this
            await asyncio.sleep(look)
        yield
    finally:
        os.close(descriptor)
