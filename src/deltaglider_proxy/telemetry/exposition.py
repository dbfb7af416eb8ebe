"""One scrape over all workers: their files merged, the processes summed, the gauges computed.

No sample names a worker, so that dashboards do not change with the number of workers or with a restart of one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from deltaglider_proxy.telemetry import catalogue, processes, worker_slots
from deltaglider_proxy.telemetry.catalogue import Family, Merge, MetricType
from deltaglider_proxy.telemetry.processes import ProcessUsage
from deltaglider_proxy.telemetry.series import read_series

CONTENT_TYPE = "text/plain; version=0.0.4"

_Values = dict[tuple[str, ...], list[float]]
"""Of one family, by labels."""


@dataclass(frozen=True, slots=True)
class HostState:
    """What every worker sees the same, read when a scrape asks."""

    cache_size_bytes: int = 0
    cache_entries: int = 0
    cache_max_bytes: int = 0
    multipart_uploads: int = 0
    backends: tuple[str, ...] = ()
    """Those of the configuration of now: what was known of others is not told any more."""


@dataclass(frozen=True, slots=True)
class Identity:
    version: str
    backend_type: str
    """Of the default backend."""


class Exposition:
    """Reads what all workers wrote; writes nothing."""

    def __init__(self, directory: Path, identity: Identity) -> None:
        self._directory = directory
        self._identity = identity
        self._server = worker_slots.server_facts(directory)

    def usage(self) -> ProcessUsage | None:
        """What all living processes of the server use."""
        return processes.total([self._server.pid, *worker_slots.live_slots(self._directory).values()])

    def cache_uses(self) -> tuple[int, int]:
        """Hits and misses, all workers."""
        return _cache_uses(self._merged(frozenset()))

    def render(self, host: HostState) -> bytes:
        live = worker_slots.live_slots(self._directory)
        values = self._merged(frozenset(live))
        usage = processes.total([self._server.pid, *live.values()])
        computed = self._computed(host, usage, *_cache_uses(values))
        asked = values.pop(catalogue.BACKEND_UP.name, {})
        computed[catalogue.BACKEND_UP.name] = {(name,): asked[name,] for name in host.backends if (name,) in asked}
        text: bytes = generate_latest(_Snapshot(values | computed))
        return text

    def _merged(self, live: frozenset[int]) -> dict[str, _Values]:
        families = {family.name: family for family in catalogue.FAMILIES}
        merged: dict[str, _Values] = {}
        for number in worker_slots.all_slots(self._directory):
            paths = (worker_slots.slot_path(self._directory, number, suffix) for suffix in ("values", "names"))
            for series, numbers in read_series(*paths):
                family = families[series.family]
                if family.merge is Merge.LIVE_SUM and number not in live:
                    continue
                by_labels = merged.setdefault(series.family, {})
                known = by_labels.get(series.labels)
                by_labels[series.labels] = numbers if known is None else _merge(family.merge, known, numbers)
        return merged

    def _computed(self, host: HostState, usage: ProcessUsage | None, hits: int, misses: int) -> dict[str, _Values]:
        uses = hits + misses
        gauges: list[tuple[Family, float]] = [
            (catalogue.PROCESS_START, self._server.started),
            (catalogue.CACHE_SIZE, host.cache_size_bytes),
            (catalogue.CACHE_ENTRIES, host.cache_entries),
            (catalogue.CACHE_MAX, host.cache_max_bytes),
            (catalogue.CACHE_UTILIZATION, host.cache_size_bytes / host.cache_max_bytes if host.cache_max_bytes else 0),
            (catalogue.CACHE_MISS_RATE, misses / uses if uses else 0),
            (catalogue.UPLOADS_INFLIGHT, host.multipart_uploads),
        ]
        if usage is not None:
            gauges += [
                (catalogue.PROCESS_PEAK_RSS, max(usage.peak_resident_bytes, processes.own_peak_rss())),
                (catalogue.PROCESS_CPU, usage.cpu_seconds),
                (catalogue.PROCESS_OPEN_FDS, usage.open_fds),
                (catalogue.PROCESS_MAX_FDS, usage.max_fds),
                (catalogue.PROCESS_VIRTUAL, usage.virtual_bytes),
                (catalogue.PROCESS_RESIDENT, usage.resident_bytes),
                (catalogue.PROCESS_THREADS, usage.threads),
            ]
        else:
            gauges.append((catalogue.PROCESS_PEAK_RSS, processes.own_peak_rss()))
        computed: dict[str, _Values] = {family.name: {(): [float(value)]} for family, value in gauges}
        computed[catalogue.BUILD_INFO.name] = {(self._identity.version, self._identity.backend_type): [1.0]}
        return computed


class _Snapshot:
    def __init__(self, values: dict[str, _Values]) -> None:
        self._values = values

    def collect(self) -> Iterable[Metric]:
        for family in catalogue.FAMILIES:
            yield _exposed(family, self._values.get(family.name, {}))


def _exposed(family: Family, values: _Values) -> Metric:
    ordered = sorted(values.items())
    match family.type:
        case MetricType.COUNTER:
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for labels, numbers in ordered:
                counter.add_metric(labels, numbers[0])
            return counter
        case MetricType.GAUGE:
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for labels, numbers in ordered:
                gauge.add_metric(labels, numbers[0])
            return gauge
        case MetricType.HISTOGRAM:
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            bounds = [*(f"{bound:.10g}" for bound in family.bounds), "+Inf"]
            for labels, numbers in ordered:
                buckets = [(bound, count) for bound, count in zip(bounds, accumulate(numbers[:-1]), strict=True)]
                histogram.add_metric(labels, buckets, numbers[-1])
            return histogram


def _merge(rule: Merge, known: list[float], numbers: list[float]) -> list[float]:
    if rule is Merge.LATEST:
        return max(known, numbers, key=lambda pair: pair[1])
    return [one + other for one, other in zip(known, numbers, strict=True)]


def _cache_uses(values: dict[str, _Values]) -> tuple[int, int]:
    hits, misses = (
        int(values.get(family.name, {}).get((), [0.0])[0]) for family in (catalogue.CACHE_HITS, catalogue.CACHE_MISSES)
    )
    return hits, misses
