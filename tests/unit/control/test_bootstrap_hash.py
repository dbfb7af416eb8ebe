import os
from base64 import b64encode
from pathlib import Path

import pytest

from deltaglider_proxy.control.bootstrap_hash import FILE_NAME, LEGACY_FILE_NAME, Source, kept_in, replace_file, resolve
from deltaglider_proxy.crypto.passwords import NotAHash, verify_password

HASH = "$2b$04$abcdefghijklmnopqrstuuTnQHg9s5mCzBbFQWFmo4Gm0EGSyQ6Vi"
SECOND, THIRD = HASH.replace("$abc", "$bbc"), HASH.replace("$abc", "$cbc")


def test_the_first_source_wins(tmp_path: Path) -> None:
    (tmp_path / LEGACY_FILE_NAME).write_text(HASH)
    assert resolve(None, tmp_path).value == HASH
    (tmp_path / FILE_NAME).write_text(f" {b64encode(SECOND.encode()).decode()}\n")
    found = resolve(None, tmp_path)
    assert (found.value, found.source, found.generated_password) == (SECOND, Source.FILE, None)
    found = resolve(THIRD, tmp_path)
    assert (found.value, found.source, found.generated_password) == (THIRD, Source.CONFIGURED, None)


def test_one_is_made_once(tmp_path: Path) -> None:
    made = resolve(None, tmp_path)
    assert made.source is Source.GENERATED
    assert made.generated_password is not None
    assert verify_password(made.generated_password, made.value)
    assert made.generated_password not in repr(made)
    assert made.value not in repr(made)
    assert resolve(None, tmp_path).value == made.value
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "hunter2hunter2", HASH[:-1], "\xff"])
def test_a_source_without_a_hash_is_named_and_not_shown(tmp_path: Path, content: str) -> None:
    """Nor does a later source stand in for it: the database would be locked, and nobody would know why."""
    (tmp_path / FILE_NAME).write_text(content, "latin-1")
    (tmp_path / LEGACY_FILE_NAME).write_text(HASH)
    with pytest.raises(NotAHash) as caught:
        resolve(None, tmp_path)
    assert FILE_NAME in str(caught.value)
    assert not content or content not in str(caught.value)
    assert kept_in(tmp_path) is None


def test_a_new_one_replaces_the_file_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text("old")
    path.chmod(0o644)
    mask = os.umask(0)
    try:
        assert replace_file(HASH, tmp_path) == path
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept_in(tmp_path) == HASH
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE_NAME]


def test_nothing_is_kept_in_an_empty_folder(tmp_path: Path) -> None:
    assert kept_in(tmp_path) is None
