import asyncio

import pytest
import structlog

from deltaglider_proxy.telemetry.tasks import kept_going


async def test_work_that_fails_is_begun_again_and_the_log_says_so() -> None:
    begun: list[int] = []
    pauses: list[float] = []

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise ValueError("no luck")

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    with structlog.testing.capture_logs() as lines:
        await kept_going("luck", work, pause)
    assert (begun, pauses) == ([0, 1, 2], [5.0, 5.0])
    assert [(line["task"], line["log_level"]) for line in lines] == [("luck", "error")] * 2


async def test_work_that_is_cancelled_stays_so() -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        await asyncio.Event().wait()

    task = asyncio.get_running_loop().create_task(kept_going("w", work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert begun == 1
