"""Durations such as `30s` or `1h30m`, in the notation of Rust's humantime, which existing configurations use.

Source: https://docs.rs/humantime/latest/humantime/fn.parse_duration.html
"""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_UNITS = {
    ("ns", "nsec", "nanos"): 1,
    ("us", "usec", "micros", "µs"): 1_000,
    ("ms", "msec", "millis"): 1_000_000,
    ("s", "sec", "secs", "second", "seconds"): _SECOND,
    ("m", "min", "mins", "minute", "minutes"): 60 * _SECOND,
    ("h", "hr", "hrs", "hour", "hours"): 3600 * _SECOND,
    ("d", "day", "days"): _DAY,
    ("w", "wk", "wks", "week", "weeks"): 7 * _DAY,
    ("M", "month", "months"): 3044 * _DAY // 100,
    ("y", "yr", "yrs", "year", "years"): 36525 * _DAY // 100,
}
_NANOSECONDS = {name: size for names, size in _UNITS.items() for name in names}
_NAMES = "|".join(sorted(_NANOSECONDS, key=len, reverse=True))
_PATTERN = rf"\s*([0-9]+\s*({_NAMES})\s*)+"
_PIECE = re.compile(rf"([0-9]+)\s*({_NAMES})\s*")
_WHOLE = re.compile(_PATTERN)


def parse_duration(text: str) -> timedelta:
    """Raises ValueError. What is below a microsecond is cut off."""
    if not _WHOLE.fullmatch(text):
        raise ValueError("must be a duration such as 30s, 5m, 1h30m or 7d")
    try:
        return timedelta(
            microseconds=sum(int(count) * _NANOSECONDS[unit] for count, unit in _PIECE.findall(text)) // 1000
        )
    except OverflowError:
        raise ValueError("this duration is too long; the longest is about 2.7 million years") from None


def format_duration(duration: timedelta) -> str:
    """The shortest text, in weeks to microseconds, that parses to the same duration."""
    left = duration // timedelta(microseconds=1)
    text = ""
    for unit, size in (("w", 604_800_000_000), ("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000)):
        if left % size == 0 and left and not text:
            return f"{left // size}{unit}"
    for unit, size in (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1)):
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _validate(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError("must be a duration such as 30s or 5m; a number needs its unit")


Duration = Annotated[
    timedelta,
    PlainValidator(_validate, json_schema_input_type=str),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_PATTERN}$"}),
]
