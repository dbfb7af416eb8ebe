"""What is an edit of the configuration file, and what the server has read or written itself."""

import os
from pathlib import Path

import pytest

from deltaglider_proxy.config.load import Sources, reload
from deltaglider_proxy.server.configuration import Boot
from deltaglider_proxy.server.known_file import KnownFile, state_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.yaml"
    path.write_text("{}\n")
    return path


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_an_edit_is_seen_by_all_until_it_is_read(path: Path, run_dir: Path) -> None:
    start = state_of(path)
    one, other = KnownFile(run_dir, start), KnownFile(run_dir, start)
    assert not one.was_edited(path)
    append(path, "# mine\n")
    assert one.was_edited(path)
    assert other.was_edited(path)
    one.was_read(state_of(path))
    assert not other.was_edited(path)
    assert not KnownFile(run_dir, start).was_edited(path)


def test_what_the_server_writes_is_no_edit_unless_somebody_follows_at_once(path: Path, run_dir: Path) -> None:
    known = KnownFile(run_dir, state_of(path))
    path.write_text("advanced: {}\n")
    known.was_written(path, "advanced: {}\n")
    assert not known.was_edited(path)
    path.write_text("advanced: {}\n# mine\n")
    known.was_written(path, "advanced: {}\n")
    assert known.was_edited(path)


def test_a_file_that_comes_later_is_an_edit_and_one_that_is_gone_is_none(path: Path, run_dir: Path) -> None:
    assert KnownFile(run_dir, None).was_edited(path)
    known = KnownFile(run_dir, state_of(path))
    path.unlink()
    assert not known.was_edited(path)


def test_a_file_of_another_time_is_an_edit(path: Path, run_dir: Path) -> None:
    known = KnownFile(run_dir, state_of(path))
    os.utime(path, ns=(1, 1))
    assert known.was_edited(path)


def test_a_file_that_could_not_be_written_is_behind_until_it_can(path: Path, run_dir: Path) -> None:
    known = KnownFile(run_dir, state_of(path))
    known.could_not_be_written()
    assert KnownFile(run_dir, None).is_behind
    known.was_written(path, "{}\n")
    assert not known.is_behind
    known.could_not_be_written()
    known.was_read(state_of(path))
    assert not known.is_behind


@pytest.mark.parametrize("edited", ["advanced: {max_object_size: 5}\n", "nonsense: [\n"])
def test_an_edit_while_the_server_starts_is_not_taken_for_loaded(path: Path, edited: str) -> None:
    sources = Sources(path, {"DGP_AUTHENTICATION": "none"}, None)
    loaded = reload(sources)
    assert Boot(loaded, sources, verbose=False).file_state == state_of(path)
    path.write_text(edited)
    assert Boot(loaded, sources, verbose=False).file_state is None
