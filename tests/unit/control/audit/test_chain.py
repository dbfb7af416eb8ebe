"""Whatever is done to the files of the log afterwards is found."""

from pathlib import Path

import pytest

from deltaglider_proxy.control.audit.record import Record
from deltaglider_proxy.control.audit.segments import Segments

_KEY = b"k" * 32


def _append(segments: Segments, first: int, count: int) -> None:
    for number in range(first, first + count):
        record = Record("login", user=f"user-{number}", ua="x" * 100)
        segments.append([lambda seq, record=record: record.document(seq, 1_700_000_000.0, "n1")])  # type: ignore[misc]  # a default binds the loop's value


@pytest.fixture
def segments(tmp_path: Path) -> Segments:
    made = Segments(tmp_path / "n1", _KEY, 1 << 20, segment_bytes=2000)
    _append(made, 1, 20)
    return made


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_an_untouched_log_is_whole_over_several_files(segments: Segments) -> None:
    assert len(segments.files()) > 2
    assert segments.verify() is None


def test_another_key_finds_it_changed(segments: Segments) -> None:
    assert Segments(segments.directory, b"other" * 8, 1 << 20).verify() is not None


@pytest.mark.parametrize("file", range(3))
@pytest.mark.parametrize("how", ["edit", "delete", "swap", "duplicate", "half"])
def test_a_changed_line_is_found(segments: Segments, file: int, how: str) -> None:
    path = segments.files()[file]
    lines = _lines(path)
    match how:
        case "edit":
            lines[1] = lines[1].replace(b"user-", b"USER-")
        case "delete":
            del lines[1]
        case "swap":
            lines[1], lines[2] = lines[2], lines[1]
        case "duplicate":
            lines.insert(1, lines[1])
        case _:
            lines[-1] = lines[-1][:-5]
    path.write_bytes(b"".join(lines))
    assert segments.verify() is not None


def test_a_missing_end_is_found(segments: Segments) -> None:
    path = segments.files()[-1]
    path.write_bytes(b"".join(_lines(path)[:-1]))
    assert segments.verify() is not None


def test_a_missing_file_in_the_middle_or_at_the_end_is_found(segments: Segments) -> None:
    segments.files()[1].unlink()
    assert segments.verify() is not None


def test_a_head_that_lags_is_no_damage_and_the_chain_goes_on(segments: Segments) -> None:
    head = (segments.directory / "head").read_bytes()
    _append(segments, 21, 1)
    (segments.directory / "head").write_bytes(head)
    assert segments.verify() is None
    _append(segments, 22, 1)
    assert segments.verify() is None


def test_half_a_line_is_cut_and_told(segments: Segments) -> None:
    with segments.files()[-1].open("ab") as file:
        file.write(b'{"seq":21,"tim')
    assert segments.append([lambda seq: Record("login").document(seq, 1_700_000_000.0, "n1")]) == 14
    assert segments.verify() is None


def test_bytes_that_are_no_text_do_not_keep_a_record_out() -> None:
    assert b'"ua":"?"' in Record("login", ua="\udcff").document(1, 1_700_000_000.0, "n1")


def test_a_head_that_was_taken_away_shows_for_ever(segments: Segments) -> None:
    path = segments.files()[-1]
    (segments.directory / "head").unlink()
    path.write_bytes(b"".join(_lines(path)[:-2]))
    assert segments.verify() is not None
    _append(segments, 21, 3)
    assert segments.verify() is not None


def test_oldest_files_that_were_taken_away_are_missed(segments: Segments) -> None:
    segments.files()[0].unlink()
    damage = segments.verify()
    assert damage is not None
    assert "oldest" in damage.what


def test_the_log_is_bounded_and_still_whole(tmp_path: Path) -> None:
    bounded = Segments(tmp_path, b"k" * 32, 20_000, 2_000)
    for first in range(1, 200, 5):
        _append(bounded, first, 5)
        assert bounded.verify() is None
    assert sum(path.stat().st_size for path in bounded.files()) < 24_000
    assert int(bounded.files()[0].stem) > 1
    bounded.close()


def test_a_forged_line_behind_the_head_is_not_taken_over(segments: Segments) -> None:
    forged = b'{"seq":21,"timestamp":"x","action":"login","chain":"' + b"a" * 64 + b'"}\n'
    with segments.files()[-1].open("ab") as file:
        file.write(forged)
    _append(segments, 21, 1)
    assert segments.verify() is not None
