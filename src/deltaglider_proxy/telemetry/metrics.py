"""The events that the server counts. A `Metrics` belongs to one worker; what it renders is the sum over all of them.

Recording takes one lock around a few additions in memory, never around I/O, and finds its series in a dict. Methods are
named after what happened, so that callers know neither names nor labels of metrics.
"""

import threading
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deltaglider_proxy.telemetry import catalogue, processes, worker_slots
from deltaglider_proxy.telemetry.catalogue import Family
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.exposition import Exposition, HostState, Identity
from deltaglider_proxy.telemetry.http_labels import METHODS, OPERATIONS, UNKNOWN, method_label, status_label
from deltaglider_proxy.telemetry.log_lines import LEVEL_NAMES
from deltaglider_proxy.telemetry.series import SeriesFile

SIZE_WIDTH = len(catalogue.SIZE_BOUNDS) + 1
DURATION_WIDTH = len(catalogue.DURATION_BOUNDS) + 1
LOG_LEVELS = tuple(name.lower() for _, name in LEVEL_NAMES)
_BOTH = (True, False)


class AuthFailure(StrEnum):
    """Why a signature was refused."""

    MISSING_HEADER = "missing_header"
    INVALID_PRESIGNED = "invalid_presigned"
    INVALID_SIGNATURE = "invalid_signature"
    INVALID_ACCESS_KEY = "invalid_access_key"
    USER_DISABLED = "user_disabled"
    FORM_POST_DENIED = "form_post_denied"
    REPLAY = "replay"


class Denial(StrEnum):
    """Why a request was refused for what it asked, not for how it was signed."""

    POLICY = "policy"
    ADMISSION = "admission"
    MAINTENANCE = "maintenance"
    LOCKED_DATABASE = "locked_database"
    CROWDED = "crowded"


class Admission(StrEnum):
    """What an admission block said. `continue` without a block is no decision."""

    ALLOW_ANONYMOUS = "allow-anonymous"
    CONTINUE = "continue"
    DENY = "deny"
    REJECT = "reject"


class Surface(StrEnum):
    S3 = "s3"
    ADMIN = "admin"


class Throttle(StrEnum):
    DELAYED = "delayed"
    """The answer was held back."""
    LOCKED = "locked"
    """Nobody looked at the credentials."""


class ConfigSource(StrEnum):
    API = "api"
    FILE = "file"
    """An edit of the file, or a signal to read it again."""


class SweepPhase(StrEnum):
    STARTUP = "startup"
    PERIODIC = "periodic"


@dataclass(frozen=True, slots=True)
class Swept:
    """What one run of the upload sweeper removed."""

    open_uploads: int = 0
    completing_uploads: int = 0
    reclaimed_bytes: int = 0
    orphan_directories: int = 0
    orphan_files: int = 0


@dataclass(frozen=True, slots=True)
class _RequestPlaces:
    count: int
    duration: int
    request_size: int
    response_size: int


