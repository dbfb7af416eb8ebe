"""What a request is called in metrics, from its method and path alone, so that one refused early is named as well.

The operational paths are matched with their `/_/`: `/health` is a bucket.
"""

from http import HTTPStatus

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"})
OTHER_METHOD = "OTHER"
UNKNOWN = "unknown"

_OPERATIONAL = {"/_/health": "health", "/_/ready": "health", "/_/stats": "stats", "/_/metrics": "metrics"}
_ROOT = {"GET": "list_buckets", "HEAD": "head_root"}
_BUCKET = {
    "GET": "list_objects",
    "PUT": "create_bucket",
    "DELETE": "delete_bucket",
    "HEAD": "head_bucket",
    "POST": "post_bucket",
}
_OBJECT = {
    "GET": "get_object",
    "PUT": "put_object",
    "DELETE": "delete_object",
    "HEAD": "head_object",
    "POST": "post_object",
}

OPERATIONS = frozenset(
    {UNKNOWN, *_OPERATIONAL.values(), *_ROOT.values(), *_BUCKET.values(), *_OBJECT.values()},
)

_REGISTERED = frozenset(int(status) for status in HTTPStatus)


def operation_of(method: str, path: str) -> str | None:
    """The `operation` label; None for paths below `/_/` that are not counted. `path` is without query."""
    if path == "/_" or path.startswith("/_/"):
        return _OPERATIONAL.get(path)
    bucket, _, key = path[1:].partition("/")
    if key:
        return _OBJECT.get(method, UNKNOWN)
    if bucket:
        return _BUCKET.get(method, UNKNOWN)
    return _ROOT.get(method, UNKNOWN) if path == "/" else UNKNOWN


def method_label(method: str) -> str:
    return method if method in METHODS else OTHER_METHOD


def status_label(status: int) -> str:
    """Three digits. A code that HTTP does not register counts as the first of its class, which bounds the label."""
    if status in _REGISTERED:
        return str(status)
    return f"{status // 100}00" if 100 <= status <= 599 else "500"
