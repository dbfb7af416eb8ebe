"""The harness against a real server: something of it every day, all of it in `make test-all`."""

import pytest

from tests.faults.soak.conftest import Go
from tests.soak.faults import FAULTS
from tests.soak.place import Kind
from tests.soak.run import Plan


def test_a_disk_that_is_full_and_a_server_that_is_killed(go: Go) -> None:
    faults = ("kill-server", "disk-full")
    go(Plan(1, rounds=2, faults=faults, blow=0.5, calm=0.3, clients=4, storage_every=2, workers=1))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("number", "fault"), list(enumerate(f.name for f in FAULTS if "service" not in f.name)))
def test_each_fault_of_a_host(go: Go, number: int, fault: str) -> None:
    go(Plan(number, rounds=2, faults=(fault,), blow=4.0, storage_every=2, workers=1 + number % 3))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["kill-server", "kill-workers", *(f.name for f in FAULTS if "service" in f.name)])
def test_faults_before_a_service(go: Go, fault: str) -> None:
    go(Plan(3, rounds=2, kind=Kind.VERSITYGW, faults=(fault,), blow=4.0, storage_every=2))
