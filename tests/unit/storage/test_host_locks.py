"""Names are held by one at a time, in this process and in others, and end with their holder."""

import asyncio
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from deltaglider_proxy.storage.host_locks import HostLocks


async def test_tasks_of_one_process_take_turns(tmp_path: Path) -> None:
    locks = HostLocks(tmp_path / "locks")
    inside = 0

    async def one() -> None:
        nonlocal inside
        async with locks.hold("name"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(one() for _ in range(20)))


async def test_names_are_apart(tmp_path: Path) -> None:
    locks, others = HostLocks(tmp_path / "locks"), HostLocks(tmp_path / "locks")
    async with locks.hold("one"), asyncio.timeout(5), others.hold("two"):
        pass


async def test_processes_exclude_each_other(tmp_path: Path) -> None:
    """Each `HostLocks` stands for a process: the locks belong to open files."""
    one, other = HostLocks(tmp_path / "locks"), HostLocks(tmp_path / "locks")
    async with one.hold("name"):
        with pytest.raises(TimeoutError):
            async with other.hold("name", patience=0.01):
                raise AssertionError
    async with other.hold("name", patience=5):
        pass


async def test_an_error_and_a_cancellation_end_the_hold(tmp_path: Path) -> None:
    one, other = HostLocks(tmp_path / "locks"), HostLocks(tmp_path / "locks")
    with pytest.raises(ZeroDivisionError):
        async with one.hold("name"):
            raise ZeroDivisionError

    async def forever() -> None:
        async with one.hold("name"):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(forever())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    async with other.hold("name", patience=5), asyncio.timeout(5):
        pass


def _hold_for_ever(path: Path, said: Connection) -> None:
    async def hold() -> None:
        async with HostLocks(path).hold("name"):
            said.send("held")
            await asyncio.Event().wait()

    asyncio.run(hold())


async def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    hears, says = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_hold_for_ever, args=(tmp_path / "locks", says))
    process.start()
    try:
        assert hears.poll(60)
        assert hears.recv() == "held"
        locks = HostLocks(tmp_path / "locks")
        with pytest.raises(TimeoutError):
            async with locks.hold("name", patience=0.01):
                raise AssertionError
        process.kill()
        async with locks.hold("name", patience=30):
            pass
    finally:
        process.kill()
        process.join()
