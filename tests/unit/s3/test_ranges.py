import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.ranges import content_range, parse_copy_range, parse_part_range, parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=5-", (5, 10)),
        ("bytes=9-9", (9, 10)),
        ("bytes=0-99999999999", (0, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("Bytes=1-2", (1, 3)),
        ("bytes=2-1", None),
        ("bytes=0-1,3-4", None),
        ("bytes=a-b", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes 0-1", None),
        ("items=0-1", None),
        ("bytes=0-1x", None),
        ("bytes=١-٢", None),
        ("", None),
    ],
)
def test_range_of_ten_bytes(header: str | None, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-5", 0)]
)
def test_behind_the_end(header: str, size: int) -> None:
    with pytest.raises(S3Error) as caught:
        parse_range(header, size)
    error = caught.value
    assert error.code is Code.InvalidRange
    assert error.headers["content-range"] == f"bytes */{size}"
    assert error.fields == {"RangeRequested": header, "ActualObjectSize": str(size)}


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_what_slicing_says(size: int, first: int, last: int) -> None:
    data = bytes(range(size))
    if first >= size and last >= first:
        with pytest.raises(S3Error):
            parse_range(f"bytes={first}-{last}", size)
        return
    found = parse_range(f"bytes={first}-{last}", size)
    if last < first:
        assert found is None
    else:
        assert found is not None
        assert data[found[0] : found[1]] == data[first : last + 1]


def test_content_range() -> None:
    assert content_range(0, 10, 100) == "bytes 0-9/100"


def test_part_ranges() -> None:
    assert parse_part_range(1, (), 7) == (0, 7)
    assert parse_part_range(1, (5, 5, 2), 12) == (0, 5)
    assert parse_part_range(3, (5, 5, 2), 12) == (10, 12)
    for sizes, number in (((), 2), ((5, 5), 3)):
        with pytest.raises(S3Error) as caught:
            parse_part_range(number, sizes, 10)
        assert caught.value.code is Code.InvalidPartNumber


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=3-3", (3, 4)),
        ("bytes=0-10", Code.InvalidRange),
        ("bytes=0-", Code.InvalidArgument),
        ("bytes=-5", Code.InvalidArgument),
        ("bytes=5-3", Code.InvalidArgument),
        ("0-5", Code.InvalidArgument),
        ("bytes=0-1,2-3", Code.InvalidArgument),
    ],
)
def test_copy_range_of_ten_bytes(header: str | None, expected: tuple[int, int] | Code | None) -> None:
    if isinstance(expected, Code):
        with pytest.raises(S3Error) as caught:
            parse_copy_range(header, 10)
        assert caught.value.code is expected
    else:
        assert parse_copy_range(header, 10) == expected
