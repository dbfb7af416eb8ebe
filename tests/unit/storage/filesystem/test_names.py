import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typing_extensions import override

from deltaglider_proxy.storage.backends.filesystem import names as module
from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.storage.backends.filesystem.names import Later, Names
from deltaglider_proxy.telemetry.clock import ManualClock


class CountingFiles(Files):
    def __init__(self) -> None:
        super().__init__()
        self.scans = 0

    @override
    @contextmanager
    def scan(self, fd: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        self.scans += 1
        with super().scan(fd) as entries:
            yield entries


class Directory:
    """A directory whose time of change is ours to set, and its remembered names."""

    def __init__(self, path: Path, capacity: int = 1000) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.files = CountingFiles()
        self.clock = ManualClock()
        self.names = Names(self.files, self.clock, capacity)

    def make(self, name: str, seconds_ago: float) -> None:
        (self.path / name).write_bytes(b"")
        self.changed(seconds_ago)

    def changed(self, seconds_ago: float) -> None:
        moment = round((self.clock.now() - seconds_ago) * 1e9)
        os.utime(self.path, ns=(moment, moment))

    def list(self) -> list[str]:
        """As a listing that begins now sees it."""
        since = self.clock.monotonic()
        self.clock.advance(0.001)
        return self.names.sorted(self.fd, since)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    made = Directory(tmp_path)
    yield made
    os.close(made.fd)


def test_order_and_kinds(directory: Directory) -> None:
    for name in ("b", "a-b", "a.txt", "é", "\uffff", "\U00010000", "Z"):
        directory.make(name, 1)
    (directory.path / "a").mkdir()
    (directory.path / "link").symlink_to("b")
    os.mkfifo(directory.path / "fifo")
    (directory.path / os.fsdecode(b"bad\xff")).write_bytes(b"")
    assert directory.list() == ["Z", "a-b", "a.txt", "a/", "b", "é", "\uffff", "\U00010000"]


@pytest.mark.parametrize("count", [0, 1, 8192, 8193, 30_000])
def test_sorting_many_names(count: int) -> None:
    names = [f"{number * 7919 % 30_011:05}" for number in range(count)]
    assert module._sorted_gently(names + names[:100]) == sorted(names)


def test_an_unchanged_directory_is_scanned_once(directory: Directory) -> None:
    directory.make("a", seconds_ago=1)
    for _ in range(5):
        assert directory.list() == ["a"]
    assert directory.files.scans == 1


def test_a_change_is_seen(directory: Directory) -> None:
    directory.make("a", seconds_ago=2)
    assert directory.list() == ["a"]
    directory.make("b", seconds_ago=1)
    assert directory.list() == ["a", "b"]
    assert directory.files.scans == 2


@pytest.mark.parametrize("seconds_ago", [0.0, 0.04, -3.0])
def test_a_change_in_the_same_tick_is_seen(directory: Directory, seconds_ago: float) -> None:
    directory.make("a", seconds_ago)
    before = directory.path.stat().st_mtime_ns
    assert directory.list() == ["a"]
    (directory.path / "b").write_bytes(b"")
    os.utime(directory.path, ns=(before, before))
    assert directory.list() == ["a", "b"]


def test_memory_is_bounded(tmp_path: Path) -> None:
    places = []
    clock, files = ManualClock(), CountingFiles()
    names = Names(files, clock, capacity=60)
    for number in range(4):
        path = tmp_path / str(number)
        path.mkdir()
        for name in "abcd":
            (path / name).write_bytes(b"")
        os.utime(path, ns=(0, 0))
        places.append(os.open(path, os.O_RDONLY))
    for fd in places:
        names.sorted(fd, clock.monotonic())
    assert files.scans == 4
    names.sorted(places[-1], clock.monotonic())
    names.sorted(places[-2], clock.monotonic())
    assert files.scans == 4
    names.sorted(places[0], clock.monotonic())
    assert files.scans == 5
    for fd in places:
        os.close(fd)


def test_a_directory_beyond_all_bounds_is_scanned_each_time(tmp_path: Path) -> None:
    directory = Directory(tmp_path, capacity=3)
    directory.make("a", 1)
    assert directory.list() == directory.list() == ["a"]
    assert directory.files.scans == 2
    os.close(directory.fd)


def test_a_large_busy_directory_is_scanned_once_a_second(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 3)
    for name in "abc":
        directory.make(name, seconds_ago=0)
    assert directory.list() == ["a", "b", "c"]
    directory.make("d", seconds_ago=0)
    since = directory.clock.monotonic()
    with pytest.raises(Later) as caught:
        directory.names.sorted(directory.fd, since)
    assert 0 < caught.value.seconds <= 1
    assert directory.files.scans == 1
    directory.clock.advance(caught.value.seconds)
    directory.changed(seconds_ago=0)
    assert directory.names.sorted(directory.fd, since) == ["a", "b", "c", "d"]
    directory.make("e", seconds_ago=0)
    # Another listing that began before this scan may use it: the names were true after it had begun.
    assert directory.names.sorted(directory.fd, since) == ["a", "b", "c", "d"]
    assert directory.files.scans == 2
    with pytest.raises(Later):
        directory.list()


def test_a_large_quiet_directory_is_read_from_memory(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 3)
    for name in "abcd":
        directory.make(name, seconds_ago=1)
    for _ in range(3):
        assert directory.list() == ["a", "b", "c", "d"]
    assert directory.files.scans == 1
