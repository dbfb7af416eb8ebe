"""Rows under names, against a plain dictionary; and beside other processes, some of which die."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.host_table import HostTable, Values
from tests.unit.access.peers import hear, peer, tell

WAYS = 32


@pytest.fixture
def table(tmp_path: Path) -> Iterator[HostTable]:
    made = HostTable(tmp_path / "table", WAYS, 2)
    yield made
    made.close()


def unused(values: Values) -> bool:
    return values == (0.0, 0.0)


def test_a_row_is_found_by_its_name(table: HostTable) -> None:
    with table:
        assert table.find(b"a") is None
        place = table.claim(b"a", unused)
        assert place is not None
        assert table.read(place) == (0.0, 0.0)
        table.write(place, 1.5, -2.0)
        assert table.find(b"a") == place
        assert table.find(b"b") is None
    assert table.read(place) == (1.5, -2.0)


def test_a_full_set_takes_no_more(table: HostTable) -> None:
    with table:
        for number in range(WAYS):
            place = table.claim(b"%d" % number, unused)
            assert place is not None
            table.write(place, 1.0, number)
        assert table.claim(b"one more", unused) is None
        places = [table.find(b"%d" % number) for number in range(WAYS)]
        assert [table.read(place)[1] for place in places if place is not None] == list(range(WAYS))


def test_the_row_that_is_worth_least_makes_room(table: HostTable) -> None:
    with table:
        for number in range(WAYS):
            place = table.claim(b"%d" % number, unused)
            assert place is not None
            table.write(place, 5.0 + number % 3, number)
        assert table.displace(b"x", lambda values: None) is None
        assert table.displace(b"x", lambda values: values[0] if values[1] > 1 else None) is not None
        assert table.find(b"3") is None
        assert all(table.find(b"%d" % number) is not None for number in range(WAYS) if number != 3)


def test_nobody_can_choose_names_of_one_set(tmp_path: Path) -> None:
    def sets(path: Path) -> list[int]:
        made = HostTable(path, 64 * WAYS, 1)
        again = HostTable(path, 64 * WAYS, 1)
        with made:
            places = []
            for number in range(16):
                place = made.claim(b"%d" % number, lambda values: values == (0.0,))
                assert place is not None
                made.write(place, 1.0)
                places.append(place)
        assert [again.find(b"%d" % number) for number in range(16)] == places, "processes agree"
        made.close()
        again.close()
        return places

    assert sets(tmp_path / "one") != sets(tmp_path / "other")


def test_a_row_whose_time_is_over_changes_its_name(table: HostTable) -> None:
    with table:
        for number in range(WAYS):
            place = table.claim(b"%d" % number, unused)
            assert place is not None
            table.write(place, 1.0, number)
        place = table.claim(b"new", lambda values: values[1] == 7)
        assert place is not None
        assert table.read(place) == (0.0, 0.0)
        assert table.find(b"7") is None
        assert table.find(b"new") == place


def test_what_was_written_is_there_for_those_who_come_later(tmp_path: Path) -> None:
    first = HostTable(tmp_path / "table", 1024, 1)
    with first:
        place = first.claim(b"a", lambda _: True)
        assert place is not None
        first.write(place, 3.0)
    second = HostTable(tmp_path / "table", 1024, 1)
    assert second.find(b"a") == place
    assert second.read(place) == (3.0,)
    other = HostTable(tmp_path / "table", 2048, 1)
    assert other.find(b"a") is None
    for opened in (first, second, other):
        opened.close()


@given(st.dictionaries(st.binary(max_size=8), st.floats(min_value=1, allow_nan=False), max_size=WAYS))
def test_it_holds_what_a_dictionary_would(tmp_path_factory: pytest.TempPathFactory, rows: dict[bytes, float]) -> None:
    table = HostTable(tmp_path_factory.mktemp("t") / "table", 4 * WAYS, 1)
    with table:
        for name, value in rows.items():
            place = table.claim(name, lambda values: values[0] == 0)
            assert place is not None
            table.write(place, value)
        found = {name: table.read(place)[0] for name in rows if (place := table.find(name)) is not None}
    assert found == rows
    table.close()


_HOLDS = """
import signal, sys
from pathlib import Path
from deltaglider_proxy.access.host_table import HostTable
table = HostTable(Path(sys.argv[1]), 32, 2)
with table:
    print("ready", flush=True)
    signal.pause()
"""


def test_a_process_that_dies_holds_no_lock(tmp_path: Path) -> None:
    table = HostTable(tmp_path / "table", WAYS, 2)
    with peer(_HOLDS, str(tmp_path / "table")) as holder:
        holder.send_signal(signal.SIGKILL)
        assert holder.wait(30) == -signal.SIGKILL
        with table:
            assert table.claim(b"a", unused) is not None
    table.close()


_COUNTS = """
import sys
from pathlib import Path
from deltaglider_proxy.access.host_table import HostTable
table = HostTable(Path(sys.argv[1]), 32, 2)
print("ready", flush=True)
input()
for _ in range(int(sys.argv[2])):
    with table:
        place = table.find(b"sum")
        if place is None:
            place = table.claim(b"sum", lambda values: values[0] == 0)
        count, twice = table.read(place)
        table.write(place, count + 1, twice + 2)
print("done", flush=True)
"""


def test_no_change_of_several_processes_is_lost(tmp_path: Path) -> None:
    table = HostTable(tmp_path / "table", WAYS, 2)
    with ExitStack() as stack:
        peers = [stack.enter_context(peer(_COUNTS, str(tmp_path / "table"), "5000")) for _ in range(3)]
        for process in peers:
            tell(process, "go")
        assert [hear(process) for process in peers] == ["done"] * 3
    place = table.find(b"sum")
    assert place is not None
    assert table.read(place) == (15_000, 30_000)
    table.close()
