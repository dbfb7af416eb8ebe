"""What is taken for a backup, and what is not: an archive may come from anyone."""

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.admin.backup.archive import (
    CONFIG,
    IAM,
    MANIFEST,
    MOST_ENTRIES,
    MOST_ENTRY_BYTES,
    PARTS,
    SECRETS,
    BadArchive,
    Stage,
    read,
    write,
)

NOW = 1_800_000_000.0
EXAMPLE = {CONFIG: b"{}\n", IAM: b'{"version": 2}', SECRETS: b"{}"}


def packed(*entries: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.compress_type = compression
            archive.writestr(info, data)
    return out.getvalue()


def refusal(body: bytes) -> BadArchive:
    with pytest.raises(BadArchive) as caught:
        read(body)
    return caught.value


@given(st.fixed_dictionaries({name: st.binary(max_size=2000) for name in PARTS}))
def test_what_was_written_is_read(parts: dict[str, bytes]) -> None:
    found = read(write(parts, NOW, "1.2.3"))
    assert found.parts == parts
    assert found.captured_at == "2027-01-15T08:00:00Z"


@given(st.data())
def test_a_damaged_archive_is_refused_or_says_the_same(data: st.DataObject) -> None:
    body = bytearray(write(EXAMPLE, NOW, "1.2.3"))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = read(bytes(body))
    except BadArchive:
        return
    assert found.parts == EXAMPLE


@given(st.binary(max_size=300))
def test_anything_else_is_refused(body: bytes) -> None:
    assert refusal(body).stage is Stage.PARSE_ZIP


@pytest.mark.parametrize("cut", [1, 10, 22, 100])
def test_the_end_must_be_there(cut: int) -> None:
    assert refusal(write(EXAMPLE, NOW, "1")[:-cut]).stage is Stage.PARSE_ZIP


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../b", "a\\b", "a\0b"])
def test_names_that_lead_elsewhere(name: str) -> None:
    assert refusal(packed((name, b""))).stage is Stage.PARSE_ZIP


def test_a_name_stands_once() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        body = packed((IAM, b"1"), (IAM, b"2"))
    assert "same name" in str(refusal(body))


def test_more_entries_than_allowed() -> None:
    many = [(f"n{number}", b"") for number in range(MOST_ENTRIES + 1)]
    assert "entries" in str(refusal(packed(*many, compression=zipfile.ZIP_STORED)))


def test_a_directory_that_is_too_long_is_not_read() -> None:
    body = bytearray(write(EXAMPLE, NOW, "1"))
    body[-10:-6] = struct.pack("<L", 1 << 30)
    assert "entries" in str(refusal(bytes(body)))


def test_what_unpacks_to_more_than_allowed() -> None:
    assert "bytes" in str(refusal(packed((CONFIG, bytes(MOST_ENTRY_BYTES + 1)))))


def test_an_entry_that_is_larger_than_it_says() -> None:
    body = bytearray(packed((CONFIG, bytes(1 << 20))))
    size = struct.pack("<L", 1 << 20)
    for _ in range(2):
        body[body.index(size) : body.index(size) + 4] = struct.pack("<L", 100)
    assert refusal(bytes(body)).stage is Stage.PARSE_ZIP


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b'{"version": 7, "files": []}', "version"),
        (b'{"version": 1, "files": [{"name": "x", "bytes": -1, "sha256": ""}]}', "files.0"),
    ],
)
def test_a_manifest_that_cannot_be_understood(manifest: bytes, words: str) -> None:
    found = refusal(packed((MANIFEST, manifest), *EXAMPLE.items()))
    assert found.stage is Stage.PARSE_MANIFEST
    assert words in str(found)


def test_entries_that_nobody_lists_are_of_no_concern() -> None:
    whole = write(EXAMPLE, NOW, "1")
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    assert read(packed(*entries, ("notes.txt", b"x"))).parts == EXAMPLE
