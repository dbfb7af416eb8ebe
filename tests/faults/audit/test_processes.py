"""Several processes write one log and are killed in the middle of it."""

import asyncio
import multiprocessing
import os
import random
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

from deltaglider_proxy.control.audit.log import AuditLog
from deltaglider_proxy.control.audit.record import Record
from deltaglider_proxy.control.audit.search import Query, matching
from deltaglider_proxy.control.audit.segments import Segments
from deltaglider_proxy.telemetry.clock import SystemClock

KEY = b"k" * 32


def write_for_ever(directory: Path, name: str, acknowledged: Path, started: Event) -> None:
    async def run() -> None:
        log = AuditLog(Segments(directory, KEY, 1 << 30, 4000), "n", SystemClock(), lambda _: None)
        number = 0
        with acknowledged.open("ab", buffering=0) as file:
            while True:
                log.note(Record("s3_put", user=name, target=f"note {number}"))
                await log.write(Record("login", user=name, target=str(number)))
                file.write(b"%d\n" % number)
                number += 1
                started.set()

    asyncio.run(run())


def test_what_was_acknowledged_is_there_and_the_chain_is_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    chance = random.Random(7)
    directory = tmp_path / "audit"
    for round_ in range(3):
        started = [context.Event() for _ in range(3)]
        writers = [
            context.Process(
                target=write_for_ever, args=(directory, f"{round_}-{n}", tmp_path / f"{round_}-{n}", started[n])
            )
            for n in range(3)
        ]
        for writer in writers:
            writer.start()
        for event in started:
            assert event.wait(60)
        for writer in chance.sample(writers, 3):
            assert writer.pid is not None
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
    found = {(entry["user"], entry["target"]) for entry in matching(directory, Query(action="login"))}
    for path in tmp_path.glob("?-?"):
        for line in path.read_text().splitlines():
            assert (path.name, line) in found
    segments = Segments(directory, KEY, 1 << 30)
    segments.append([lambda number: Record("login").document(number, 0.0, "n")])
    assert segments.verify() is None
    numbers = [entry["seq"] for entry in matching(directory, Query())]
    assert numbers == list(range(len(numbers), 0, -1))
    segments.close()
