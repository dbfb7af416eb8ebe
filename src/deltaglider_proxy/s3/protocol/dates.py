"""Times as HTTP and XML write them. S3 shows whole seconds everywhere, so a time from a listing equals the one of a
HEAD. Formatting is cached by second or by day: it is on the path of every small GET. Source: RFC 9110 section 5.6.7.
"""

import time
from datetime import UTC, datetime
from email.utils import parsedate_tz
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TWO = tuple(f"{n:02d}" for n in range(60))


def http_date(seconds: float) -> str:
    return _http_date(int(seconds))


@lru_cache(8192)
def _http_date(seconds: int) -> str:
    t = time.gmtime(seconds)
    clock = f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
    return f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04d} {clock} GMT"


def iso_date(seconds: float) -> str:
    """`2009-10-12T17:50:30.000Z`"""
    day, rest = divmod(int(seconds), 86400)
    hour, rest = divmod(rest, 3600)
    minute, second = divmod(rest, 60)
    return f"{_day(day)}T{_TWO[hour]}:{_TWO[minute]}:{_TWO[second]}.000Z"


@lru_cache(1024)
def _day(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * 86400))


def parse_http_date(text: str) -> int | None:
    """Seconds since the epoch; None for what is no date, which RFC 9110 says to ignore in conditions."""
    fields = parsedate_tz(text)
    if fields is None:
        return None
    try:
        moment = datetime(*fields[:6], tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) - (fields[9] or 0)


def parse_iso(text: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 time with a zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None
