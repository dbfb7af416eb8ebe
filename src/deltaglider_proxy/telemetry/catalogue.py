"""Every metric there is: name, type, labels, buckets. What is not listed here cannot be recorded.

Labels hold no bucket, key, user or address, so the number of series does not depend on what clients send.
"""

from dataclasses import dataclass
from enum import StrEnum


class MetricType(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Merge(StrEnum):
    """How the values of several workers become one."""

    SUM = "sum"
    """Over all workers that ever were."""
    LIVE_SUM = "live_sum"
    """Over the workers that are alive."""
    LATEST = "latest"
    """The value that was set last; stored with its time."""
    AT_SCRAPE = "at_scrape"
    """Not recorded: computed when asked for."""


DURATION_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CODEC_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZE_BOUNDS = tuple(1024.0 * 10**n for n in range(6))
RATIO_BOUNDS = (0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Upper bounds of the buckets, without infinity."""
    merge: Merge = Merge.SUM

    @property
    def width(self) -> int:
        """Doubles per series: a histogram keeps one per bucket, infinity included, and the sum."""
        if self.type is MetricType.HISTOGRAM:
            return len(self.bounds) + 2
        return 2 if self.merge is Merge.LATEST else 1


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(name, MetricType.COUNTER, text, labels)


def _histogram(name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Family:
    return Family(name, MetricType.HISTOGRAM, text, labels, bounds)


def _gauge(name: str, text: str, *labels: str, merge: Merge = Merge.AT_SCRAPE) -> Family:
    return Family(name, MetricType.GAUGE, text, labels, merge=merge)


PROCESS_START = _gauge("process_start_time_seconds", "Start of the server, seconds since the epoch.")
BUILD_INFO = _gauge("deltaglider_build_info", "Always 1; the labels say what runs.", "version", "backend_type")
PROCESS_PEAK_RSS = _gauge("process_peak_rss_bytes", "Largest resident memory that any process of the server had.")
PROCESS_CPU = Family(
    "process_cpu_seconds_total",
    MetricType.COUNTER,
    "User and system CPU time of all processes of the server.",
    merge=Merge.AT_SCRAPE,
)
PROCESS_OPEN_FDS = _gauge("process_open_fds", "Open file descriptors, all processes of the server.")
PROCESS_MAX_FDS = _gauge("process_max_fds", "Allowed file descriptors, all processes of the server.")
PROCESS_VIRTUAL = _gauge("process_virtual_memory_bytes", "Virtual memory, all processes of the server.")
PROCESS_RESIDENT = _gauge(
    "process_resident_memory_bytes", "Resident memory, all processes; shared pages count in each."
)
PROCESS_THREADS = _gauge("process_threads", "Threads of all processes of the server.")

HTTP_REQUESTS = _counter("deltaglider_http_requests_total", "Completed requests.", "method", "status", "operation")
HTTP_DURATION = _histogram(
    "deltaglider_http_request_duration_seconds",
    "From the head of the request to the head of the response.",
    DURATION_BOUNDS,
    "method",
    "operation",
)
HTTP_REQUEST_SIZE = _histogram(
    "deltaglider_http_request_size_bytes", "Content-Length of requests that have one.", SIZE_BOUNDS, "method"
)
HTTP_RESPONSE_SIZE = _histogram(
    "deltaglider_http_response_size_bytes", "Content-Length of responses that have one.", SIZE_BOUNDS, "method"
)

DELTA_RATIO = _histogram(
    "deltaglider_delta_compression_ratio", "Size of the delta by size of the object, per encode.", RATIO_BOUNDS
)
DELTA_SAVED = _counter("deltaglider_delta_bytes_saved_total", "Object size less stored size, over committed deltas.")
DELTA_ENCODE = _histogram("deltaglider_delta_encode_duration_seconds", "Wall time of encodes.", CODEC_BOUNDS)
DELTA_DECODE = _histogram("deltaglider_delta_decode_duration_seconds", "Wall time of decodes.", CODEC_BOUNDS)
DELTA_DECISIONS = _counter("deltaglider_delta_decisions_total", "How objects were stored.", "decision")
INTEGRITY_FAILURES = _counter(
    "deltaglider_integrity_failures_total", "Stored bytes that did not match their digest; none of them was served."
)
CACHE_HITS = _counter("deltaglider_cache_hits_total", "Uses of a reference that needed no backend read.")
CACHE_MISSES = _counter("deltaglider_cache_misses_total", "Uses of a reference that needed a backend read.")
CACHE_SIZE = _gauge("deltaglider_cache_size_bytes", "Bytes in the reference cache.")
CACHE_ENTRIES = _gauge("deltaglider_cache_entries", "Files in the reference cache.")
CACHE_MAX = _gauge("deltaglider_cache_max_bytes", "Capacity of the reference cache.")
CACHE_UTILIZATION = _gauge("deltaglider_cache_utilization_ratio", "Size by capacity of the reference cache.")
CACHE_MISS_RATE = _gauge("deltaglider_cache_miss_rate_ratio", "Misses by all uses of references since the start.")
CODEC_AVAILABLE = _gauge(
    "deltaglider_codec_semaphore_available", "Free codec slots, all workers; 0 is saturation.", merge=Merge.LIVE_SUM
)

UPLOADS_INFLIGHT = _gauge("deltaglider_multipart_uploads_inflight", "Open multipart uploads.")
SWEEP_RUNS = _counter("deltaglider_multipart_sweep_runs_total", "Runs of the upload sweeper.", "phase")
SWEEP_DURATION = _histogram(
    "deltaglider_multipart_sweep_duration_seconds", "Wall time of sweeper runs.", DURATION_BOUNDS, "phase"
)
SWEPT_UPLOADS = _counter("deltaglider_multipart_swept_uploads_total", "Uploads that the sweeper removed.", "state")
SWEEP_BYTES = _counter("deltaglider_multipart_sweep_reclaimed_bytes_total", "Bytes that the sweeper freed.")
SWEEP_ORPHAN_DIRS = _counter(
    "deltaglider_multipart_sweep_orphan_relay_dirs_total", "Staging directories without an upload that were removed."
)
SWEEP_ORPHAN_FILES = _counter(
    "deltaglider_multipart_sweep_orphan_relay_files_total", "Staging files without an upload that were removed."
)
SWEEP_LAST_UPLOADS = _gauge(
    "deltaglider_multipart_sweep_last_uploads_reclaimed", "Uploads that the last run removed.", merge=Merge.LATEST
)
SWEEP_LAST_BYTES = _gauge(
    "deltaglider_multipart_sweep_last_reclaimed_bytes", "Bytes that the last run freed.", merge=Merge.LATEST
)

AUTH_ATTEMPTS = _counter("deltaglider_auth_attempts_total", "Verified or refused signatures.", "result")
AUTH_FAILURES = _counter("deltaglider_auth_failures_total", "Refused signatures by reason.", "reason")
ACCESS_DENIED = _counter("deltaglider_access_denied_total", "Requests that were refused, whoever sent them.", "reason")
ADMISSION_DECISIONS = _counter(
    "deltaglider_admission_decisions_total", "Requests that an admission block decided, by what it said.", "decision"
)
THROTTLED = _counter(
    "deltaglider_throttled_total", "Answers held back or refused because of earlier failures.", "surface", "decision"
)
SIGN_INS = _counter("deltaglider_admin_sign_ins_total", "Attempts to sign in to the admin API.", "result")
QUOTA_REFUSALS = _counter("deltaglider_quota_refusals_total", "Writes that a quota refused.")

CONFIG_CHANGES = _counter(
    "deltaglider_config_changes_total", "Attempts to change the configuration while it runs.", "source", "result"
)
CONFIG_SYNC_SUCCESS = _gauge(
    "deltaglider_config_sync_last_success_timestamp_seconds",
    "When the users that nodes share through a bucket were last found the same here and there.",
    merge=Merge.LATEST,
)
CONFIG_SYNC_CONFLICTS = _counter(
    "deltaglider_config_sync_conflicts_total", "Changes of users that two nodes made at once; each was merged."
)
BACKEND_UP = _gauge(
    "deltaglider_backend_up",
    "Whether a storage backend answers (1) or not (0), as last asked by the server itself.",
    "backend",
    merge=Merge.LATEST,
)
GC_RUNS = _counter("deltaglider_gc_runs_total", "Buckets looked through for garbage, by outcome.", "result")
GC_REMOVED = _counter("deltaglider_gc_references_removed_total", "References that collection removed.")

LOG_EVENTS = _counter("deltaglider_log_events_total", "Log lines by level.", "level")
LOG_DROPPED = _counter("deltaglider_log_dropped_total", "Log lines lost because nobody read stdout fast enough.")

AUDIT_DROPPED = _counter(
    "deltaglider_audit_dropped_total", "Audit records that could not be written, because the disk is full or slow."
)

FAMILIES: tuple[Family, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Family))
"""In the order of exposition."""
