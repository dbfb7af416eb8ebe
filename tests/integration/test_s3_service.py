"""The server in front of an S3 service that it did not make."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import CompletedPartTypeDef

from tests.integration.expect import refused
from tests.support.engine.bodies import edited, noise
from tests.support.server import Server
from tests.support.storage.services.service import Service
from tests.support.storage.services.versitygw import versitygw

FIRST = noise(1, 3 << 20)

_STORAGE = """\
  backends:
{far}
    - {{{{name: near, type: filesystem, path: "{{root}}/near"}}}}
  buckets:
    local: {{{{backend: near}}}}
    other: {{{{alias: aliased}}}}"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with versitygw(tmp_path_factory.mktemp("versitygw")) as running:
        yield running


@pytest.fixture(scope="module")
def server(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    storage = _STORAGE.format(far=service.as_backend("far"))
    service.client().create_bucket(Bucket="probed")
    environment = {"DGP_DEBUG_HEADERS": "true", "DGP_REPLAY_WINDOW_SECS": "0"}
    with Server(tmp_path_factory.mktemp("server"), storage=storage, workers=2, environment=environment) as running:
        running.wait_for(lambda: "probed a backend" in running.log.read_text())
        yield running


@pytest.fixture
def s3(server: Server) -> S3Client:
    return server.client()


def read(client: S3Client, bucket: str, key: str) -> bytes:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_releases_become_deltas(server: Server, s3: S3Client, service: Service) -> None:
    s3.create_bucket(Bucket="releases")
    for number in range(4):
        s3.put_object(
            Bucket="releases", Key=f"fw-{number}.bin", Body=edited(FIRST, number), Metadata={"n": str(number)}
        )
    server.wait_for(lambda: stored(service, "releases") < 2 * len(FIRST))
    for number in range(4):
        assert read(s3, "releases", f"fw-{number}.bin") == edited(FIRST, number)
        found = s3.head_object(Bucket="releases", Key=f"fw-{number}.bin")
        assert found["Metadata"] == {"n": str(number)}
        listed = {o["Key"]: o for o in s3.list_objects_v2(Bucket="releases")["Contents"]}[f"fw-{number}.bin"]
        assert (listed["Size"], listed["ETag"], listed["LastModified"]) == (
            found["ContentLength"],
            found["ETag"],
            found["LastModified"],
        )


def stored(service: Service, bucket: str) -> int:
    return sum(each["Size"] for each in service.client().list_objects_v2(Bucket=bucket).get("Contents", []))


def test_what_is_there_is_served_as_it_is(s3: S3Client, service: Service) -> None:
    service.client().create_bucket(Bucket="theirs")
    service.client().put_object(
        Bucket="theirs",
        Key="a/b",
        Body=b"theirs",
        ContentType="text/plain",
        CacheControl="no-store",
        Metadata={"x": "y"},
    )
    direct, through = (client.head_object(Bucket="theirs", Key="a/b") for client in (service.client(), s3))
    for name in ("ETag", "ContentLength", "LastModified", "ContentType", "CacheControl", "Metadata"):
        assert through[name] == direct[name], name
    assert read(s3, "theirs", "a/b") == b"theirs"
    service.client().put_object(Bucket="theirs", Key="a/b", Body=b"theirs again")
    assert read(s3, "theirs", "a/b") == b"theirs again"
    assert "theirs" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_large_uploads_in_parts(s3: S3Client) -> None:
    s3.create_bucket(Bucket="parts")
    data = noise(2, 12 << 20)
    upload = s3.create_multipart_upload(Bucket="parts", Key="big")["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(data), 5 << 20), 1):
        body = data[start : start + (5 << 20)]
        etag = s3.upload_part(Bucket="parts", Key="big", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    done = s3.complete_multipart_upload(
        Bucket="parts",
        Key="big",
        UploadId=upload,
        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item] # built in a loop
    )
    found = s3.head_object(Bucket="parts", Key="big")
    assert (found["ETag"], found["ContentLength"]) == (done["ETag"], len(data))
    assert done["ETag"].endswith('-3"')
    assert read(s3, "parts", "big") == data
    ranged = s3.get_object(Bucket="parts", Key="big", Range="bytes=5242870-5242889")["Body"].read()
    assert ranged == data[5242870:5242890]
    (listed,) = s3.list_objects_v2(Bucket="parts")["Contents"]
    assert (listed["Size"], listed["ETag"]) == (len(data), done["ETag"])


def test_objects_of_parts_are_listed_as_they_read(server: Server, s3: S3Client) -> None:
    s3.create_bucket(Bucket="of-parts")
    for count, size in ((1, 100), (1, 6 << 20), (2, 6 << 20), (3, (5 << 20) + 1)):
        key = f"{count} of {size}"
        upload = s3.create_multipart_upload(Bucket="of-parts", Key=key)["UploadId"]
        named: list[CompletedPartTypeDef] = []
        for number in range(1, count + 1):
            body = noise(100 * count + number, size)
            made = s3.upload_part(Bucket="of-parts", Key=key, UploadId=upload, PartNumber=number, Body=body)
            named.append({"PartNumber": number, "ETag": made["ETag"]})
        s3.complete_multipart_upload(Bucket="of-parts", Key=key, UploadId=upload, MultipartUpload={"Parts": named})
        s3.copy_object(Bucket="of-parts", Key=f"copy of {key}", CopySource={"Bucket": "of-parts", "Key": key})
    for _ in range(2):  # also when the facts are known already
        for entry in s3.list_objects_v2(Bucket="of-parts")["Contents"]:
            head = s3.head_object(Bucket="of-parts", Key=entry["Key"])
            assert (entry["ETag"], entry["Size"]) == (head["ETag"], head["ContentLength"]), entry["Key"]


def test_conditions_hold(s3: S3Client) -> None:
    s3.create_bucket(Bucket="conditions")
    first = s3.put_object(Bucket="conditions", Key="key", Body=b"1", IfNoneMatch="*")
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="conditions", Key="key", Body=b"2", IfNoneMatch="*")
    s3.put_object(Bucket="conditions", Key="key", Body=b"3", IfMatch=first["ETag"])
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="conditions", Key="key", Body=noise(3, 9 << 20), IfMatch=first["ETag"])
    assert read(s3, "conditions", "key") == b"3"


