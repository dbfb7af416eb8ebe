"""What this server does beyond S3, and that it does so only for those who ask."""

import json

import pytest
from lxml import etree
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused
from tests.integration.parts import bodies
from tests.integration.wire import Answer, Wire
from tests.support.server import Server

RECURSIVE = {"x-deltaglider-recursive": "true"}


def keys(s3: S3Client, bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def fill(s3: S3Client, bucket: str, *names: str) -> None:
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())


def test_deleting_a_folder_marker_deletes_nothing_else(s3: S3Client, bucket: str) -> None:
    fill(s3, bucket, "logs/", "logs/1", "logs/2/3")
    s3.delete_object(Bucket=bucket, Key="logs/")
    assert keys(s3, bucket) == ["logs/1", "logs/2/3"]


@pytest.mark.parametrize(("query", "headers"), [("", RECURSIVE), ("recursive=true", {})])
def test_deleting_all_below_a_prefix(
    wire: Wire, s3: S3Client, bucket: str, query: str, headers: dict[str, str]
) -> None:
    fill(s3, bucket, "a", "logs", "logs-2/1", "logs/", "logs/1", "logs/2/3", "logs0")
    answer = wire.request("DELETE", f"/{bucket}/logs/", query, headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.body) == {"deleted": 3, "denied": 0}
    assert keys(s3, bucket) == ["a", "logs", "logs-2/1", "logs0"]
    again = wire.request("DELETE", f"/{bucket}/logs/", query, headers)
    assert json.loads(again.body) == {"deleted": 0, "denied": 0}


def test_what_a_recursive_delete_refuses(wire: Wire, s3: S3Client, bucket: str) -> None:
    fill(s3, bucket, "logs/1", "logs")
    path = f"/{bucket}/logs/"
    check_refused(wire.request("DELETE", f"/{bucket}/logs", "", RECURSIVE), "InvalidArgument", 400)
    check_refused(wire.request("DELETE", path, "", {"x-deltaglider-recursive": "yes"}), "InvalidArgument", 400)
    check_refused(wire.request("DELETE", path, "", {**RECURSIVE, "if-match": "*"}), "InvalidRequest", 400)
    check_refused(wire.request("DELETE", "/no-such-bucket-here/logs/", "", RECURSIVE), "NoSuchBucket", 404)
    check_refused(wire.plain("DELETE", path, RECURSIVE), "AccessDenied", 403)
    assert keys(s3, bucket) == ["logs", "logs/1"]


def test_nobody_on_the_way_can_make_a_delete_recursive(wire: Wire, s3: S3Client, bucket: str) -> None:
    fill(s3, bucket, "logs/", "logs/1")
    path = f"/{bucket}/logs/"
    check_refused(wire.request("DELETE", path, unsigned_headers=RECURSIVE), "AccessDenied", 403)
    target = wire.presign("DELETE", path)
    check_refused(wire.exchange("DELETE", target, {"host": wire.host, **RECURSIVE}), "AccessDenied", 403)
    assert wire.exchange("DELETE", f"{target}&recursive=true", {"host": wire.host}).code == "SignatureDoesNotMatch"
    assert keys(s3, bucket) == ["logs/", "logs/1"]


def test_pages_of_a_recursive_delete(tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {"DGP_RECURSIVE_DELETE_PAGE_SIZE": "3", "DGP_REPLAY_WINDOW_SECS": "0"}
    with Server(tmp_path_factory.mktemp("pages"), environment=environment) as server:
        s3 = server.client()
        s3.create_bucket(Bucket="bucket")
        fill(s3, "bucket", *(f"d/{number:02d}" for number in range(10)), "e")
        answer = Wire(server).request("DELETE", "/bucket/d/", "", RECURSIVE)
        assert json.loads(answer.body) == {"deleted": 10, "denied": 0}
        assert keys(s3, "bucket") == ["e"]


def shown(answer: Answer) -> dict[str, dict[str, str]]:
    """User metadata of a listing by key; keys without any are left out."""
    found = {}
    for entry in etree.fromstring(answer.body).iter("{*}Contents"):
        items = entry.find("{*}UserMetadata/{*}Items")
        if items is not None:
            texts = [item.text or "" for item in items]
            found[entry.findtext("{*}Key") or ""] = dict(zip(texts[::2], texts[1::2], strict=True))
    return found


def test_a_listing_with_metadata(wire: Wire, s3: S3Client, bucket: str) -> None:
    (data,) = bodies(9, 300_000)
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"v{number}", Body=data + bytes([number]))
    s3.put_object(Bucket=bucket, Key="x", Body=b"12345", Metadata={"who": "<me> & you"})
    plain = wire.request("GET", f"/{bucket}", "list-type=2")
    assert shown(plain) == {}
    found = shown(wire.request("GET", f"/{bucket}", "list-type=2&metadata=true"))
    assert list(found) == ["v0", "v1", "v2", "x"]
    assert found["x"] == {
        "x-amz-meta-dg-note": "passthrough",
        "x-amz-meta-dg-file-size": "5",
        "x-amz-meta-user-who": "<me> & you",
    }
    assert found["v2"]["x-amz-meta-dg-note"] == "delta"
    assert found["v2"]["x-amz-meta-dg-file-size"] == "300001"
    assert int(found["v2"]["x-amz-meta-dg-delta-size"]) < 10_000
    page = shown(wire.request("GET", f"/{bucket}", "list-type=2&max-keys=1&metadata=true&start-after=v0&delimiter=/"))
    assert list(page) == ["v1"]


def test_the_sdk_reads_a_listing_with_metadata(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="x", Body=b"1", Metadata={"a": "b"})
    s3.meta.events.register("before-call.s3.ListObjectsV2", _with_metadata)
    assert keys(s3, bucket) == ["x"]


def _with_metadata(params: dict[str, dict[str, str]], **_: object) -> None:
    params["query_string"]["metadata"] = "true"
