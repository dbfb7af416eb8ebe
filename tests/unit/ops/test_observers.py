"""What requests leave in the metrics, for the outcomes that an ordinary server seldom sees."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deltaglider_proxy.access.admission.chain import CONTINUE, Decision, Verdict
from deltaglider_proxy.access.auditor import Actor, NoLog
from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.control.audit.record import Outcome
from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.s3.observe import Observer
from deltaglider_proxy.server.admin_watch import AdminWatch, CountedAuditor
from deltaglider_proxy.telemetry.clock import ManualClock
from deltaglider_proxy.telemetry.exposition import HostState
from deltaglider_proxy.telemetry.metrics import Admission, Metrics
from deltaglider_proxy.telemetry.tracing import Done, NoTraces
from deltaglider_proxy.telemetry.worker_slots import prepare


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[Metrics]:
    prepare(tmp_path, 0.0)
    made = Metrics(tmp_path, ManualClock(), "1", "filesystem", 1)
    yield made
    made.close()


def counted(metrics: Metrics) -> dict[str, float]:
    """What is not zero, as name and values of labels, in the order of their names."""
    families = text_string_to_metric_families(metrics.render(HostState()).decode())
    return {
        " ".join(
            [sample.name.removeprefix("deltaglider_"), *(value for _, value in sorted(sample.labels.items()))]
        ): sample.value
        for family in families
        for sample in family.samples
        if sample.value and family.type == "counter" and not sample.name.startswith("process_")
    }


def error(reason: Reason, delay: float = 0.0) -> AccessError:
    made = AccessError(reason, "no")
    made.delay = delay
    return made


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (error(Reason.DENIED), {"access_denied_total policy"}),
        (error(Reason.BLOCKED), {"access_denied_total admission", "admission_decisions_total deny"}),
        (error(Reason.MAINTENANCE), {"access_denied_total maintenance"}),
        (error(Reason.LOCKED_DATABASE), {"access_denied_total locked_database"}),
        (error(Reason.CROWDED), {"access_denied_total crowded"}),
        (error(Reason.LOCKED_OUT), {"throttled_total locked s3"}),
        (error(Reason.REPLAYED), {"auth_failures_total replay"}),
        (
            error(Reason.BAD_SIGNATURE, 0.2),
            {"auth_attempts_total failure", "auth_failures_total invalid_signature", "throttled_total delayed s3"},
        ),
        (error(Reason.UNKNOWN_KEY), {"auth_attempts_total failure", "auth_failures_total invalid_access_key"}),
    ],
    ids=lambda value: str(value.reason) if isinstance(value, AccessError) else "",
)
def test_each_refusal_counts_once_where_it_belongs(metrics: Metrics, refusal: AccessError, expected: set[str]) -> None:
    Observer(metrics, ManualClock()).refused(refusal)
    assert counted(metrics) == dict.fromkeys(expected, 1)


@pytest.mark.parametrize("reason", list(Reason))
def test_no_reason_is_forgotten(metrics: Metrics, reason: Reason) -> None:
    Observer(metrics, ManualClock()).refused(error(reason))
    assert counted(metrics)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_block_that_matched_is_counted_by_what_it_said(metrics: Metrics, verdict: Verdict) -> None:
    observer = Observer(metrics, ManualClock())
    observer.admitted(CONTINUE)
    assert counted(metrics) == {}
    observer.admitted(Decision(verdict, "block"))
    assert counted(metrics) == {f"admission_decisions_total {verdict}": 1}
    assert {str(each) for each in Verdict} == {str(each) for each in Admission}


def test_of_failures_of_the_store_quotas_are_counted(metrics: Metrics) -> None:
    observer = Observer(metrics, ManualClock())
    observer.failed(engine.NoSuchKey("k"))
    observer.failed(engine.QuotaExceeded(5))
    assert counted(metrics) == {"quota_refusals_total": 1}


def test_too_many_attempts_at_the_admin_api(metrics: Metrics) -> None:
    watch = AdminWatch(metrics, NoTraces())
    for status in (200, 401, 429):
        watch.request_done(Done("POST x", "x", "POST", status, 0.0, 0.0, "id"))
    assert counted(metrics) == {"throttled_total locked admin": 1}


async def test_whoever_signs_in_is_counted_and_whoever_signs_out_is_not(metrics: Metrics) -> None:
    auditor = CountedAuditor(NoLog(), metrics, object_writes=False)
    for action, outcome in (
        ("login", Outcome.OK),
        ("login_failed", Outcome.FAILED),
        ("login_as_denied", Outcome.DENIED),
        ("logout", Outcome.OK),
    ):
        await auditor.sign_in(Actor(), action, "", outcome)
    assert counted(metrics) == {"admin_sign_ins_total success": 1, "admin_sign_ins_total failure": 2}
