"""What the harness must notice: a checker that never accuses anybody would pass everything."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.wire import Wire
from tests.soak import verify
from tests.soak.content import Content
from tests.soak.objects import BUCKET, PREFIX, ObjectClient, Target, headers_of, path_of
from tests.soak.place import Place

ONE, OTHER = Content(2, 11), Content(2, 24)
assert ONE.size == OTHER.size


def put(target: Target, key: str, content: Content) -> None:
    version = target.ledger.begin(PREFIX + key, [content.tag])
    answer = target.wire.request("PUT", path_of(key), headers=headers_of(content), body=content.data())
    assert answer.status == 200
    target.ledger.acknowledged(version)


@pytest.fixture
def filled(target: Target) -> Target:
    for number in range(3):
        put(target, f"fam2/{number}.bin", Content(2, 1 + number))
    put(target, "fam2/one.bin", ONE)
    return target


def test_a_good_store_passes(filled: Target) -> None:
    assert verify.objects(filled) == 4
    assert filled.findings.found == []


def forget(wire: Wire) -> None:
    wire.request("DELETE", path_of("fam2/one.bin"))


def exchange(wire: Wire) -> None:
    wire.request("PUT", path_of("fam2/one.bin"), headers=headers_of(OTHER), body=OTHER.data())


def mix(wire: Wire) -> None:
    wire.request("PUT", path_of("fam2/one.bin"), headers=headers_of(ONE), body=OTHER.data())


def cut(wire: Wire) -> None:
    wire.request("PUT", path_of("fam2/one.bin"), headers=headers_of(ONE), body=ONE.data()[:-1])


def invent(wire: Wire) -> None:
    wire.request("PUT", path_of("fam2/nobodys.bin"), headers=headers_of(ONE), body=ONE.data())


@pytest.mark.parametrize(
    ("harm", "kind"),
    [(forget, "lost"), (exchange, "wrong state"), (mix, "wrong bytes"), (cut, "wrong bytes"), (invent, "foreign")],
)
def test_harm_behind_the_back_of_the_clients_is_found(filled: Target, harm: Callable[[Wire], None], kind: str) -> None:
    harm(filled.wire)
    verify.objects(filled)
    assert kind in {found.kind for found in filled.findings.found}


def test_a_reference_that_is_gone_is_found(filled: Target, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    references = [p for p in (place.server.data / BUCKET / ".deltaglider/v1/refs").rglob("*") if p.is_file()]
    assert references, "no deltas arose"
    kept = {path: path.read_bytes() for path in references}
    aside = [path.rename(path.with_name(f"{path.name}.aside")) for path in references]
    try:
        filled.findings.calm = False
        monkeypatch.setattr(verify, "PATIENCE", 0.2)
        verify.objects(filled)
        assert {found.kind for found in filled.findings.found} >= {"unreadable"}
    finally:
        for path in aside:
            path.rename(path.with_name(path.name.removesuffix(".aside")))
    assert all(path.read_bytes() == data for path, data in kept.items())


def test_clients_and_a_good_store_agree(target: Target) -> None:
    stop = threading.Event()
    clients = [ObjectClient(target, number, 3, random.Random(number), stop) for number in range(3)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while target.ledger.counts["ack"] < 60 and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    verify.objects(target)
    assert target.findings.found == []
    assert target.findings.reads > 20


def test_the_journal_lies_outside_of_the_server(place: Place, tmp_path: Path) -> None:
    assert tmp_path not in place.server.root.parents
    assert place.server.root not in tmp_path.parents
