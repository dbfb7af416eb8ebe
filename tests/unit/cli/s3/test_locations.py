from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.s3.locations import BadArgument, Remote, bucket_only, inside, parse, remote


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("s3://releases", Remote("releases", "")),
        ("s3://releases/", Remote("releases", "")),
        ("s3://releases/a/b.bin", Remote("releases", "a/b.bin")),
        ("s3://releases//a", Remote("releases", "/a")),
        ("s3://re-lea.ses/a b?c#d%20", Remote("re-lea.ses", "a b?c#d%20")),
        ("./a", Path("a")),
        ("-", Path("-")),
        ("/tmp/s3:/x", Path("/tmp/s3:/x")),
    ],
)
def test_what_is_named(text: str, found: Remote | Path) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    "bucket", ["", "ab", "-abc", "abc-", "aBc", "a..b", "192.168.0.1", "a_b", "x" * 64, ".abc", "abc."]
)
def test_no_bucket_has_such_a_name(bucket: str) -> None:
    with pytest.raises(BadArgument) as refused:
        parse(f"s3://{bucket}/key")
    assert refused.value.code is ExitCode.PARSE


@pytest.mark.parametrize("text", ["http://releases/a", "S3://releases/a", "gs://releases"])
def test_other_schemes(text: str) -> None:
    with pytest.raises(BadArgument) as refused:
        parse(text)
    assert refused.value.code is ExitCode.USAGE


def test_a_url_is_needed() -> None:
    with pytest.raises(BadArgument, match="s3:// URL"):
        remote("releases/a")


def test_buckets_alone() -> None:
    assert bucket_only("releases") == bucket_only("s3://releases") == bucket_only("s3://releases/") == "releases"
    with pytest.raises(BadArgument, match="without a key") as refused:
        bucket_only("s3://releases/a")
    assert refused.value.code is ExitCode.USAGE


@pytest.mark.parametrize(("key", "folder"), [("", ""), ("p", "p/"), ("p/", "p/"), ("p/q", "p/q/")])
def test_a_prefix_is_a_folder(key: str, folder: str) -> None:
    assert Remote("releases", key).folder == folder


@pytest.mark.parametrize(
    "relative",
    ["../x", "/x", "a/../../x", "a/..", "..", ".", "a//b", "a/", "", "a\\..\\x", "a\0b", "./a", "a/./b", "//x"],
)
def test_keys_that_would_leave_a_folder(relative: str) -> None:
    with pytest.raises(BadArgument):
        inside(Path("out"), relative)


@given(st.text(st.sampled_from("ab./\\\0~")))
def test_nothing_leaves_a_folder(relative: str) -> None:
    folder = Path("/srv/out")
    try:
        found = inside(folder, relative)
    except BadArgument:
        return
    assert folder in found.parents
    assert found.relative_to(folder).as_posix() == relative
    assert ".." not in found.parts
