import itertools
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deltaglider_proxy.engine.model import Kind
from deltaglider_proxy.telemetry import catalogue
from deltaglider_proxy.telemetry.clock import ManualClock
from deltaglider_proxy.telemetry.exposition import HostState
from deltaglider_proxy.telemetry.http_labels import METHODS, OPERATIONS
from deltaglider_proxy.telemetry.metrics import (
    Admission,
    AuthFailure,
    ConfigSource,
    Denial,
    Metrics,
    Surface,
    SweepPhase,
    Swept,
    Throttle,
)
from deltaglider_proxy.telemetry.series import CAPACITY
from deltaglider_proxy.telemetry.worker_slots import prepare

SPAWN = multiprocessing.get_context("spawn")

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def new_metrics(directory: Path, codec_slots: int = 2, wall: float = 1e9) -> Metrics:
    return Metrics(directory, ManualClock(wall), "1.2.3", "filesystem", codec_slots)


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[Metrics]:
    prepare(tmp_path, 1234.5)
    made = new_metrics(tmp_path)
    yield made
    made.close()


def scrape(metrics: Metrics, host: HostState | None = None) -> Samples:
    text = metrics.render(host or HostState()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


GOLDEN_TYPES = """\
process_start_time_seconds gauge
deltaglider_build_info gauge version,backend_type
process_peak_rss_bytes gauge
process_cpu_seconds_total counter
process_open_fds gauge
process_max_fds gauge
process_virtual_memory_bytes gauge
process_resident_memory_bytes gauge
process_threads gauge
deltaglider_http_requests_total counter method,status,operation
deltaglider_http_request_duration_seconds histogram method,operation
deltaglider_http_request_size_bytes histogram method
deltaglider_http_response_size_bytes histogram method
deltaglider_delta_compression_ratio histogram
deltaglider_delta_bytes_saved_total counter
deltaglider_delta_encode_duration_seconds histogram
deltaglider_delta_decode_duration_seconds histogram
deltaglider_delta_decisions_total counter decision
deltaglider_integrity_failures_total counter
deltaglider_cache_hits_total counter
deltaglider_cache_misses_total counter
deltaglider_cache_size_bytes gauge
deltaglider_cache_entries gauge
deltaglider_cache_max_bytes gauge
deltaglider_cache_utilization_ratio gauge
deltaglider_cache_miss_rate_ratio gauge
deltaglider_codec_semaphore_available gauge
deltaglider_multipart_uploads_inflight gauge
deltaglider_multipart_sweep_runs_total counter phase
deltaglider_multipart_sweep_duration_seconds histogram phase
deltaglider_multipart_swept_uploads_total counter state
deltaglider_multipart_sweep_reclaimed_bytes_total counter
deltaglider_multipart_sweep_orphan_relay_dirs_total counter
deltaglider_multipart_sweep_orphan_relay_files_total counter
deltaglider_multipart_sweep_last_uploads_reclaimed gauge
deltaglider_multipart_sweep_last_reclaimed_bytes gauge
deltaglider_auth_attempts_total counter result
deltaglider_auth_failures_total counter reason
deltaglider_access_denied_total counter reason
deltaglider_admission_decisions_total counter decision
deltaglider_throttled_total counter surface,decision
deltaglider_admin_sign_ins_total counter result
deltaglider_quota_refusals_total counter
deltaglider_config_changes_total counter source,result
deltaglider_config_sync_last_success_timestamp_seconds gauge
deltaglider_config_sync_conflicts_total counter
deltaglider_backend_up gauge backend
deltaglider_gc_runs_total counter result
deltaglider_gc_references_removed_total counter
deltaglider_log_events_total counter level
deltaglider_log_dropped_total counter
deltaglider_audit_dropped_total counter
"""


def test_names_types_and_labels_are_those_that_dashboards_rely_on() -> None:
    listed = [f"{f.name} {f.type.value} {','.join(f.labels)}".rstrip() for f in catalogue.FAMILIES]
    assert "\n".join(listed) + "\n" == GOLDEN_TYPES


def test_a_scrape_declares_every_family_once_and_has_a_sample_of_each(metrics: Metrics) -> None:
    metrics.request_done("GET", "get_object", 200, 0.1, 0, 0)
    metrics.backend_answers("main", up=True)
    metrics.config_sync_expected()
    host = HostState(backends=("main",))
    text = metrics.render(host).decode()
    declared = [line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert declared == [line.split()[:2] for line in GOLDEN_TYPES.splitlines()]
    assert [line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")] == [d[0] for d in declared]
    sampled = {name.removesuffix("_bucket") for name, _ in scrape(metrics, host)}
    assert sampled >= {name for name, _ in declared}
    assert all("pid" not in dict(labels) for _, labels in scrape(metrics))


GOLDEN_BOUNDS = {
    "deltaglider_http_request_duration_seconds": "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf",
    "deltaglider_multipart_sweep_duration_seconds": "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf",
    "deltaglider_http_request_size_bytes": "1024 10240 102400 1024000 10240000 102400000 +Inf",
    "deltaglider_http_response_size_bytes": "1024 10240 102400 1024000 10240000 102400000 +Inf",
    "deltaglider_delta_encode_duration_seconds": "0.001 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30 +Inf",
    "deltaglider_delta_decode_duration_seconds": "0.001 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30 +Inf",
    "deltaglider_delta_compression_ratio": "0.01 0.05 0.1 0.15 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1 +Inf",
}


@pytest.mark.parametrize(("name", "bounds"), GOLDEN_BOUNDS.items())
def test_bucket_bounds(metrics: Metrics, name: str, bounds: str) -> None:
    metrics.request_done("GET", "get_object", 200, 0.1, 0, 0)
    lines = metrics.render(HostState()).decode().splitlines()
    found = [line.split('le="')[1].split('"')[0] for line in lines if line.startswith(f"{name}_bucket")]
    assert found[: len(bounds.split())] == bounds.split()


def test_a_fresh_server_shows_zeros_not_gaps(metrics: Metrics) -> None:
    samples = scrape(metrics)
    for reason in AuthFailure:
        assert value(samples, "deltaglider_auth_failures_total", reason=reason.value) == 0
    for decision in ("delta", "passthrough", "reference"):
        assert value(samples, "deltaglider_delta_decisions_total", decision=decision) == 0
    assert value(samples, "deltaglider_cache_miss_rate_ratio") == 0
    assert value(samples, "deltaglider_cache_utilization_ratio") == 0
    assert value(samples, "deltaglider_codec_semaphore_available") == 2
    assert value(samples, "process_start_time_seconds") == 1234.5
    assert value(samples, "deltaglider_build_info", version="1.2.3", backend_type="filesystem") == 1


def test_a_request_counts_once_in_each_family(metrics: Metrics) -> None:
    metrics.request_done("PUT", "put_object", 200, 0.005, 1024, None)
    metrics.request_done("PUT", "put_object", 403, 0.0051, 1025, 300)
    samples = scrape(metrics)
    labels = {"method": "PUT", "operation": "put_object"}
    assert value(samples, "deltaglider_http_requests_total", status="200", **labels) == 1
    assert value(samples, "deltaglider_http_requests_total", status="403", **labels) == 1
    duration = "deltaglider_http_request_duration_seconds"
    assert [value(samples, f"{duration}_bucket", le=le, **labels) for le in ("0.005", "0.01", "+Inf")] == [1, 2, 2]
    assert value(samples, f"{duration}_count", **labels) == 2
    assert value(samples, f"{duration}_sum", **labels) == pytest.approx(0.0101)
    size = "deltaglider_http_request_size_bytes"
    assert [value(samples, f"{size}_bucket", le=le, method="PUT") for le in ("1024", "10240")] == [1, 2]
    assert value(samples, f"{size}_sum", method="PUT") == 2049
    assert value(samples, "deltaglider_http_response_size_bytes_count", method="PUT") == 1


def test_what_clients_invent_adds_no_series(metrics: Metrics) -> None:
    metrics.request_done("GET", "get_object", 200, 0.1, 0, 0)
    metrics.request_done("BREW", "unknown", 200, 0.1, 0, 0)
    before = set(scrape(metrics))
    for number in range(1000):
        metrics.request_done(f"BREW{number}", f"make_{number}", 200, 0.1, 0, 0)
    assert set(scrape(metrics)) == before
    assert value(
        scrape(metrics), "deltaglider_http_requests_total", method="OTHER", operation="unknown", status="200"
    ) == (1001)


def test_all_combinations_of_labels_fit_in_the_file(metrics: Metrics) -> None:
    for method, operation, status in itertools.product([*METHODS, "X"], OPERATIONS, HTTPStatus):
        metrics.request_done(method, operation, status, 0.1, 0, 0)
    assert len(METHODS) * len(OPERATIONS) * len(HTTPStatus) < CAPACITY


def test_decisions_and_savings_as_the_engine_tells_them(metrics: Metrics) -> None:
    metrics.decision(Kind.DELTA, 1000, 100)
    metrics.decision(Kind.DELTA, 100, 1000)
    metrics.decision(Kind.IDENTITY, 1000, 10)
    metrics.promoted()
    samples = scrape(metrics)
    counts = [
        value(samples, "deltaglider_delta_decisions_total", decision=d) for d in ("delta", "passthrough", "reference")
    ]
    assert counts == [2, 1, 1]
    assert value(samples, "deltaglider_delta_bytes_saved_total") == 900


def test_codec_and_cache_events(metrics: Metrics) -> None:
    metrics.encoded(0.01, 0.001)
    metrics.encoded(2.0, 40.0)
    metrics.decoded(0.002)
    for hit in (True, False, False, False):
        metrics.reference_used(hit=hit)
    metrics.integrity_failed()
    metrics.sample(1)
    samples = scrape(metrics, HostState(50, 3, 200, 7))
    assert value(samples, "deltaglider_delta_compression_ratio_bucket", le="0.01") == 1
    assert value(samples, "deltaglider_delta_compression_ratio_bucket", le="1") == 1
    assert value(samples, "deltaglider_delta_compression_ratio_count") == 2
    assert value(samples, "deltaglider_delta_encode_duration_seconds_sum") == pytest.approx(40.001)
    assert value(samples, "deltaglider_delta_decode_duration_seconds_count") == 1
    assert value(samples, "deltaglider_integrity_failures_total") == 1
    assert value(samples, "deltaglider_cache_miss_rate_ratio") == 0.75
    assert value(samples, "deltaglider_cache_utilization_ratio") == 0.25
    assert value(samples, "deltaglider_cache_size_bytes") == 50
    assert value(samples, "deltaglider_cache_entries") == 3
    assert value(samples, "deltaglider_cache_max_bytes") == 200
    assert value(samples, "deltaglider_multipart_uploads_inflight") == 7
    assert value(samples, "deltaglider_codec_semaphore_available") == 1
    assert metrics.cache_uses() == (1, 3)


@pytest.mark.parametrize("reason", list(AuthFailure))
def test_every_failure_has_its_reason_and_a_replay_is_no_failed_attempt(metrics: Metrics, reason: AuthFailure) -> None:
    metrics.auth_succeeded()
    metrics.auth_failed(reason)
    samples = scrape(metrics)
    assert value(samples, "deltaglider_auth_failures_total", reason=reason.value) == 1
    assert value(samples, "deltaglider_auth_attempts_total", result="success") == 1
    failures = value(samples, "deltaglider_auth_attempts_total", result="failure")
    assert failures == (0 if reason is AuthFailure.REPLAY else 1)


def test_sweeps(metrics: Metrics) -> None:
    metrics.sweep_done(SweepPhase.STARTUP, 0.1, Swept(2, 1, 500, 3, 4))
    metrics.sweep_done(SweepPhase.PERIODIC, 0.2, Swept(1, 0, 20))
    samples = scrape(metrics)
    assert value(samples, "deltaglider_multipart_sweep_runs_total", phase="startup") == 1
    assert value(samples, "deltaglider_multipart_sweep_duration_seconds_sum", phase="periodic") == 0.2
    assert value(samples, "deltaglider_multipart_swept_uploads_total", state="open") == 3
    assert value(samples, "deltaglider_multipart_swept_uploads_total", state="completing") == 1
    assert value(samples, "deltaglider_multipart_sweep_reclaimed_bytes_total") == 520
    assert value(samples, "deltaglider_multipart_sweep_orphan_relay_dirs_total") == 3
    assert value(samples, "deltaglider_multipart_sweep_orphan_relay_files_total") == 4
    assert value(samples, "deltaglider_multipart_sweep_last_uploads_reclaimed") == 1
    assert value(samples, "deltaglider_multipart_sweep_last_reclaimed_bytes") == 20


def test_what_the_operator_decides(metrics: Metrics) -> None:
    metrics.denied(Denial.POLICY)
    metrics.admission_decided(Admission.REJECT)
    metrics.throttled(Surface.ADMIN, Throttle.LOCKED)
    metrics.signed_in(ok=False)
    metrics.signed_in(ok=True)
    metrics.quota_refused()
    metrics.config_changed(ConfigSource.FILE, applied=False)
    metrics.collected(3)
    metrics.collected(None)
    samples = scrape(metrics)
    assert value(samples, "deltaglider_access_denied_total", reason="policy") == 1
    assert value(samples, "deltaglider_access_denied_total", reason="admission") == 0
    assert value(samples, "deltaglider_admission_decisions_total", decision="reject") == 1
    assert value(samples, "deltaglider_throttled_total", surface="admin", decision="locked") == 1
    assert value(samples, "deltaglider_throttled_total", surface="s3", decision="locked") == 0
    assert value(samples, "deltaglider_admin_sign_ins_total", result="failure") == 1
    assert value(samples, "deltaglider_admin_sign_ins_total", result="success") == 1
    assert value(samples, "deltaglider_quota_refusals_total") == 1
    assert value(samples, "deltaglider_config_changes_total", source="file", result="refused") == 1
    assert value(samples, "deltaglider_gc_runs_total", result="failed") == 1
    assert value(samples, "deltaglider_gc_references_removed_total") == 3


def test_only_backends_of_the_configuration_are_told_of(tmp_path: Path) -> None:
    prepare(tmp_path, 1.0)
    clock = ManualClock()
    workers = [Metrics(tmp_path, clock, "1", "s3", 1) for _ in range(2)]
    workers[0].backend_answers("main", up=True)
    workers[0].backend_answers("former", up=False)
    clock.advance(1)
    workers[1].backend_answers("main", up=False)
    samples = scrape(workers[0], HostState(backends=("main", "new")))
    found = {dict(labels)["backend"]: up for (name, labels), up in samples.items() if name == "deltaglider_backend_up"}
    assert found == {"main": 0}, "the newest answer counts, and what was not asked has none"
    for worker in workers:
        worker.close()


def test_log_lines_are_added_to_those_of_the_predecessor(tmp_path: Path) -> None:
    prepare(tmp_path, 1.0)
    first = new_metrics(tmp_path)
    first.log_lines({"info": 5, "error": 1}, 2)
    first.log_lines({"info": 7, "error": 1}, 2)
    first.close()
    second = new_metrics(tmp_path)
    second.log_lines({"info": 1}, 1)
    samples = scrape(second)
    assert value(samples, "deltaglider_log_events_total", level="info") == 8
    assert value(samples, "deltaglider_log_events_total", level="error") == 1
    assert value(samples, "deltaglider_log_dropped_total") == 3
    second.close()


def test_sharing_of_users_has_a_time_only_where_it_is_configured(metrics: Metrics) -> None:
    name = "deltaglider_config_sync_last_success_timestamp_seconds"
    assert (name, ()) not in scrape(metrics)
    metrics.config_sync_expected()
    assert value(scrape(metrics), name) == 0
    metrics.config_sync_succeeded(1234.0)
    assert value(scrape(metrics), name) == 1234


def test_threads_lose_no_count(metrics: Metrics) -> None:
    def work(_number: int) -> None:
        for _ in range(2000):
            metrics.reference_used(hit=True)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert metrics.cache_uses() == (8000, 0)


def count_in_a_worker(directory: Path, requests: int, pipe: Connection) -> None:
    metrics = new_metrics(directory, codec_slots=4)
    for _ in range(requests):
        metrics.request_done("GET", "get_object", 200, 0.2, None, 10)
    metrics.sweep_done(SweepPhase.PERIODIC, 0.1, Swept(9))
    ballast = bytes(64 << 20)
    pipe.send(len(ballast))
    pipe.recv()


def test_two_processes_look_like_one_and_a_death_takes_nothing_back(tmp_path: Path) -> None:
    prepare(tmp_path, 1.0)
    here, there = SPAWN.Pipe()
    worker = SPAWN.Process(target=count_in_a_worker, args=(tmp_path, 3, there))
    worker.start()
    assert here.recv() == 64 << 20
    mine = new_metrics(tmp_path, codec_slots=2, wall=2e9)
    mine.request_done("GET", "get_object", 200, 0.2, None, 10)
    mine.sweep_done(SweepPhase.PERIODIC, 0.1, Swept(1))
    mine.sample(2)
    labels = {"method": "GET", "operation": "get_object"}
    try:
        both = scrape(mine)
        assert value(both, "deltaglider_http_requests_total", status="200", **labels) == 4
        assert value(both, "deltaglider_http_request_duration_seconds_bucket", le="0.25", **labels) == 4
        assert value(both, "deltaglider_codec_semaphore_available") == 6
        assert value(both, "deltaglider_multipart_sweep_last_uploads_reclaimed") == 1
        assert value(both, "process_threads") >= 2
        assert value(both, "process_peak_rss_bytes") >= 64 << 20
        assert mine.peak_rss_bytes() >= 64 << 20
        assert mine.first_worker is False
    finally:
        worker.kill()
        worker.join()
    one = scrape(mine)
    assert value(one, "deltaglider_http_requests_total", status="200", **labels) == 4
    assert value(one, "deltaglider_codec_semaphore_available") == 2
    assert value(one, "process_cpu_seconds_total") >= value(both, "process_cpu_seconds_total") > 0

    successor = new_metrics(tmp_path)
    successor.request_done("GET", "get_object", 200, 0.2, None, 10)
    assert successor.first_worker is True
    assert value(scrape(mine), "deltaglider_http_requests_total", status="200", **labels) == 5
    successor.close()
    mine.close()
    here.close()
    there.close()


def test_process_numbers_are_those_of_this_process(metrics: Metrics) -> None:
    samples = scrape(metrics)
    assert value(samples, "process_open_fds") == pytest.approx(len(list(Path("/proc/self/fd").iterdir())), abs=3)
    assert value(samples, "process_max_fds") >= value(samples, "process_open_fds")
    assert value(samples, "process_resident_memory_bytes") <= value(samples, "process_peak_rss_bytes")
