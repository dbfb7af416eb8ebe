import asyncio

import pytest

from deltaglider_proxy.telemetry.question import Question


class Slow:
    def __init__(self) -> None:
        self.asked = 0
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.asked += 1
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return self.asked


async def test_an_answer_is_that_of_the_question() -> None:
    slow = Slow()
    slow.go_on.set()
    question = Question("q", slow)
    assert [await question.answer(5), await question.answer(5)] == [1, 2]


async def test_what_hangs_is_asked_once_and_its_answer_is_for_those_who_wait_then() -> None:
    slow = Slow()
    question = Question("the backend", slow)
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"the backend: no answer within 0\.01 s"):
            await question.answer(0.01)
    assert slow.asked == 1
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(question.answer(5)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        slow.go_on.set()
    assert [task.result() for task in waiting[1:]] == [1, 1]
    assert await question.answer(5) == 2


async def test_an_error_is_told_to_all_who_wait_and_to_nobody_else() -> None:
    slow = Slow()
    slow.error = OSError("gone")
    question = Question("q", slow)
    with pytest.raises(TimeoutError):
        await question.answer(0.01)
    slow.go_on.set()
    results = await asyncio.gather(*(question.answer(5) for _ in range(2)), return_exceptions=True)
    assert results == [slow.error] * 2
    slow.error = None
    assert await question.answer(5) == slow.asked
