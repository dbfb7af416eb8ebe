"""The log of this process: structlog events and the lines of libraries, filtered once, written by one thread.

A filter becomes levels of stdlib loggers, because loggers remember what is enabled: a line that is off costs a
dictionary lookup. Nothing else in the package configures logging.
"""

import logging
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import BinaryIO, cast

import structlog
from structlog.types import EventDict, WrappedLogger

from deltaglider_proxy.telemetry.log_filter import ERROR, OFF, ROOT, TRACE, LogFilter
from deltaglider_proxy.telemetry.log_lines import Renderer, colour_line, json_line, text_line
from deltaglider_proxy.telemetry.log_ring import Keeper
from deltaglider_proxy.telemetry.log_writer import LogWriter

STOP_SECONDS = 2.0


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class Logger(structlog.BoundLoggerBase):
    """What `get_logger` returns. Fields are keyword arguments; an event is a constant sentence without values in it."""

    def trace(self, event: str, **fields: object) -> None:
        self._log(TRACE, "trace", event, fields)

    def debug(self, event: str, **fields: object) -> None:
        self._log(logging.DEBUG, "debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._log(logging.INFO, "info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._log(logging.WARNING, "warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._log(logging.ERROR, "error", event, fields)

    def critical(self, event: str, **fields: object) -> None:
        self._log(logging.CRITICAL, "critical", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """An error with the traceback of the exception that is being handled."""
        self._log(logging.ERROR, "error", event, {"exc_info": True} | fields)

    def enabled(self, level: int) -> bool:
        return bool(self._logger.isEnabledFor(level))

    def _log(self, level: int, method: str, event: str, fields: Mapping[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        try:
            arguments, keywords = self._process_event(method, event, dict(fields))
        except structlog.DropEvent:
            return
        logger: logging.Logger = self._logger
        # Not through `log`, which walks the stack for the caller's line: nothing shows it, and it costs most of a call.
        logger.handle(logger.makeRecord(logger.name, level, "", 0, *arguments, **keywords))


def get_logger(name: str) -> Logger:
    """The logger of a module; it follows `Logs.start` and later filters even if it was made before them."""
    return cast("Logger", structlog.get_logger(name))


def _to_record(_logger: WrappedLogger, _method: str, event: EventDict) -> tuple[tuple[object, ...], dict[str, object]]:
    """Arguments of `logging.Logger.makeRecord` from the message on."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        error = (type(error), error, error.__traceback__)
    elif error is True:
        error = sys.exc_info()
    message = str(event.pop("event"))
    return (message, (), error or None), {"extra": {"fields": event, "structured": True}}


class Logs:
    """Logging of this process from `start` to `stop`; there is one at a time, because loggers are global."""

    def __init__(self, writer: LogWriter, log_filter: LogFilter) -> None:
        self._writer = writer
        self._filter = log_filter

    @classmethod
    def start(
        cls,
        log_filter: LogFilter,
        log_format: LogFormat = LogFormat.TEXT,
        stream: BinaryIO | None = None,
        keeper: Keeper | None = None,
    ) -> "Logs":
        """Send what passes the filter to `stream` (stdout) and `keeper`. Call once per worker process too."""
        output = sys.stdout.buffer if stream is None else stream
        writer = LogWriter(output, _renderer(log_format, output), keeper)
        logging.addLevelName(TRACE, "TRACE")
        root = logging.getLogger()
        for handler in [handler for handler in root.handlers if isinstance(handler, LogWriter)]:
            handler.flush_and_stop(STOP_SECONDS)
            root.removeHandler(handler)
        root.addHandler(writer)
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, _to_record],
            wrapper_class=Logger,
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=True,
        )
        _apply(log_filter, None)
        return cls(writer, log_filter)

    @property
    def filter(self) -> LogFilter:
        return self._filter

    @property
    def counts(self) -> Mapping[str, int]:
        """Lines of this process so far, by level in lower case."""
        return self._writer.counts

    @property
    def lost(self) -> int:
        """Lines of this process that were dropped, because stdout was too slow."""
        return self._writer.lost + self._writer.dropped

    def swap(self, log_filter: LogFilter) -> None:
        """Use another filter from the next line on."""
        previous, self._filter = self._filter, log_filter
        _apply(log_filter, previous)
        get_logger(f"{ROOT}.log").info("log filter changed", filter=log_filter.text, previous=previous.text)

    def stop(self) -> None:
        """Write what is queued, waiting at most two seconds for a stuck stdout; loggers are as before `start`."""
        root = logging.getLogger()
        root.removeHandler(self._writer)
        root.setLevel(logging.WARNING)
        for name in (ROOT, *self._filter.targets):
            logging.getLogger(name).setLevel(logging.NOTSET)
        self._writer.flush_and_stop(STOP_SECONDS)


def _renderer(log_format: LogFormat, stream: BinaryIO) -> Renderer:
    match log_format:
        case LogFormat.JSON:
            return json_line
        case LogFormat.TEXT:
            return colour_line if stream.isatty() else text_line


def _apply(log_filter: LogFilter, previous: LogFilter | None) -> None:
    """Loggers inherit along the same dots that a filter matches along, so levels say all that it says.

    Wider levels come before narrower ones, and what inherits last: while the levels change one by one, no line is lost
    that both filters want.
    """
    levels = {ROOT: log_filter.level_for(ROOT), **log_filter.targets}
    levels[""] = ERROR if log_filter.everything is None else log_filter.everything
    if previous is not None:
        for name in previous.targets:
            levels.setdefault(name, logging.NOTSET)
    for name, level in sorted(levels.items(), key=lambda pair: pair[1] or OFF + 1):
        logging.getLogger(name or None).setLevel(level)