class Metrics:
    """Counts for one worker. Safe to call from any thread; `directory` must have been prepared by the server."""

    def __init__(self, directory: Path, clock: Clock, version: str, backend_type: str, codec_slots: int) -> None:
        self._clock = clock
        self._slot = worker_slots.claim(directory)
        self._file = SeriesFile(self._slot.path("values"), self._slot.path("names"))
        self._view = self._file.view
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str, int], _RequestPlaces] = {}
        self._exposition = Exposition(directory, Identity(version, backend_type))
        self._seen_peak = 0
        self._ratio = self._place(catalogue.DELTA_RATIO)
        self._encode = self._place(catalogue.DELTA_ENCODE)
        self._decode = self._place(catalogue.DELTA_DECODE)
        self._saved = self._place(catalogue.DELTA_SAVED)
        self._integrity = self._place(catalogue.INTEGRITY_FAILURES)
        self._hits = self._place(catalogue.CACHE_HITS)
        self._misses = self._place(catalogue.CACHE_MISSES)
        self._decisions = {
            kind: self._place(catalogue.DELTA_DECISIONS, kind) for kind in ("delta", "passthrough", "reference")
        }
        self._auth_success, self._auth_failure = (
            self._place(catalogue.AUTH_ATTEMPTS, result) for result in ("success", "failure")
        )
        self._auth_reasons = {reason: self._place(catalogue.AUTH_FAILURES, reason.value) for reason in AuthFailure}
        self._sweep_runs = {phase: self._place(catalogue.SWEEP_RUNS, phase.value) for phase in SweepPhase}
        self._sweep_seconds = {phase: self._place(catalogue.SWEEP_DURATION, phase.value) for phase in SweepPhase}
        self._swept_open, self._swept_completing = (
            self._place(catalogue.SWEPT_UPLOADS, state) for state in ("open", "completing")
        )
        self._swept_bytes = self._place(catalogue.SWEEP_BYTES)
        self._swept_directories = self._place(catalogue.SWEEP_ORPHAN_DIRS)
        self._swept_files = self._place(catalogue.SWEEP_ORPHAN_FILES)
        self._last_uploads = self._place(catalogue.SWEEP_LAST_UPLOADS)
        self._last_bytes = self._place(catalogue.SWEEP_LAST_BYTES)
        self._codec_available = self._place(catalogue.CODEC_AVAILABLE)
        self._audit_dropped = self._place(catalogue.AUDIT_DROPPED)
        self._sync_conflicts = self._place(catalogue.CONFIG_SYNC_CONFLICTS)
        self._denials = {reason: self._place(catalogue.ACCESS_DENIED, reason.value) for reason in Denial}
        self._admissions = {said: self._place(catalogue.ADMISSION_DECISIONS, said.value) for said in Admission}
        self._throttled = {
            (surface, decision): self._place(catalogue.THROTTLED, surface.value, decision.value)
            for surface in Surface
            for decision in Throttle
        }
        self._sign_ins = {ok: self._place(catalogue.SIGN_INS, _result(ok, "success", "failure")) for ok in _BOTH}
        self._quota_refusals = self._place(catalogue.QUOTA_REFUSALS)
        self._config_changes = {
            (source, ok): self._place(catalogue.CONFIG_CHANGES, source.value, _result(ok, "applied", "refused"))
            for source in ConfigSource
            for ok in _BOTH
        }
        self._gc_runs = {ok: self._place(catalogue.GC_RUNS, _result(ok, "done", "failed")) for ok in _BOTH}
        self._gc_removed = self._place(catalogue.GC_REMOVED)
        self._log_events = {name: self._place(catalogue.LOG_EVENTS, name) for name in LOG_LEVELS}
        self._log_dropped = self._place(catalogue.LOG_DROPPED)
        self._log_seen: dict[str, int] = {}
        self.sample(codec_slots)

    @property
    def slot(self) -> int:
        """Number of this worker among those of the host."""
        return self._slot.number

    @property
    def first_worker(self) -> bool:
        """Whether this worker does what is done once per host."""
        return self._slot.number == 0

    def request_done(
        self,
        method: str,
        operation: str,
        status: int,
        seconds: float,
        request_bytes: int | None = None,
        response_bytes: int | None = None,
    ) -> None:
        """Count one response. `seconds` from the head of the request to the head of the response; sizes are the
        Content-Length headers, None where there was none. `operation` as `http_labels.operation_of` names it.
        """
        if method not in METHODS:
            method = method_label(method)
        places = self._requests.get((method, operation, status))
        if places is None:
            places = self._request_places(method, operation, status)
        view = self._view
        duration = places.duration
        with self._lock:
            view[places.count] += 1
            view[duration + bisect_left(catalogue.DURATION_BOUNDS, seconds)] += 1
            view[duration + DURATION_WIDTH] += seconds
            if request_bytes is not None:
                self._size(places.request_size, request_bytes)
            if response_bytes is not None:
                self._size(places.response_size, response_bytes)

    def decision(self, kind: str, logical: int, stored: int) -> None:
        """An object was committed as `delta` or `passthrough`; sizes in bytes, `stored` the whole container."""
        with self._lock:
            self._view[self._decisions[kind]] += 1
            if kind == "delta" and stored < logical:
                self._view[self._saved] += logical - stored

    def promoted(self) -> None:
        """An object became a reference."""
        self._add(self._decisions["reference"])

    def encoded(self, ratio: float, seconds: float) -> None:
        """One encode, kept or not; `ratio` is delta size by object size."""
        with self._lock:
            self._observe(self._ratio, catalogue.RATIO_BOUNDS, ratio)
            self._observe(self._encode, catalogue.CODEC_BOUNDS, seconds)

    def decoded(self, seconds: float) -> None:
        with self._lock:
            self._observe(self._decode, catalogue.CODEC_BOUNDS, seconds)

    def reference_used(self, *, hit: bool) -> None:
        """A request needed a reference; `hit` if no backend read was necessary for it."""
        self._add(self._hits if hit else self._misses)

    def integrity_failed(self) -> None:
        """Stored bytes did not match their digest."""
        self._add(self._integrity)

    def auth_succeeded(self) -> None:
        """A signature was verified, not merely its key found."""
        self._add(self._auth_success)

    def auth_failed(self, reason: AuthFailure) -> None:
        """A signature was refused. A replay is counted by reason only: its signature was good."""
        with self._lock:
            self._view[self._auth_reasons[reason]] += 1
            if reason is not AuthFailure.REPLAY:
                self._view[self._auth_failure] += 1

    def sweep_done(self, phase: SweepPhase, seconds: float, swept: Swept) -> None:
        """One run of the upload sweeper."""
        uploads = swept.open_uploads + swept.completing_uploads
        now = self._clock.now()
        view = self._view
        with self._lock:
            view[self._sweep_runs[phase]] += 1
            self._observe(self._sweep_seconds[phase], catalogue.DURATION_BOUNDS, seconds)
            view[self._swept_open] += swept.open_uploads
            view[self._swept_completing] += swept.completing_uploads
            view[self._swept_bytes] += swept.reclaimed_bytes
            view[self._swept_directories] += swept.orphan_directories
            view[self._swept_files] += swept.orphan_files
            for place, value in ((self._last_uploads, uploads), (self._last_bytes, swept.reclaimed_bytes)):
                view[place], view[place + 1] = value, now

    def audit_dropped(self, records: int) -> None:
        """So many records of the audit log are lost."""
        with self._lock:
            self._view[self._audit_dropped] += records

    def denied(self, reason: Denial) -> None:
        self._add(self._denials[reason])

    def admission_decided(self, said: Admission) -> None:
        """A block of the admission chain matched."""
        self._add(self._admissions[said])

    def throttled(self, surface: Surface, decision: Throttle) -> None:
        self._add(self._throttled[surface, decision])

    def signed_in(self, *, ok: bool) -> None:
        """Somebody tried to sign in to the admin API and was listened to."""
        self._add(self._sign_ins[ok])

    def quota_refused(self) -> None:
        self._add(self._quota_refusals)

    def config_changed(self, source: ConfigSource, *, applied: bool) -> None:
        """Counted by the worker that was asked, not by those that follow it."""
        self._add(self._config_changes[source, applied])

    def backend_answers(self, name: str, *, up: bool) -> None:
        """`name` is one of the configuration."""
        self._set(catalogue.BACKEND_UP, float(up), name)

    def collected(self, removed: int | None) -> None:
        """One bucket was looked through for garbage; None: that failed."""
        with self._lock:
            self._view[self._gc_runs[removed is not None]] += 1
            self._view[self._gc_removed] += removed or 0

    def log_lines(self, counts: Mapping[str, int], dropped: int) -> None:
        """Lines of this process so far, by level in lower case, and how many of them were lost."""
        now = {**counts, "": dropped}
        with self._lock:
            for name, count in now.items():
                place = self._log_events[name] if name else self._log_dropped
                self._view[place] += count - self._log_seen.get(name, 0)
        self._log_seen = now

    def config_sync_expected(self) -> None:
        """This node shares its users. Until it has done so for the first time, the last success is at 0."""
        with self._lock:
            self._place(catalogue.CONFIG_SYNC_SUCCESS)

    def config_sync_succeeded(self, now: float) -> None:
        """This node and those that share its users have what the others have; `now` since the epoch."""
        self._set(catalogue.CONFIG_SYNC_SUCCESS, now)

    def config_sync_conflict(self) -> None:
        """Two nodes changed the same at once."""
        self._add(self._sync_conflicts)

    def sample(self, codec_available: int) -> None:
        """Publish what only this worker knows, and look at the others; call about once per second, and before `render`.

        `codec_available` is the number of free codec slots.
        """
        self._view[self._codec_available] = codec_available
        usage = self._exposition.usage()
        if usage is not None:
            self._seen_peak = max(self._seen_peak, usage.peak_resident_bytes)

    def peak_rss_bytes(self) -> int:
        """The largest resident memory of any process of the server, as last sampled; asks nobody but the kernel."""
        return max(self._seen_peak, processes.own_peak_rss())

    def cache_uses(self) -> tuple[int, int]:
        """Hits and misses of the reference cache since the start, all workers."""
        return self._exposition.cache_uses()

    def render(self, host: HostState) -> bytes:
        """Prometheus text, format 0.0.4. Takes milliseconds per worker: run it in a pool."""
        return self._exposition.render(host)

    def close(self) -> None:
        """Give the slot back. What was counted stays in the sums."""
        self._file.close()
        self._slot.release()

    def _place(self, family: Family, *labels: str) -> int:
        return self._file.offset(family.name, labels, family.width)

    def _request_places(self, method: str, operation: str, status: int) -> _RequestPlaces:
        label = operation if operation in OPERATIONS else UNKNOWN
        with self._lock:
            places = _RequestPlaces(
                self._place(catalogue.HTTP_REQUESTS, method, status_label(status), label),
                self._place(catalogue.HTTP_DURATION, method, label),
                self._place(catalogue.HTTP_REQUEST_SIZE, method),
                self._place(catalogue.HTTP_RESPONSE_SIZE, method),
            )
            if label == operation:
                self._requests[method, operation, status] = places
        return places

    def _set(self, family: Family, value: float, *labels: str) -> None:
        """Of several workers, whose value is the newest counts."""
        now = self._clock.now()
        with self._lock:
            place = self._place(family, *labels)
            self._view[place], self._view[place + 1] = value, now

    def _add(self, place: int) -> None:
        with self._lock:
            self._view[place] += 1

    def _size(self, place: int, size: int) -> None:
        self._view[place + bisect_left(catalogue.SIZE_BOUNDS, size)] += 1
        self._view[place + SIZE_WIDTH] += size

    def _observe(self, place: int, bounds: tuple[float, ...], value: float) -> None:
        self._view[place + bisect_left(bounds, value)] += 1
        self._view[place + len(bounds) + 1] += value


def _result(ok: bool, good: str, bad: str) -> str:
    return good if ok else bad
