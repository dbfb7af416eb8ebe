"""Writes log lines in a thread of its own, so that a slow terminal or a full pipe never holds up a request.

The queue is bounded: when the reader of stdout stops reading, lines are dropped and counted, and the count is written
as soon as somebody reads again. Memory and latency of the server do not depend on who reads its log.
"""

import logging
import os
import queue
import threading
from typing import BinaryIO

import structlog
from typing_extensions import override

from deltaglider_proxy.telemetry.log_lines import LEVEL_NAMES, LogEntry, Renderer, entry_of
from deltaglider_proxy.telemetry.log_ring import Keeper

QUEUE_SIZE = 10_000
_BATCH = 500
_GATHER = 0.02
"""Seconds during which lines are gathered before they are written."""

_Item = logging.LogRecord | None


class LogWriter(logging.Handler):
    """A handler whose `emit` only enqueues. After a fork the child writes through a thread of its own."""

    def __init__(
        self, stream: BinaryIO, render: Renderer, keeper: Keeper | None = None, queue_size: int = QUEUE_SIZE
    ) -> None:
        super().__init__()
        self._stream = stream
        self._render = render
        self._keeper = keeper
        self._keeping = True
        self._queue_size = queue_size
        self._closed = False
        self._pause = threading.Event()
        """Set when the writer is to end: then nothing is gathered any more."""
        self.dropped = 0
        """Lines lost and not reported yet."""
        self.lost = 0
        """Lines lost and reported."""
        self.counts = {name.lower(): 0 for _, name in LEVEL_NAMES}
        """Lines written so far, by level."""
        self._start()
        os.register_at_fork(after_in_child=self._after_fork)

    def _start(self) -> None:
        self._queue: queue.Queue[_Item] = queue.Queue(self._queue_size)
        self._thread = threading.Thread(target=self._run, args=(self._queue,), name="log-writer", daemon=True)
        self._thread.start()

    def _after_fork(self) -> None:
        if not self._closed:
            self._start()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if not hasattr(record, "fields"):
            # Lines of libraries belong to a request as well, and only this thread knows to which.
            record.fields = structlog.contextvars.get_contextvars()
            record.msg, record.args = record.getMessage(), None
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def flush_and_stop(self, seconds: float) -> None:
        """Write what is queued, but wait for a stuck reader no longer than `seconds`. Later lines are lost."""
        if self._closed:
            return
        self._closed = True
        self._pause.set()
        try:
            self._queue.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _run(self, records: queue.Queue[_Item]) -> None:
        ending = False
        while not ending:
            batch = [records.get()]
            if batch[0] is not None:
                # Waking for each line would take the interpreter away from requests once per line.
                self._pause.wait(_GATHER)
            while len(batch) < _BATCH and not records.empty():
                batch.append(records.get_nowait())
            ending = None in batch
            entries = [entry_of(record) for record in batch if record is not None]
            if self.dropped:
                entries.append(self._dropped_entry())
            for entry in entries:
                self.counts[entry.level_name.lower()] += 1
            self._write(b"".join(map(self._render, entries)))
            self._keep(entries)

    def _keep(self, entries: list[LogEntry]) -> None:
        if self._keeper is None:
            return
        try:
            self._keeper.keep(entries)
        except OSError as error:
            # Most likely the disk is full, and will be for a while: said once, not per line.
            if self._keeping:
                self._write(self._render(_own_entry("log lines cannot be kept for the admin API", reason=str(error))))
            self._keeping = False
        else:
            self._keeping = True

    def _dropped_entry(self) -> LogEntry:
        dropped, self.dropped = self.dropped, 0
        self.lost += dropped
        return _own_entry("log lines were dropped: stdout is too slow", dropped=dropped)

    def _write(self, lines: bytes) -> None:
        try:
            self._stream.write(lines)
            self._stream.flush()
        except (OSError, ValueError):
            # There is nowhere left to say that stdout is gone; the count shows in the log if it comes back.
            self.dropped += lines.count(b"\n")


def _own_entry(message: str, **fields: str | int) -> LogEntry:
    record = logging.LogRecord("deltaglider_proxy.log", logging.WARNING, __file__, 0, message, None, None)
    record.fields = fields
    return entry_of(record)
