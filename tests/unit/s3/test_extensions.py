import pytest

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.extensions import asks_recursive, shown_metadata
from deltaglider_proxy.s3.protocol.request import Request, parse_request


def request(path: bytes, query: bytes = b"", header: bytes | None = None) -> Request:
    headers = [(b"x-deltaglider-recursive", header)] if header is not None else []
    return parse_request("DELETE", path, query, headers, b"")


@pytest.mark.parametrize(
    ("path", "query", "header", "expected"),
    [
        (b"/bucket/folder/", b"", None, False),
        (b"/bucket/folder/", b"", b"false", False),
        (b"/bucket/folder/", b"", b"true", True),
        (b"/bucket/folder/", b"", b"True", True),
        (b"/bucket/folder/", b"recursive=true", None, True),
        (b"/bucket/folder/", b"recursive=true", b"false", False),
        (b"/bucket/key", b"", None, False),
        (b"/bucket/key", b"recursive=false", None, False),
    ],
)
def test_what_asks_for_a_recursive_delete(path: bytes, query: bytes, header: bytes | None, expected: bool) -> None:
    assert asks_recursive(request(path, query, header)) is expected


@pytest.mark.parametrize(
    ("path", "query", "header"),
    [
        (b"/bucket/key", b"", b"true"),
        (b"/bucket/key", b"recursive=true", None),
        (b"/bucket/folder/", b"", b"yes"),
        (b"/bucket/folder/", b"recursive", None),
        (b"/bucket/folder/", b"recursive=1", None),
    ],
)
def test_what_is_refused(path: bytes, query: bytes, header: bytes | None) -> None:
    with pytest.raises(S3Error) as caught:
        asks_recursive(request(path, query, header))
    assert caught.value.code is Code.InvalidArgument


def test_metadata_of_a_listing() -> None:
    assert shown_metadata("passthrough", 5, 5, {"note": "mine", "dg-note": "forged"}) == {
        "x-amz-meta-dg-note": "passthrough",
        "x-amz-meta-dg-file-size": "5",
        "x-amz-meta-user-note": "mine",
        "x-amz-meta-user-dg-note": "forged",
    }
    assert shown_metadata("delta", 500, 7, {})["x-amz-meta-dg-delta-size"] == "7"
