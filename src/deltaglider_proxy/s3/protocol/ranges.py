"""Which bytes of an object a request is about. S3 serves one range; several, or what is no range of bytes, it ignores.

Source: RFC 9110 section 14; ranges are (start, stop) with stop exclusive everywhere inside.
"""

import re
from collections.abc import Sequence

from deltaglider_proxy.s3.protocol.errors import Code, S3Error

_RANGE = re.compile(r"bytes=(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))", re.ASCII | re.IGNORECASE)
_COPY_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{1,19})", re.ASCII)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """None: the whole object. Raises InvalidRange, with the size, for a range that lies behind the end."""
    if header is None:
        return None
    match = _RANGE.fullmatch(header)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
    else:
        start = int(first)
        stop = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise _unsatisfiable(header, size)
    return start, stop


def parse_part_range(number: int, part_sizes: Sequence[int], size: int) -> tuple[int, int]:
    """The bytes of one part; an object that was not uploaded in parts is its own part 1.

    Raises InvalidPartNumber.
    """
    if not part_sizes and number == 1:
        return 0, size
    if number > len(part_sizes):
        raise S3Error(
            Code.InvalidPartNumber,
            fields={"PartNumberRequested": str(number), "ActualPartCount": str(max(1, len(part_sizes)))},
            headers={"content-range": f"bytes */{size}"},
        )
    start = sum(part_sizes[: number - 1])
    return start, start + part_sizes[number - 1]


def parse_copy_range(header: str | None, size: int) -> tuple[int, int] | None:
    """`x-amz-copy-source-range`: both ends must be there and inside. None: the whole source.

    Raises InvalidArgument, InvalidRange.
    """
    if header is None:
        return None
    match = _COPY_RANGE.fullmatch(header)
    if match is None or int(match[2]) < int(match[1]):
        raise S3Error(
            Code.InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            {"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header},
        )
    if int(match[2]) >= size:
        raise _unsatisfiable(header, size)
    return int(match[1]), int(match[2]) + 1


def content_range(start: int, stop: int, size: int) -> str:
    return f"bytes {start}-{stop - 1}/{size}"


def _unsatisfiable(asked: str, size: int) -> S3Error:
    return S3Error(
        Code.InvalidRange,
        fields={"RangeRequested": asked, "ActualObjectSize": str(size)},
        headers={"content-range": f"bytes */{size}"},
    )
