import json
import multiprocessing
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.telemetry import series as series_module
from deltaglider_proxy.telemetry.series import Series, SeriesFile, read_series
from deltaglider_proxy.telemetry.worker_slots import claim, live_slots, prepare, server_facts

SPAWN = multiprocessing.get_context("spawn")


def hold_a_slot(directory: Path, pipe: Connection) -> None:
    pipe.send(claim(directory).number)
    pipe.recv()


def test_slots_are_distinct_and_the_lowest_free_one_is_taken(tmp_path: Path) -> None:
    prepare(tmp_path, 1.0)
    first, second, third = (claim(tmp_path) for _ in range(3))
    assert [slot.number for slot in (first, second, third)] == [0, 1, 2]
    second.release()
    assert set(live_slots(tmp_path)) == {0, 2}
    again = claim(tmp_path)
    assert again.number == 1
    for slot in (first, third, again):
        slot.release()


def test_a_killed_worker_leaves_its_slot_to_the_next(tmp_path: Path) -> None:
    prepare(tmp_path, 1.0)
    mine = claim(tmp_path)
    here, there = SPAWN.Pipe()
    worker = SPAWN.Process(target=hold_a_slot, args=(tmp_path, there))
    worker.start()
    assert here.recv() == 1
    assert live_slots(tmp_path)[1] == worker.pid
    worker.kill()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    assert set(live_slots(tmp_path)) == {0}
    successor = claim(tmp_path)
    assert successor.number == 1
    mine.release()
    successor.release()
    here.close()
    there.close()


def test_preparing_forgets_an_earlier_server(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "metrics"
    prepare(directory, 1.0)
    slot = claim(directory)
    SeriesFile(slot.path("values"), slot.path("names")).close()
    slot.release()
    prepare(directory, 2.5)
    assert server_facts(directory).started == 2.5
    assert not list(directory.glob("worker-*"))
    assert directory.stat().st_mode & 0o777 == 0o700


def test_an_unprepared_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        server_facts(tmp_path)


LABELS = st.tuples(st.text(max_size=5), st.sampled_from(["GET", "PUT"]))


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), LABELS, st.integers(1, 5), st.floats(0, 1e9)), max_size=20))
def test_what_is_written_is_read_and_continued_by_a_successor(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, tuple[str, str], int, float]]
) -> None:
    directory = tmp_path_factory.mktemp("series")
    values, names = directory / "values", directory / "names"
    expected: dict[tuple[str, tuple[str, str]], tuple[int, list[float]]] = {}
    for family, labels, width, amount in writes:
        width, numbers = expected.setdefault((family, labels), (width, [0.0] * width))
        file = SeriesFile(values, names)
        offset = file.offset(family, labels, width)
        file.view[offset + width - 1] += amount
        numbers[-1] += amount
        file.close()
    assert read_series(values, names) == [
        (Series(family, labels, width), numbers) for (family, labels), (width, numbers) in expected.items()
    ]


def test_a_name_that_a_crash_cut_short_does_not_shift_the_others(tmp_path: Path) -> None:
    values, names = tmp_path / "values", tmp_path / "names"
    file = SeriesFile(values, names)
    file.view[file.offset("a", (), 2) + 1] = 7.0
    file.close()
    with names.open("ab") as end:
        end.write(b'["half')
    assert read_series(values, names) == [(Series("a", (), 2), [0.0, 7.0])]
    successor = SeriesFile(values, names)
    successor.view[successor.offset("b", ("x",), 1)] = 3.0
    successor.close()
    assert read_series(values, names) == [(Series("a", (), 2), [0.0, 7.0]), (Series("b", ("x",), 1), [3.0])]
    assert [json.loads(line) for line in names.read_text().splitlines()] == [["a", [], 2], ["b", ["x"], 1]]


def test_a_worker_that_is_only_starting_counts_nothing(tmp_path: Path) -> None:
    values, names = tmp_path / "values", tmp_path / "names"
    assert read_series(values, names) == []
    names.touch()
    values.touch()
    assert read_series(values, names) == []


def test_unbounded_labels_are_refused_before_they_overwrite_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_module, "CAPACITY", 16)
    file = SeriesFile(tmp_path / "values", tmp_path / "names")
    file.offset("a", (), 15)
    with pytest.raises(OverflowError, match="not bounded"):
        file.offset("b", ("x",), 2)
    file.close()
