import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.telemetry.http_labels import METHODS, OPERATIONS, method_label, operation_of, status_label


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/", "list_buckets"),
        ("HEAD", "/", "head_root"),
        ("PUT", "/", "unknown"),
        ("GET", "/b", "list_objects"),
        ("GET", "/b/", "list_objects"),
        ("PUT", "/b", "create_bucket"),
        ("DELETE", "/b/", "delete_bucket"),
        ("HEAD", "/b", "head_bucket"),
        ("POST", "/b", "post_bucket"),
        ("PATCH", "/b", "unknown"),
        ("GET", "/b/k", "get_object"),
        ("GET", "/b//", "get_object"),
        ("PUT", "/b/a/b/", "put_object"),
        ("DELETE", "/b/k", "delete_object"),
        ("HEAD", "/b/k", "head_object"),
        ("POST", "/b/k", "post_object"),
        ("OPTIONS", "/b/k", "unknown"),
        ("GET", "/_/health", "health"),
        ("GET", "/_/ready", "health"),
        ("GET", "/_/stats", "stats"),
        ("GET", "/_/metrics", "metrics"),
        ("GET", "/_/", None),
        ("GET", "/_", None),
        ("GET", "/_/api/whoami", None),
        ("GET", "/health", "list_objects"),
        ("GET", "/stats/metrics", "get_object"),
        ("GET", "/_x/metrics", "get_object"),
        ("OPTIONS", "*", "unknown"),
        ("GET", "", "unknown"),
    ],
)
def test_operations(method: str, path: str, operation: str | None) -> None:
    assert operation_of(method, path) == operation


@given(st.text(max_size=8), st.text(max_size=20), st.integers(-10, 1200))
def test_labels_are_bounded_whatever_a_client_sends(method: str, path: str, status: int) -> None:
    assert operation_of(method, path) in OPERATIONS | {None}
    assert method_label(method) in METHODS | {"OTHER"}
    assert status_label(status) in {f"{code}" for code in range(100, 600)}


@pytest.mark.parametrize(("status", "label"), [(200, "200"), (507, "507"), (499, "400"), (599, "500"), (0, "500")])
def test_status_labels(status: int, label: str) -> None:
    assert status_label(status) == label
