import asyncio
import errno
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from io import BytesIO

import pytest
import structlog
from typing_extensions import override

from deltaglider_proxy.telemetry.access_log import AccessLog
from deltaglider_proxy.telemetry.log_filter import parse
from deltaglider_proxy.telemetry.log_lines import LogEntry, text_line
from deltaglider_proxy.telemetry.log_ring import Unshared
from deltaglider_proxy.telemetry.log_writer import LogWriter
from deltaglider_proxy.telemetry.logs import LogFormat, Logs, get_logger
from deltaglider_proxy.telemetry.request_ids import RequestIds, bind_to_log

Line = dict[str, object]


class Captured:
    def __init__(self, text: str, log_format: LogFormat = LogFormat.JSON) -> None:
        self.stream = BytesIO()
        self.kept = Unshared()
        self.logs = Logs.start(parse(text), log_format, self.stream, self.kept)

    def lines(self) -> list[Line]:
        self.logs.stop()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    for handler in list(logging.getLogger().handlers):
        if isinstance(handler, LogWriter):
            handler.flush_and_stop(1)
            logging.getLogger().removeHandler(handler)
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()


def test_events_and_lines_of_libraries_end_in_one_stream() -> None:
    captured = Captured("deltaglider_proxy=debug,botocore=info")
    get_logger("deltaglider_proxy.test").debug("stored", key="a\nb")
    structlog.get_logger("deltaglider_proxy.other").warning("careful")
    logging.getLogger("botocore.endpoint").info("sent %s", "it")
    logging.getLogger("botocore.endpoint").debug("not wanted")
    shown = [(line["level"], line["target"], line["message"]) for line in captured.lines()]
    assert shown == [
        ("DEBUG", "deltaglider_proxy.test", "stored"),
        ("WARN", "deltaglider_proxy.other", "careful"),
        ("INFO", "botocore.endpoint", "sent it"),
    ]
    assert [entry.message for entry in captured.kept.entries] == ["stored", "careful", "sent it"]
    assert captured.logs.counts == {**dict.fromkeys(captured.logs.counts, 0), "debug": 1, "info": 1, "warn": 1}


def test_every_level_goes_where_the_filter_says() -> None:
    captured = Captured("deltaglider_proxy.a=trace,deltaglider_proxy.b=off,deltaglider_proxy=warn")
    for name in ("a", "b", "c"):
        log = get_logger(f"deltaglider_proxy.{name}")
        for level in ("trace", "debug", "info", "warning", "error", "critical"):
            getattr(log, level)(level)
    shown = [(line["target"], line["level"]) for line in captured.lines()]
    assert [level for target, level in shown if target == "deltaglider_proxy.a"] == [
        "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL",
    ]  # fmt: skip
    assert [level for target, level in shown if target == "deltaglider_proxy.c"] == ["WARN", "ERROR", "CRITICAL"]
    assert not [target for target, _ in shown if target == "deltaglider_proxy.b"]


def test_crashes_of_unmentioned_libraries_stay_visible() -> None:
    captured = Captured("deltaglider_proxy=info")
    logging.getLogger("asyncio").error("task failed")
    logging.getLogger("asyncio").warning("slow")
    assert [line["message"] for line in captured.lines()] == ["task failed"]


def test_a_swap_counts_from_the_next_line_and_undoes_the_old_filter() -> None:
    captured = Captured("deltaglider_proxy=info,deltaglider_proxy.noisy=debug")
    log = get_logger("deltaglider_proxy.noisy")
    log.debug("one")
    captured.logs.swap(parse("deltaglider_proxy=info"))
    log.debug("two")
    captured.logs.swap(parse("trace"))
    log.trace("three")
    assert [line["message"] for line in captured.lines()] == [
        "one",
        "log filter changed",
        "log filter changed",
        "three",
    ]
    assert captured.logs.filter.text == "trace"


def test_stopping_leaves_the_loggers_as_they_were() -> None:
    Captured("trace,deltaglider_proxy.engine=error").logs.stop()
    assert logging.getLogger().level == logging.WARNING
    assert logging.getLogger("deltaglider_proxy.engine").level == logging.NOTSET


def test_an_exception_brings_its_traceback() -> None:
    captured = Captured("deltaglider_proxy=info")
    log = get_logger("deltaglider_proxy.test")
    try:
        raise KeyError("absent")
    except KeyError as error:
        log.exception("first")
        kept = error
    log.error("second", exc_info=kept)
    first, second = captured.lines()
    assert "KeyError: 'absent'" in str(first["exception"])
    assert "KeyError: 'absent'" in str(second["exception"])


async def test_each_request_sees_its_own_id_also_in_lines_of_libraries() -> None:
    captured = Captured("deltaglider_proxy=info,botocore=info")
    ids = RequestIds()

    async def request(number: int) -> str:
        request_id = ids.next()
        bind_to_log(request_id)
        await asyncio.sleep(0)
        get_logger("deltaglider_proxy.test").info("ours", number=number)
        logging.getLogger("botocore").info("theirs")
        return request_id.id

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(request(number)) for number in range(3)]
    lines = captured.lines()
    assert {line["request_id"] for line in lines if line["message"] == "ours"} == {task.result() for task in tasks}
    assert {line["request_id"] for line in lines if line["message"] == "theirs"} == {task.result() for task in tasks}