def test_buckets_on_both(s3: S3Client, service: Service, server: Server) -> None:
    s3.create_bucket(Bucket="other")
    s3.put_object(Bucket="other", Key="key", Body=b"far")
    s3.put_object(Bucket="local", Key="key", Body=b"near")
    assert service.client().get_object(Bucket="aliased", Key="key")["Body"].read() == b"far"
    assert (server.root / "near" / "local" / "key").read_bytes() == b"near"
    s3.copy_object(Bucket="local", Key="copy", CopySource={"Bucket": "other", "Key": "key"})
    assert read(s3, "local", "copy") == b"far"
    s3.delete_object(Bucket="other", Key="key")
    s3.delete_bucket(Bucket="other")
    assert "aliased" not in [bucket["Name"] for bucket in service.client().list_buckets()["Buckets"]]


def test_a_service_that_is_away_takes_only_its_own_buckets(tmp_path: Path) -> None:
    life = ExitStack()
    with life:
        service = life.enter_context(versitygw(tmp_path / "versitygw"))
        storage = _STORAGE.format(far=service.as_backend("far"))
        with Server(tmp_path, storage=storage, environment={"DGP_REPLAY_WINDOW_SECS": "0"}) as server:
            s3 = server.client()
            s3.create_bucket(Bucket="away")
            s3.put_object(Bucket="local", Key="key", Body=b"near")
            assert buckets(s3) >= {"away", "local"}
            life.close()
            for _ in range(2):
                with pytest.raises(s3.exceptions.ClientError, match="ServiceUnavailable"):
                    s3.put_object(Bucket="away", Key="key", Body=b"x")
            with pytest.raises(s3.exceptions.ClientError, match="backend 'far' of the bucket 'away'"):
                s3.put_object(Bucket="away", Key="key", Body=b"x")
            assert read(s3, "local", "key") == b"near"
            assert buckets(s3) >= {"away", "local"}


def test_without_any_backend_the_server_does_not_start(tmp_path: Path) -> None:
    storage = "  s3: http://127.0.0.1:1\n  access_key_id: a\n  secret_access_key: b"
    local = {"DGP_BACKEND_ALLOW_LOCAL": "true"}
    code, log = Server(tmp_path, storage=storage, environment=local).refused_start()
    assert (code, "no backend answers (default)" in log) == (1, True), log
    environment = {**local, "DGP_BOOT_BACKEND_PROBE": "warn"}
    with Server(tmp_path, storage=storage, environment=environment) as server, pytest.raises(ClientError) as caught:
        server.client().list_buckets()
    assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"


def buckets(client: S3Client) -> set[str]:
    return {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}


@pytest.mark.parametrize("key", ["a//b", "/a/b", "a/./b", "a/x/../b", "../a", "."])
def test_a_key_that_the_service_takes_for_another_is_refused(s3: S3Client, key: str) -> None:
    if "odd" not in buckets(s3):
        s3.create_bucket(Bucket="odd")
        s3.put_object(Bucket="odd", Key="a/b", Body=b"another")
    with refused("InvalidArgument", 400):
        s3.put_object(Bucket="odd", Key=key, Body=b"x")
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket="odd", Key=key)
    s3.delete_object(Bucket="odd", Key=key)
    assert read(s3, "odd", "a/b") == b"another"
