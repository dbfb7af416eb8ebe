"""Metadata as every release spelled it."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.engine.legacy import metadata, names
from deltaglider_proxy.engine.legacy.metadata import Record, Role
from tests.fixtures.legacy import older

SHA = older.sha256(b"data")
OTHER = older.sha256(b"base")
FIELDS = {
    "tool": "deltaglider/5.2.0",
    "original-name": "k",
    "file-sha256": SHA,
    "file-size": "4",
    "created-at": "2023-04-05T06:07:08Z",
    "ref-key": "a/reference.bin",
    "ref-sha256": OTHER,
    "delta-size": "2",
    "delta-cmd": "xdelta3",
}
SPELLINGS: dict[str, Callable[[str], str]] = {
    "dg-": lambda n: f"dg-{n}",
    "bare": lambda n: n,
    "dg_": lambda n: f"dg_{n.replace('-', '_')}",
    "underscores": lambda n: n.replace("-", "_"),
}


def parse(values: dict[str, str]) -> Record | None:
    return metadata.from_headers({f"x-amz-meta-{name}": value for name, value in values.items()})


def parsed(values: dict[str, str]) -> Record:
    found = parse(values)
    assert found is not None
    return found


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_spelling_says_the_same(spelling: str) -> None:
    found = parsed({SPELLINGS[spelling](name): value for name, value in FIELDS.items()})
    assert found == Record(
        Role.DELTA, "k", SHA, 4, created=1680674828.0, reference="a/reference.bin", reference_sha256=OTHER
    )


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.sampled_from(sorted(SPELLINGS)), min_size=len(FIELDS)))
def test_spellings_may_be_mixed_and_some_empty(chosen: dict[str, str]) -> None:
    values = {SPELLINGS[chosen[name]](name): value for name, value in FIELDS.items()}
    empty = {f"dg-{name}": "" for name in FIELDS if chosen[name] != "dg-"}
    assert parse({**empty, **values}) == parse(dict(FIELDS))


def test_a_file_says_the_same_as_a_service() -> None:
    fields = older.fields("a/k", b"data", "delta", b"base", delta_size=2, multipart_etag='"abc-2"', content_type="t/x")
    user = {"colour": "red", "dg-encrypted": "aes-256-gcm-v1", "dg-encryption-key-id": "0011"}
    one = metadata.from_attribute(older.attribute(fields, user))
    assert one == metadata.from_headers(
        {f"x-amz-meta-{name}": value for name, value in older.headers(fields, user).items()}
    )
    assert one == Record(
        Role.DELTA, "k", SHA, 4, older.md5(b"data"), "abc-2", older.CREATED_AT, "t/x", {"colour": "red"},
        "reference.bin", OTHER, "aes-256-gcm-v1", "0011",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-04-05T06:07:08Z", 1680674828.0),
        ("2023-04-05T06:07:08.5Z", 1680674828.5),
        ("2023-04-05T06:07:08.123456789Z", 1680674828.123456),
        ("2023-04-05T06:07:08.123456", 1680674828.123456),
        ("2023-04-05T08:07:08+02:00", 1680674828.0),
        ("2023-04-05T08:07:08.123456789+02:00", 1680674828.123456),
        ("2023-04-05T06:07:08+00:00Z", 1680674828.0),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times(text: str, moment: float | None) -> None:
    assert parsed({**FIELDS, "created-at": text}).created == moment


@pytest.mark.parametrize(
    ("changes", "role"),
    [
        ({}, Role.DELTA),
        ({"note": "delta"}, Role.DELTA),
        ({"note": "zero-diff (reference identical)"}, Role.DELTA),
        ({"note": "reference"}, Role.BASELINE),
        ({"note": "direct", "ref-key": ""}, Role.PLAIN),
        ({"note": "passthrough", "ref-key": ""}, Role.PLAIN),
        ({"ref-key": ""}, Role.PLAIN),
        ({"compression": "none"}, Role.PLAIN),
        ({"compression": "none", "note": "delta"}, Role.PLAIN),
        ({"note": "delta", "ref-key": ""}, None),
        ({"ref-sha256": ""}, None),
        ({"ref-sha256": "short"}, None),
        ({"file-size": ""}, None),
        ({"file-size": "many"}, None),
        ({"file-size": "-1"}, None),
        ({"tool": ""}, None),
        ({"original-name": ""}, None),
        ({"original-name": "", "source-name": "a/k"}, Role.DELTA),
        ({"file-sha256": ""}, None),
        ({"file-sha256": "zz" * 32}, None),
    ],
)
def test_what_a_thing_is(changes: dict[str, str], role: Role | None) -> None:
    found = parse({**FIELDS, **changes})
    assert (found.role if found is not None else None) is role


def test_tags_of_objects() -> None:
    assert parsed(dict(FIELDS)).etag == f"{SHA[:32]}-1"
    assert parsed({**FIELDS, "dg-md5": "AB"}).etag == "ab"
    assert parsed({**FIELDS, "dg-md5": "ab", "dg-multipart-etag": '"cd-3"'}).etag == "cd-3"


def test_what_the_client_set_stays_and_what_programs_set_goes() -> None:
    own = {"user-a": "1", "user-dg-lifecycle-rule": "x", "b": "2", "dg-unheard-of": "3"}
    assert parsed({**FIELDS, **own}).user_metadata == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"dg-md5": "ab"}, "k"),
        ({}, None),
        ({"dg-md5": "ab", "original-name": "__reference__"}, None),
        ({"dg-md5": "ab", "original-name": "other/k"}, None),
        ({"dg-md5": "ab", "note": "passthrough", "ref-key": ""}, None),
    ],
)
def test_baselines_that_stand_for_an_object(changes: dict[str, str], name: str | None) -> None:
    assert parsed({**FIELDS, "note": "reference", **changes}).stands_for == name


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda c: (
            st.lists(c)
            | st.dictionaries(
                st.sampled_from(["tool", "original_name", "file_sha256", "user_metadata", "note", "file_size"]), c
            )
        ),
    ).map(lambda v: json.dumps(v).encode())
)
def test_any_attribute_is_understood_or_not(text: bytes) -> None:
    metadata.from_attribute(text)


@pytest.mark.parametrize(
    ("name", "note", "key"),
    [
        ("a/k.delta", "delta", "a/k"),
        ("k.delta", "delta", "k"),
        ("a/.delta", "delta", "a/.delta"),
        (".delta", "delta", ".delta"),
        ("a/renamed", "delta", "a/renamed"),
        ("a/k.delta.delta", "delta", "a/k.delta"),
        ("k", "passthrough", "k"),
        ("k.delta", "passthrough", "k.delta"),
        ("a/reference.bin", "reference", "a/first"),
        ("k.delta", "", "k.delta"),
    ],
)
def test_names_of_clients(name: str, note: str, key: str) -> None:
    base = b"base" if note == "delta" else None
    fields = older.fields("a/first", b"data", note, base, original_name="first")
    record = parse(older.headers(fields)) if note else None
    assert names.client_key(name, record) == key
