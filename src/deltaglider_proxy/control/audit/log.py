"""Writes the audit log of one process, in batches, in a thread of its own.

What must be known for sure before an answer is given is waited for; what happens a thousand times a second is noted,
and on the disk half a second later. Nothing is dropped in silence.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import structlog

from deltaglider_proxy.control.audit.allowance import Allowance
from deltaglider_proxy.control.audit.record import Outcome, Record
from deltaglider_proxy.control.audit.segments import Segments
from deltaglider_proxy.telemetry.clock import Clock

_BATCH_SECONDS: Final = 0.25
_MOST_WAITING: Final = 20_000
"""Notes that wait to be written; more are dropped, and said to be."""
_QUIET: Final = 60.0

_lines = structlog.get_logger("deltaglider_proxy.audit")


class AuditUnavailable(Exception):
    """The record could not be written, so what it tells of must not happen."""


@dataclass(slots=True)
class _Entry:
    record: Record
    at: float
    done: Future[None] | None


class AuditLog:
    def __init__(self, segments: Segments, node: str, clock: Clock, on_drop: Callable[[int], None]) -> None:
        """Make it after any fork."""
        self._segments = segments
        self._node = node
        self._clock = clock
        self._on_drop = on_drop
        self._waiting: deque[_Entry] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._complained = -_QUIET
        self._allowances: dict[str, Allowance] = {}
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    async def write(self, record: Record) -> None:
        """Returns when it is on the disk. Raises AuditUnavailable."""
        done: Future[None] = Future()
        self._add(_Entry(record, self._clock.now(), done))
        await asyncio.wrap_future(done)

    def note(self, record: Record, *, anyones: bool = False) -> None:
        """Waits for nothing. `anyones`: no right is needed to cause it, so of very many a part is counted only, and all
        are in the log stream.
        """
        if anyones:
            now = self._clock.monotonic()
            allowance = self._allowances.setdefault(record.action, Allowance(now))
            if not allowance.takes(now):
                _lines.info(record.line())
                return
            self._tell_left_out(record.action, allowance)
        if len(self._waiting) >= _MOST_WAITING:
            self._dropped(1)
            return
        self._add(_Entry(record, self._clock.now(), None))

    def _tell_left_out(self, action: str, allowance: Allowance) -> None:
        if count := allowance.left_out():
            self.note(Record("audit_left_out", Outcome.OK, "system", target=action, details={"records": count}))

    def close(self) -> None:
        """Writes what waits."""
        for action, allowance in self._allowances.items():
            self._tell_left_out(action, allowance)
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._segments.close()

    def _add(self, entry: _Entry) -> None:
        # What cannot be written down is the caller's error, and must not reach the thread that writes for all.
        entry.record.document(0, entry.at, self._node)
        _lines.info(entry.record.line())
        with self._wake:
            self._waiting.append(entry)
            if entry.done is not None:
                self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._closing and not any(entry.done is not None for entry in self._waiting):
                    self._wake.wait(_BATCH_SECONDS)
                batch = list(self._waiting)
                self._waiting.clear()
                ending = self._closing
            if batch:
                self._write_all(batch)
            if ending and not self._waiting:
                return

    def _write_all(self, batch: list[_Entry]) -> None:
        try:
            cut = self._segments.append([self._numbered(entry) for entry in batch])
            if cut:
                details = {"bytes": cut}
                recovered = _Entry(
                    Record("audit_recovered", Outcome.OK, "system", details=details), self._clock.now(), None
                )
                self._segments.append([self._numbered(recovered)])
        except OSError as error:
            self._dropped(sum(entry.done is None for entry in batch), error)
            for entry in batch:
                # A caller that was cancelled waits no more, and setting its result would end this thread.
                if entry.done is not None and entry.done.set_running_or_notify_cancel():
                    unavailable = AuditUnavailable(f"the audit log cannot be written: {error.strerror}")
                    unavailable.__cause__ = error
                    entry.done.set_exception(unavailable)
            return
        for entry in batch:
            if entry.done is not None and entry.done.set_running_or_notify_cancel():
                entry.done.set_result(None)

    def _numbered(self, entry: _Entry) -> Callable[[int], bytes]:
        return lambda number: entry.record.document(number, entry.at, self._node)

    def _dropped(self, records: int, error: OSError | None = None) -> None:
        if records:
            self._on_drop(records)
        now = self._clock.monotonic()
        if now - self._complained >= _QUIET:
            self._complained = now
            _lines.error("audit records are lost", reason=error.strerror if error is not None else "too many at once")
