"""Buckets that everyone may read, and buckets that only replication writes."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from tests.integration.expect import refused
from tests.support.server import Server

_STORAGE = """\
  filesystem: {root}/data
  buckets:
    site: {{public_prefixes: ["www/", "img/small/"]}}
    open: {{public: true}}
    private: {{}}
    mirror: {{replication_target_only: true, alias: copies}}
    other-name: {{alias: copies}}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("policies"), storage=_STORAGE) as running:
        s3 = running.client()
        for bucket in ("site", "open", "private"):
            for key in ("www/index.html", "wwwx", "img/small/1", "img/large/1", "top"):
                s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), ContentType="text/html")
        yield running


@pytest.fixture
def s3(server: Server) -> S3Client:
    return server.client()


@pytest.fixture
def stranger(server: Server) -> S3Client:
    config = Config(signature_version=UNSIGNED, retries={"max_attempts": 0})
    client: S3Client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", config=config)
    return client


@pytest.mark.parametrize(
    ("bucket", "key", "public"),
    [
        ("site", "www/index.html", True),
        ("site", "img/small/1", True),
        ("site", "img/large/1", False),
        ("site", "wwwx", False),
        ("site", "top", False),
        ("open", "top", True),
        ("private", "www/index.html", False),
    ],
)
def test_objects(stranger: S3Client, bucket: str, key: str, *, public: bool) -> None:
    if public:
        assert stranger.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        assert stranger.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(key)
    else:
        with refused("AccessDenied", 403):
            stranger.get_object(Bucket=bucket, Key=key)
        with refused("AccessDenied", 403):
            stranger.get_object(Bucket=bucket, Key=key + "-that-is-not-there")


@pytest.mark.parametrize(
    ("bucket", "prefix", "shown"),
    [
        ("site", "www/", ["www/index.html"]),
        ("site", "img/small/", ["img/small/1"]),
        ("site", "", None),
        ("site", "www", ["www/index.html"]),
        ("site", "img/", None),
        ("open", "img/", ["img/large/1", "img/small/1"]),
        ("private", "www/", None),
    ],
)
def test_listings(stranger: S3Client, bucket: str, prefix: str, shown: list[str] | None) -> None:
    if shown is None:
        with refused("AccessDenied", 403):
            stranger.list_objects_v2(Bucket=bucket, Prefix=prefix)
        with refused("AccessDenied", 403):
            stranger.list_objects(Bucket=bucket, Prefix=prefix)
    else:
        assert [o["Key"] for o in stranger.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]] == shown
        assert [o["Key"] for o in stranger.list_objects(Bucket=bucket, Prefix=prefix)["Contents"]] == shown


@pytest.mark.parametrize("query", ["?acl", "?tagging", "?attributes", "?uploadId=x", "?torrent", "?uploads"])
def test_nothing_but_plain_reads(server: Server, query: str) -> None:
    for path in ("/open/top", "/open"):
        try:
            with urllib.request.urlopen(server.endpoint + path + query) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
        assert status in (400, 403, 405), (path, query)


def test_strangers_change_nothing(stranger: S3Client) -> None:
    changes: list[Callable[[], object]] = [
        lambda: stranger.put_object(Bucket="open", Key="top", Body=b""),
        lambda: stranger.delete_object(Bucket="open", Key="top"),
        lambda: stranger.list_buckets(),
        lambda: stranger.copy_object(Bucket="open", Key="x", CopySource={"Bucket": "open", "Key": "top"}),
    ]
    for change in changes:
        with refused("AccessDenied", 403):
            change()


def test_what_strangers_open_in_a_browser_cannot_act_here(server: Server, s3: S3Client) -> None:
    with urllib.request.urlopen(f"{server.endpoint}/open/www/index.html") as answer:
        assert answer.headers["content-security-policy"] == "sandbox"
        assert answer.headers["x-content-type-options"] == "nosniff"
    own = s3.get_object(Bucket="open", Key="top")["ResponseMetadata"]["HTTPHeaders"]
    assert "content-security-policy" not in own


def test_a_bad_signature_is_no_stranger(server: Server) -> None:
    wrong: S3Client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
        config=Config(retries={"max_attempts": 0}),
    )
    with refused("InvalidAccessKeyId", 403):
        wrong.get_object(Bucket="open", Key="top")


def test_the_policy_status_says_so(s3: S3Client) -> None:
    for bucket, public in (("open", True), ("site", False), ("private", False)):
        assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is public


@pytest.mark.parametrize("bucket", ["mirror", "other-name", "copies"])
def test_only_replication_writes_there_under_whatever_name(s3: S3Client, bucket: str) -> None:
    changes: list[Callable[[], object]] = [
        lambda: s3.put_object(Bucket=bucket, Key="key", Body=b""),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="key"),
        lambda: s3.delete_object(Bucket=bucket, Key="key"),
        lambda: s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "key"}]}),
        lambda: s3.copy_object(Bucket=bucket, Key="key", CopySource={"Bucket": "open", "Key": "top"}),
        lambda: s3.delete_bucket(Bucket=bucket),
    ]
    for change in changes:
        with refused("AccessDenied", 403):
            change()
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
