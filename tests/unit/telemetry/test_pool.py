"""The pool of threads that everything slow runs in."""

import threading
from collections.abc import Iterator

import pytest

from deltaglider_proxy.telemetry.pool import Pool


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(5, "mine")
    yield made
    made.close()


async def test_no_thread_is_started_once_it_is_in_use(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(thread.name.startswith("mine") for thread in threading.enumerate()) == 5

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    together = threading.Barrier(5)
    jobs = [pool.submit(together.wait, 10) for _ in range(5)]
    assert sorted([await pool.wait(job) for job in jobs]) == [0, 1, 2, 3, 4]
    assert await pool.run(len, "four") == 4


def test_its_threads_end_with_it() -> None:
    pool = Pool(3, "brief")
    pool.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("brief")]


def test_a_system_without_threads_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def only_some(thread: threading.Thread) -> None:
        if thread.name.endswith("_3"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", only_some)
    with pytest.raises(RuntimeError, match="new thread"):
        Pool(5, "few")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("few")]
