"""What is waited for is on the disk; what fails is said to the one who asked, and to nobody else."""

from pathlib import Path

import pytest
from typing_extensions import override

from deltaglider_proxy.access.auditor import Actor, Auditor
from deltaglider_proxy.config.secret import Secret
from deltaglider_proxy.control.audit.log import AuditLog, AuditUnavailable
from deltaglider_proxy.control.audit.record import Record
from deltaglider_proxy.control.audit.search import Query, moment, search
from deltaglider_proxy.control.audit.segments import Segments
from deltaglider_proxy.telemetry.clock import ManualClock


class _Full(Segments):
    """A disk without room, while told so."""

    full = True

    @override
    def _write(self, path: Path, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super()._write(path, data)


async def test_a_written_record_is_found_at_once_and_pages_do_not_move(tmp_path: Path) -> None:
    log = AuditLog(Segments(tmp_path, b"k" * 32, 1 << 20), "n1", ManualClock(), lambda _: None)
    for number in range(5):
        await log.write(Record("login", user=f"u{number}"))
    first = search(tmp_path, Query(), 2)
    await log.write(Record("logout"))
    second = search(tmp_path, Query(before=first.next_before), 2)
    assert [entry["user"] for entry in (*first.entries, *second.entries)] == ["u4", "u3", "u2", "u1"]
    assert [entry["seq"] for entry in search(tmp_path, Query(user="u3")).entries] == [4]
    log.close()


async def test_a_full_disk_refuses_the_writer_and_counts_the_note_and_heals(tmp_path: Path) -> None:
    dropped: list[int] = []
    segments = _Full(tmp_path, b"k" * 32, 1 << 20)
    log = AuditLog(segments, "n1", ManualClock(), dropped.append)
    log.note(Record("s3_put"))
    with pytest.raises(AuditUnavailable, match="No space left"):
        await log.write(Record("login"))
    assert sum(dropped) == 1
    segments.full = False
    await log.write(Record("login"))
    log.close()


async def test_a_secret_is_refused_to_its_caller_and_the_log_goes_on(tmp_path: Path) -> None:
    log = AuditLog(Segments(tmp_path, b"k" * 32, 1 << 20), "n1", ManualClock(), lambda _: None)
    with pytest.raises(TypeError, match="Secret"):
        await log.write(Record("login", details={"value": Secret("hidden")}))
    await log.write(Record("login"))
    log.close()
    assert len(search(tmp_path, Query()).entries) == 1


async def test_a_second_holds_its_milliseconds(tmp_path: Path) -> None:
    log = AuditLog(Segments(tmp_path, b"k" * 32, 1 << 20), "n1", ManualClock(1_700_000_000.5), lambda _: None)
    await log.write(Record("login"))
    log.close()
    assert len(search(tmp_path, Query(since="2023-11-14T22:13:20Z")).entries) == 1
    assert search(tmp_path, Query(since="2023-11-14T22:13:21Z")).entries == []
    assert search(tmp_path, Query(until="2023-11-14T22:13:20Z")).entries == []


async def test_nothing_is_changed_that_cannot_be_written_down(tmp_path: Path) -> None:
    log = AuditLog(_Full(tmp_path, b"k" * 32, 1 << 20), "n1", ManualClock(), lambda _: None)
    with pytest.raises(AuditUnavailable):
        async with Auditor(log).change(Actor("ana"), "create_user", "bob"):
            pytest.fail("the change was made")
    log.close()


async def test_a_change_that_was_made_is_not_denied_for_want_of_its_second_record(tmp_path: Path) -> None:
    segments = _Full(tmp_path, b"k" * 32, 1 << 20)
    segments.full = False
    log = AuditLog(segments, "n1", ManualClock(), lambda _: None)
    async with Auditor(log).change(Actor("ana"), "create_user", "bob"):
        assert [entry["outcome"] for entry in search(tmp_path, Query()).entries] == ["begun"]
        segments.full = True
    segments.full = False
    with pytest.raises(KeyError):
        async with Auditor(log).change(Actor("ana"), "create_user", "eve", {"user_id": 1}):
            raise KeyError("eve")
    log.close()
    found = [(entry["target"], entry["outcome"], entry.get("details")) for entry in search(tmp_path, Query()).entries]
    assert found == [
        ("eve", "failed", {"user_id": 1, "code": "KeyError"}),
        ("eve", "begun", {"user_id": 1}),
        ("bob", "begun", None),
    ]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31t12:00:00z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.250+00:00", "2026-01-31T12:00:00.25Z"),
        ("2026-02-01 02:00:00 10:00", "2026-01-31T16:00:00Z"),
        ("2026-01-31T22:30:00-05:30", "2026-02-01T04:00:00Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00Z"),
    ],
)
def test_a_moment_is_told_in_utc(text: str, same: str) -> None:
    assert moment(text) == same


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-31", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+10:00"])
def test_what_is_no_moment_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        moment(text)


async def test_what_anyone_can_cause_does_not_wash_the_rest_away(tmp_path: Path) -> None:
    clock = ManualClock()
    log = AuditLog(Segments(tmp_path, b"k" * 32, 64 << 20), "n1", clock, lambda _: None)
    for _ in range(5000):
        log.note(Record("access_denied"), anyones=True)
    log.note(Record("login_failed"), anyones=True)
    log.note(Record("access_denied", user="known"))
    clock.advance(3600)
    log.note(Record("access_denied"), anyones=True)
    log.close()
    assert len(search(tmp_path, Query(user="known")).entries) == 1
    assert len(search(tmp_path, Query(action="login_failed")).entries) == 1
    told = search(tmp_path, Query(action="audit_left_out")).entries
    assert [(entry["target"], entry["details"]) for entry in told] == [("access_denied", {"records": 4700})]
    assert len(search(tmp_path, Query(action="access_denied"), 1000).entries) == 302
