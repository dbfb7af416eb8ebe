"""`reference/metrics.md`, from the catalogue of metrics."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Final

from deltaglider_proxy.telemetry.catalogue import FAMILIES, Family, Merge, MetricType
from deltaglider_proxy.telemetry.http_labels import METHODS, OPERATIONS, OTHER_METHOD
from deltaglider_proxy.telemetry.metrics import (
    LOG_LEVELS,
    Admission,
    AuthFailure,
    ConfigSource,
    Denial,
    Surface,
    SweepPhase,
    Throttle,
)
from tools.reference.markdown import cell, code, page, table

_HEAD: Final = """\
`GET /_/metrics` answers in the text format of Prometheus, version 0.0.4, without credentials. One scrape is of the
whole server: what several workers counted is one number, and no label names a worker. No label holds a bucket, a key, a
user or an address, so the number of series does not depend on what clients send."""

_SECTIONS: Final[Mapping[str, str]] = {
    "process": "Process",
    "build": "Process",
    "http": "Requests",
    "delta": "Deltas and caches",
    "integrity": "Deltas and caches",
    "cache": "Deltas and caches",
    "codec": "Deltas and caches",
    "multipart": "Uploads",
    "auth": "Access",
    "access": "Access",
    "admission": "Access",
    "throttled": "Access",
    "admin": "Access",
    "quota": "Access",
    "config": "Configuration and storage",
    "backend": "Configuration and storage",
    "gc": "Configuration and storage",
    "log": "Logs",
    "audit": "Logs",
}
"""By the first word of a name after `deltaglider_`; a metric without a section is a mistake."""

_VALUES: Final[Mapping[str, Iterable[str]]] = {
    "method": [*METHODS, OTHER_METHOD],
    "operation": OPERATIONS,
    "phase": SweepPhase,
    "state": ("open", "completing"),
    "surface": Surface,
    "source": ConfigSource,
    "level": LOG_LEVELS,
    "deltaglider_delta_decisions_total decision": ("delta", "passthrough", "reference"),
    "deltaglider_admission_decisions_total decision": Admission,
    "deltaglider_throttled_total decision": Throttle,
    "deltaglider_auth_failures_total reason": AuthFailure,
    "deltaglider_access_denied_total reason": Denial,
    "deltaglider_auth_attempts_total result": ("success", "failure"),
    "deltaglider_admin_sign_ins_total result": ("success", "failure"),
    "deltaglider_config_changes_total result": ("applied", "refused"),
    "deltaglider_gc_runs_total result": ("done", "failed"),
    "status": ("the code of the answer",),
    "version": ("of the server",),
    "backend_type": ("`filesystem` or `s3`, of the default backend",),
    "backend": ("names of the configuration",),
}
_PROSE: Final = frozenset({"status", "version", "backend_type", "backend"})

_OVER_WORKERS: Final[Mapping[Merge, str]] = {
    Merge.SUM: "sum since the start",
    Merge.LIVE_SUM: "sum over those alive",
    Merge.LATEST: "the newest value",
    Merge.AT_SCRAPE: "computed at the scrape",
}


def metrics() -> str:
    blocks = [_HEAD, "How to scrape, alerts and a dashboard: [Monitor it](../how-to/monitor.md)."]
    for section, families in groupby(FAMILIES, key=_section):
        kept = list(families)
        rows = [(code(each.name), each.type.value, cell(each.help), _OVER_WORKERS[each.merge]) for each in kept]
        blocks += [f"## {section}", table(("metric", "type", "meaning", "over workers"), rows)]
        blocks += ["\n".join(line for family in kept for line in _labels(family))]
    blocks += ["## Bounds of histograms", table(("metric", "upper bounds, besides infinity"), _bounds())]
    return page("Metrics", *blocks)


def _section(family: Family) -> str:
    return _SECTIONS[family.name.removeprefix("deltaglider_").partition("_")[0]]


def _labels(family: Family) -> Iterable[str]:
    for label in family.labels:
        values = _VALUES[label] if label in _VALUES else _VALUES[f"{family.name} {label}"]
        shown = ", ".join(values) if label in _PROSE else ", ".join(code(value) or "" for value in sorted(values))
        yield f"- {code(family.name)}, label {code(label)}: {shown}"


def _bounds() -> Iterable[tuple[str, str]]:
    for family in FAMILIES:
        if family.type is MetricType.HISTOGRAM:
            yield code(family.name) or "", " ".join(f"{bound:.10g}" for bound in family.bounds)
