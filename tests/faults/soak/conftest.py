"""Runs of the harness that are short enough for every day; `python -m tests.soak` is the long one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.wire import Wire
from tests.soak.findings import Findings
from tests.soak.ledger import Journal, Ledger
from tests.soak.objects import BUCKET, Target
from tests.soak.place import Kind, Place, opened
from tests.soak.run import Plan, Report, run

Go = Callable[[Plan], Report]


@pytest.fixture
def go(tmp_path: Path) -> Go:
    """Runs a plan, which must be good."""

    def checked(plan: Plan) -> Report:
        told: list[str] = []
        report = run(plan, tmp_path / "soak", told.append)
        if report.left_out and not report.rounds:
            pytest.skip(str(report.left_out))
        assert report.good, "\n".join([f"seed {plan.seed}", *told])
        assert report.acknowledged > 0
        return report

    return checked


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with opened(tmp_path_factory.mktemp("place"), Kind.FILESYSTEM, 1, with_disk=False) as running:
        running.server.client().create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture
def target(place: Place, tmp_path: Path) -> Iterator[Target]:
    """With an empty ledger, and an empty bucket."""
    s3 = place.server.client()
    for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])
    journal = Journal(tmp_path / "journal")
    yield Target(Wire(place.server), Ledger(journal.write), Findings(), on_service=False)
    journal.close()
