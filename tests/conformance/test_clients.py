"""The command-line clients that people use, each against a real server, doing what people do with them."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client

from tests.conformance.clients.aws import AwsCli
from tests.conformance.clients.client import Client
from tests.conformance.clients.rclone import Rclone
from tests.conformance.clients.s3cmd import S3cmd
from tests.conformance.clients.s5cmd import S5cmd
from tests.conformance.releases import contents, releases, tree
from tests.support.programs import RCLONE, beside_python, built
from tests.support.server import Server

pytestmark = pytest.mark.client

_BIG = 40_000_000


@pytest.fixture(params=["aws", "s5cmd", "s3cmd", pytest.param("rclone", marks=[pytest.mark.slow])])
def client(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Client:
    home = tmp_path / "home"
    home.mkdir()
    match request.param:
        case "aws":
            return AwsCli(beside_python("aws"), server.endpoint, home)
        case "s5cmd":
            return S5cmd(beside_python("s5cmd"), server.endpoint, home)
        case "s3cmd":
            return S3cmd(beside_python("s3cmd"), server.endpoint, home)
        case _:
            return Rclone(built(RCLONE), server.endpoint, home)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def body(s3: S3Client, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def keys(s3: S3Client, bucket: str) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


def storage_type(s3: S3Client, bucket: str, key: str) -> str:
    found: dict[str, Any] = s3.head_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPHeaders"]
    return str(found["x-amz-storage-type"])


def test_a_bucket_comes_and_goes(client: Client, s3: S3Client) -> None:
    bucket = f"made-by-{client.program.name}"
    client.make_bucket(bucket)
    s3.head_bucket(Bucket=bucket)
    client.remove_bucket(bucket)
    assert bucket not in {found["Name"] for found in s3.list_buckets()["Buckets"]}


@pytest.mark.parametrize("size", [0, 1, 10_000], ids=["empty", "byte", "small"])
def test_a_file_goes_up_and_comes_back(client: Client, s3: S3Client, bucket: str, tmp_path: Path, size: int) -> None:
    data = releases(1, max(size, 1), 1)[0][:size]
    client.upload(write(tmp_path / "file", data), bucket, "folder/file")
    assert body(s3, bucket, "folder/file") == data
    client.download(bucket, "folder/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


@pytest.mark.timeout(400)
def test_big_files_become_deltas_and_come_back(
    client: Client, s3: S3Client, bucket: str, tmp_path: Path, server: Server
) -> None:
    versions = releases(2, _BIG, 3)
    for number, data in enumerate(versions):
        client.upload(write(tmp_path / "file", data), bucket, f"image-1.{number}.raw")
    for number, data in enumerate(versions):
        client.download(bucket, f"image-1.{number}.raw", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == data
    assert storage_type(s3, bucket, "image-1.2.raw") == "delta"
    assert server.stats(bucket)["total_stored_size"] < 1.1 * _BIG


@pytest.mark.timeout(400)
def test_uploads_in_parts_become_deltas_and_come_back(
    client: Client, s3: S3Client, bucket: str, tmp_path: Path
) -> None:
    versions = releases(3, 17_000_000, 3)
    for number, data in enumerate(versions):
        client.upload_in_parts(write(tmp_path / "file", data), bucket, f"disk-1.{number}.img")
    for number, data in enumerate(versions):
        client.download(bucket, f"disk-1.{number}.img", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == data
        assert s3.head_object(Bucket=bucket, Key=f"disk-1.{number}.img")["ETag"].endswith('-4"')
    assert storage_type(s3, bucket, "disk-1.2.img") == "delta"
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_second_sync_transfers_nothing_either_way(client: Client, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    files = tree(tmp_path / "up", seed=4)
    assert client.sync_up(tmp_path / "up", bucket, "pre") == len(files)
    assert client.sync_up(tmp_path / "up", bucket, "pre") == 0
    files["releases/app-1.3.tar"] = files["releases/app-1.2.tar"] + b"one more"
    write(tmp_path / "up" / "releases/app-1.3.tar", files["releases/app-1.3.tar"])
    assert client.sync_up(tmp_path / "up", bucket, "pre") == 1
    assert storage_type(s3, bucket, "pre/releases/app-1.3.tar") == "delta"
    assert {name: body(s3, bucket, f"pre/{name}") for name in files} == files
    (tmp_path / "down").mkdir()
    assert client.sync_down(bucket, "pre", tmp_path / "down") == len(files)
    assert contents(tmp_path / "down") == files
    assert client.sync_down(bucket, "pre", tmp_path / "down") == 0
    if client.keeps_times_when_downloading:
        assert client.sync_up(tmp_path / "down", bucket, "pre") == 0


def test_a_sync_sends_what_has_changed_and_no_more(client: Client, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    files = tree(tmp_path / "up", seed=5)
    client.sync_up(tmp_path / "up", bucket, "pre")
    write(tmp_path / "up" / "releases/app-1.1.tar", files["releases/app-1.2.tar"] + b"more")
    assert client.sync_up(tmp_path / "up", bucket, "pre") == 1
    assert body(s3, bucket, "pre/releases/app-1.1.tar") == files["releases/app-1.2.tar"] + b"more"


def test_what_another_client_sent_needs_no_second_transfer(
    client: Client, s3: S3Client, bucket: str, tmp_path: Path
) -> None:
    files = tree(tmp_path / "up", seed=6)
    for name, data in files.items():
        s3.put_object(Bucket=bucket, Key=f"pre/{name}", Body=data)
    (tmp_path / "down").mkdir()
    assert client.sync_down(bucket, "pre", tmp_path / "down") == len(files)
    assert contents(tmp_path / "down") == files
    assert client.sync_down(bucket, "pre", tmp_path / "down") == 0


def test_sizes_are_those_of_what_was_sent(client: Client, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    files = tree(tmp_path / "up", seed=7)
    for name, data in files.items():
        s3.put_object(Bucket=bucket, Key=f"pre/{name}", Body=data)
    assert client.sizes(bucket, "pre") == {name: len(data) for name, data in files.items()}
    assert client.total(bucket, "pre") == sum(map(len, files.values()))


def test_content_type_and_metadata_are_kept(client: Client, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    metadata = {"origin": "build-7", "colour": "blue and green"}
    for number, data in enumerate(releases(8, 200_000, 3)):
        client.upload_described(write(tmp_path / "f", data), bucket, f"a-{number}.bin", "text/x-thing", metadata)
    assert storage_type(s3, bucket, "a-2.bin") == "delta"
    for key in ("a-0.bin", "a-2.bin"):
        head = s3.head_object(Bucket=bucket, Key=key)
        assert head["ContentType"] == "text/x-thing"
        assert metadata.items() <= head["Metadata"].items()


def test_copies_and_moves_within_the_server(client: Client, s3: S3Client, bucket: str) -> None:
    versions = releases(9, 200_000, 3)
    for number, data in enumerate(versions):
        s3.put_object(Bucket=bucket, Key=f"a/v-{number}.bin", Body=data, Metadata={"number": str(number)})
    client.copy(bucket, "a/v-2.bin", "b/copy of v-2.bin")
    client.move(bucket, "a/v-1.bin", "b/v+1.bin")
    assert keys(s3, bucket) == {"a/v-0.bin", "a/v-2.bin", "b/copy of v-2.bin", "b/v+1.bin"}
    assert body(s3, bucket, "b/copy of v-2.bin") == versions[2]
    assert body(s3, bucket, "b/v+1.bin") == versions[1]
    if client.keeps_metadata_when_moving:
        assert s3.head_object(Bucket=bucket, Key="b/v+1.bin")["Metadata"]["number"] == "1"


def test_deleting_one_and_all(client: Client, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    files = tree(tmp_path / "up", seed=10)
    for name, data in files.items():
        s3.put_object(Bucket=bucket, Key=f"pre/{name}", Body=data)
    s3.put_object(Bucket=bucket, Key="precious", Body=b"stays")
    client.remove(bucket, "pre/releases/app-1.0.tar")
    assert keys(s3, bucket) == {"precious", *(f"pre/{name}" for name in files)} - {"pre/releases/app-1.0.tar"}
    assert body(s3, bucket, "pre/releases/app-1.2.tar") == files["releases/app-1.2.tar"]
    client.remove_all(bucket, "pre")
    assert keys(s3, bucket) == {"precious"}


def test_a_presigned_url_needs_no_keys(client: Client, s3: S3Client, bucket: str) -> None:
    versions = releases(11, 100_000, 3)
    for number, data in enumerate(versions):
        s3.put_object(Bucket=bucket, Key=f"folder/v {number}+.bin", Body=data)
    url = client.presigned(bucket, "folder/v 2+.bin")
    if not client.signs_urls_with_version_4:
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(url, timeout=30)
        return
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == versions[2]
