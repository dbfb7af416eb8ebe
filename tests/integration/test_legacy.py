"""A bucket that an older proxy left in a folder, behind a real server."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import ObjectTypeDef

from tests.fixtures.legacy import older
from tests.support.programs import on_path
from tests.support.server import Server
from tests.support.storage.services.moto import moto

BUCKET = "old"
STORAGE = f"""\
  filesystem: {{root}}/data
  buckets:
    {BUCKET}:
      legacy_layout: true
"""
SERVICE = f"""\
  backend:
    type: s3
    endpoint: {{endpoint}}
    access_key_id: {{key}}
    secret_access_key: {{secret}}
    allow_local: true
  buckets:
    {BUCKET}:
      legacy_layout: true
"""
SPARE = "spare"
"""A folder whose objects come and go."""
BASE = random.Random(1).randbytes(3_000_000)
NEXT = BASE[:1_000_000] + b"inserted" + BASE[1_000_400:]


def lay(root: Path) -> None:
    """Two objects of one folder, as the proxy stored them, and one without a delta."""
    first = older.fields("fw/image.bin", BASE, "reference")
    older.lay(root, BUCKET, "fw/reference.bin", BASE, older.attribute(first))
    for key, data in (("fw/image-1.bin", BASE), ("fw/image-2.bin", NEXT)):
        name, body, fields = older.delta(key, BASE, data, content_type="application/x-image")
        older.lay(root, BUCKET, name, body, older.attribute(fields, {"colour": "red"}))
    older.lay(root, BUCKET, "a.txt", b"hello", older.attribute(older.fields("a.txt", b"hello", "passthrough")))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    on_path("xdelta3")
    root = tmp_path_factory.mktemp("old")
    lay(root / "data")
    with Server(root, storage=STORAGE, workers=2, environment={"DGP_REPLAY_WINDOW_SECS": "0"}) as running:
        yield running


@pytest.fixture
def s3(old: Server) -> S3Client:
    return old.client()


def test_objects_and_ranges(s3: S3Client) -> None:
    for key, data in (("fw/image-1.bin", BASE), ("fw/image-2.bin", NEXT), ("a.txt", b"hello")):
        found = s3.get_object(Bucket=BUCKET, Key=key)
        assert found["Body"].read() == data
        assert found["ETag"] == f'"{older.md5(data)}"'
        part = s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=2-4")
        assert part["Body"].read() == data[2:5]
    for start in range(0, len(NEXT), 700_000):
        part = s3.get_object(Bucket=BUCKET, Key="fw/image-2.bin", Range=f"bytes={start}-{start + 699_999}")
        assert part["Body"].read() == NEXT[start : start + 700_000]


def test_head_and_listing_agree(s3: S3Client) -> None:
    page = s3.list_objects_v2(Bucket=BUCKET, Prefix="fw/")
    assert [entry["Key"] for entry in page["Contents"]] == ["fw/image-1.bin", "fw/image-2.bin"]
    for entry in page["Contents"]:
        head = s3.head_object(Bucket=BUCKET, Key=entry["Key"])
        assert (entry["Size"], entry["ETag"]) == (head["ContentLength"], head["ETag"])
        assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
        assert head["Metadata"] == {"colour": "red"}
        assert head["ContentType"] == "application/x-image"
    folders = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
    assert [p["Prefix"] for p in folders["CommonPrefixes"]] == ["fw/"]
    assert "a.txt" in [entry["Key"] for entry in folders["Contents"]]


def test_copies(s3: S3Client) -> None:
    s3.copy_object(Bucket=BUCKET, Key="copies/one", CopySource={"Bucket": BUCKET, "Key": "fw/image-2.bin"})
    found = s3.get_object(Bucket=BUCKET, Key="copies/one")
    assert found["Body"].read() == NEXT
    assert found["Metadata"] == {"colour": "red"}
    s3.delete_object(Bucket=BUCKET, Key="copies/one")


def test_overwritten_and_deleted_for_good(s3: S3Client, old: Server) -> None:
    name, body, fields = older.delta("fw/gone.bin", BASE, NEXT)
    older.lay(old.data, BUCKET, name, body, older.attribute(fields))
    assert s3.get_object(Bucket=BUCKET, Key="fw/gone.bin")["Body"].read() == NEXT
    s3.put_object(Bucket=BUCKET, Key="fw/gone.bin", Body=b"new")
    assert s3.get_object(Bucket=BUCKET, Key="fw/gone.bin")["Body"].read() == b"new"
    page = s3.list_objects_v2(Bucket=BUCKET, Prefix="fw/gone")
    assert [(entry["Key"], entry["Size"]) for entry in page["Contents"]] == [("fw/gone.bin", 3)]
    s3.delete_object(Bucket=BUCKET, Key="fw/gone.bin")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=BUCKET, Key="fw/gone.bin")
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="fw/gone")


def test_damage_is_an_error_before_the_first_byte(s3: S3Client, old: Server) -> None:
    name, body, fields = older.delta("bad/k", BASE, NEXT)
    older.lay(old.data, BUCKET, "bad/reference.bin", BASE[:-1], older.attribute(older.fields("k", BASE, "reference")))
    path = older.lay(old.data, BUCKET, name, body, older.attribute(fields))
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=BUCKET, Key="bad/k")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    path.unlink()


def test_without_the_command_the_reason_is_said(tmp_path: Path) -> None:
    lay(tmp_path / "data")
    with Server(tmp_path, storage=STORAGE, environment={"PATH": str(tmp_path)}) as running:
        s3 = running.client()
        assert s3.head_object(Bucket=BUCKET, Key="fw/image-2.bin")["ContentLength"] == len(NEXT)
        assert s3.get_object(Bucket=BUCKET, Key="a.txt")["Body"].read() == b"hello"
        with pytest.raises(ClientError, match="xdelta3"):
            s3.get_object(Bucket=BUCKET, Key="fw/image-2.bin")


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """In front of a service to which releases of the client wrote, each in a folder, with the baselines of each."""
    on_path("xdelta3")
    with moto(tmp_path_factory.mktemp("service")) as service:
        client = service.client()
        client.create_bucket(Bucket=BUCKET)
        for folder, release in [*zip(older.RELEASES, older.RELEASES, strict=True), (SPARE, "6.2.0")]:
            for thing in older.recorded(release).things:
                key = f"{folder}/{thing.key}"
                client.put_object(Bucket=BUCKET, Key=key, Body=thing.body, Metadata=thing.metadata)
        client.put_object(Bucket=BUCKET, Key="foreign.delta", Body=b"mine", Metadata={"a": "b"})
        storage = SERVICE.format(endpoint=service.endpoint, key=service.access_key, secret=service.secret_key)
        with Server(tmp_path_factory.mktemp("far"), storage=storage, workers=2) as running:
            yield running


def test_what_releases_of_the_client_wrote_to_a_service(far: Server) -> None:
    s3 = far.client()
    expected = {f"{r}/{key}": v for r in older.RELEASES for key, v in older.recorded(r).expected.items()}
    looked_up, found = listed(s3), listed(s3)
    assert list(found) == [*sorted(expected), "foreign.delta"]
    assert found == looked_up
    for key, (sha256, size) in expected.items():
        answer = s3.get_object(Bucket=BUCKET, Key=key)
        data = answer["Body"].read()
        assert (older.sha256(data), len(data)) == (sha256, size)
        assert (answer["ContentLength"], answer["ETag"]) == (found[key]["Size"], found[key]["ETag"])
        assert answer["LastModified"] == found[key]["LastModified"].replace(microsecond=0)
        assert answer["Metadata"] == {}
        part = s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=-3")
        assert part["Body"].read() == data[-3:]
    assert s3.get_object(Bucket=BUCKET, Key="foreign.delta")["Metadata"] == {"a": "b"}


def test_overwritten_and_deleted_for_good_on_a_service(far: Server) -> None:
    s3 = far.client()
    key = f"{SPARE}/app.zip"
    assert s3.get_object(Bucket=BUCKET, Key=key)["ContentLength"] == 5000
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"new")
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"new"
    s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=BUCKET, Key=key)
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{SPARE}/app")
    assert [entry["Key"] for entry in found["Contents"]] == [f"{SPARE}/app-1.0.zip", f"{SPARE}/app-1.1.zip"]


def listed(s3: S3Client) -> dict[str, ObjectTypeDef]:
    """All but the spare ones, in small pages."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 7})
    return {e["Key"]: e for page in pages for e in page["Contents"] if not e["Key"].startswith(SPARE)}