def test_text_has_colour_only_on_a_terminal() -> None:
    class Terminal(BytesIO):
        @override
        def isatty(self) -> bool:
            return True

    for stream, coloured in ((BytesIO(), False), (Terminal(), True)):
        logs = Logs.start(parse("deltaglider_proxy=info"), LogFormat.TEXT, stream)
        get_logger("deltaglider_proxy.test").info("hello")
        logs.stop()
        assert (b"\x1b[" in stream.getvalue()) is coloured


def test_an_access_line() -> None:
    captured = Captured("tower_http=info")
    access = AccessLog()
    access.request_done("GET", "/b/k%20\n", 200, 12, 0.0105, "ABC", "10.0.0.1")
    access.request_done("PUT", "/b/k", 503, 0, 2.0, "ABD", "10.0.0.1")
    first, second = captured.lines()
    assert first | {"ts": ""} == {
        "ts": "",
        "level": "INFO",
        "target": "deltaglider_proxy.access",
        "message": "request",
        "method": "GET",
        "path": "/b/k%20%0A",
        "status": 200,
        "bytes": 12,
        "duration_ms": 10.5,
        "request_id": "ABC",
        "peer": "10.0.0.1",
    }
    assert second["level"] == "WARN"


def test_access_lines_can_be_off_or_failures_only() -> None:
    captured = Captured("deltaglider_proxy=debug,tower_http=warn")
    AccessLog().request_done("GET", "/", 200, 0, 0.0, "A", "p")
    AccessLog().request_done("GET", "/", 500, 0, 0.0, "B", "p")
    assert [line["request_id"] for line in captured.lines()] == ["B"]


class StuckStream(BytesIO):
    """A pipe whose reader has stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.go_on = threading.Event()

    @override
    def write(self, lines: object) -> int:
        self.entered.set()
        self.go_on.wait(10)
        assert isinstance(lines, bytes)
        return super().write(lines)


def test_a_stuck_reader_loses_lines_but_holds_up_nobody() -> None:
    stream = StuckStream()
    writer = LogWriter(stream, text_line, queue_size=5)

    def log(message: str) -> None:
        writer.handle(logging.LogRecord("t", logging.INFO, "", 0, message, None, None))

    log("first")
    assert stream.entered.wait(10)
    for number in range(25):
        log(f"line {number}")
    assert writer.dropped == 20
    stream.go_on.set()
    writer.flush_and_stop(10)
    text = stream.getvalue().decode()
    assert [f"line {number}\n" in text for number in range(6)] == [True] * 5 + [False]
    assert "log lines were dropped: stdout is too slow dropped=20" in text
    assert (writer.lost, writer.counts["warn"], writer.counts["info"]) == (20, 1, 6)


class FullDisk:
    def __init__(self) -> None:
        self.full = True
        self.kept: list[str] = []

    def keep(self, entries: Sequence[LogEntry]) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.kept += [entry.message for entry in entries]


def test_a_ring_that_cannot_be_written_is_said_once_and_loses_nothing_else() -> None:
    stream, disk = BytesIO(), FullDisk()
    writer = LogWriter(stream, text_line, disk)

    def log(message: str) -> None:
        writer.handle(logging.LogRecord("t", logging.INFO, "", 0, message, None, None))
        deadline = time.monotonic() + 10
        while message not in stream.getvalue().decode() and time.monotonic() < deadline:
            time.sleep(0.001)

    log("one")
    log("two")
    disk.full = False
    log("three")
    writer.flush_and_stop(10)
    text = stream.getvalue().decode()
    assert text.count("log lines cannot be kept for the admin API") == 1
    assert [f" {word}\n" in text for word in ("one", "two", "three")] == [True] * 3
    assert disk.kept == ["three"]


def test_a_stream_that_fails_does_not_end_logging() -> None:
    class Broken(BytesIO):
        broken = True

        @override
        def write(self, lines: object) -> int:
            if self.broken:
                raise BrokenPipeError
            assert isinstance(lines, bytes)
            return super().write(lines)

    stream = Broken()
    writer = LogWriter(stream, text_line)
    record = logging.LogRecord("t", logging.INFO, "", 0, "lost", None, None)
    writer.handle(record)
    writer.flush_and_stop(10)
    assert writer.dropped == 1


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # Python 3.12 warns of what is tested here
def test_a_forked_worker_writes_its_own_lines() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "wb", buffering=0) as raw:
        stream = BytesIO()
        writer = LogWriter(stream, text_line)
        child = os.fork()
        if child == 0:
            writer.handle(logging.LogRecord("t", logging.INFO, "", 0, "from the child", None, None))
            writer.flush_and_stop(10)
            raw.write(stream.getvalue())
            os._exit(0)
    with os.fdopen(read, "rb") as answer:
        assert b"from the child" in answer.read()
    assert os.waitpid(child, 0)[1] == 0
    writer.flush_and_stop(10)
    assert stream.getvalue() == b""
