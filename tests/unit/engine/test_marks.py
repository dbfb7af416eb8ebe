import string
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.engine import marks
from deltaglider_proxy.engine.marks import Mark
from deltaglider_proxy.engine.model import Attributes, Checksum, ChecksumAlgorithm, ChecksumType, Kind
from deltaglider_proxy.storage.backend import Stored

IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
CHECKSUMS = st.builds(
    Checksum,
    st.sampled_from(ChecksumAlgorithm),
    st.text(string.ascii_letters + string.digits + "+/=-", min_size=4, max_size=90),
    st.sampled_from(ChecksumType),
)
MARKS = st.builds(
    Mark,
    IDS,
    st.sampled_from(Kind),
    st.none() | st.integers(0, 5 << 40),
    st.none() | IDS.map(lambda e: e + "-3"),
    st.none() | st.integers(0, 1 << 45),
    st.none() | CHECKSUMS,
    st.lists(st.sampled_from([5, 8, 8 << 20]), max_size=40).map(tuple),
    st.none() | IDS,
)
NAMES = st.text(string.ascii_lowercase + "-", min_size=1, max_size=20) | st.sampled_from(
    ["dgp", "dgp-c", "dgp-c-c", "dgpx"]
)
ATTRIBUTES = st.builds(
    Attributes,
    st.dictionaries(st.sampled_from(["content-type", "cache-control", "expires"]), st.text(min_size=1, max_size=20)),
    st.dictionaries(NAMES, st.text(max_size=300), max_size=8),
)


@given(MARKS)
def test_a_mark_reads_back(mark: Mark) -> None:
    assert marks.decode_mark(marks.encode_mark(mark)) == mark


@given(ATTRIBUTES, MARKS, st.integers(0, 4000))
def test_what_a_client_set_is_what_it_gets_whatever_fits(attributes: Attributes, mark: Mark, limit: int) -> None:
    mark = replace(mark, side="f" * 32)
    metadata, side = marks.pack(attributes, mark, limit)
    stored = Stored("k", 10, "backend", 5.0, metadata)
    info = marks.describe(stored, "k", side)
    assert info.headers == attributes.headers
    assert info.user_metadata == attributes.user_metadata
    assert (info.checksum, info.part_sizes) == (mark.checksum, mark.part_sizes)
    assert info.etag == (mark.etag or "backend")
    assert info.size == (mark.size if mark.size is not None else 10)
    found = marks.mark_of(stored)
    assert found is not None
    assert (found.side is None) == (side is None)


def test_an_ordinary_mark_is_short() -> None:
    mark = Mark("0" * 32, Kind.DELTA, 5 << 40, "0" * 32 + "-10000", 1 << 45, None, (8 << 20,) * 9999 + (5,))
    assert len(marks.encode_mark(mark)) < 200


def test_foreign_metadata_is_passed_on_as_it_is() -> None:
    stored = Stored("k", 1, "e", 2.0, {"content-type": "a/b", "x-amz-meta-dgp-c": "theirs"})
    assert marks.describe(stored, "k").user_metadata == {"dgp-c": "theirs"}
