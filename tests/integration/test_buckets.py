"""Buckets, and the configurations that tools probe for."""

from collections.abc import Iterator

import pytest
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused, lacks, refused
from tests.integration.wire import Wire
from tests.support.server import Server


def test_creating_twice_is_no_error(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    answer = s3.create_bucket(Bucket=bucket)
    assert answer["Location"] == f"/{bucket}"
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


def test_creating_with_a_location(s3: S3Client) -> None:
    s3.create_bucket(Bucket="with-location", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert s3.get_bucket_location(Bucket="with-location")["LocationConstraint"] is None


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Upper",
        "under_score",
        "-dash",
        "dash-",
        "a..b",
        "a.-b",
        "192.168.0.1",
        "xn--abc",
        "127.1",
        ".abc",
        "%C3%BC%C3%BC%C3%BC",
    ],
)
def test_names_that_are_none(wire: Wire, name: str) -> None:
    check_refused(wire.request("PUT", f"/{name}"), "InvalidBucketName", 400)
    check_refused(wire.request("GET", f"/{name}/key"), "InvalidBucketName", 400)


@pytest.mark.parametrize("name", ["abc", "a.b.c", "a-b.c-d", "1234", "a" * 63, "1.2.3", "a1.b2"])
def test_names_that_are_legal(s3: S3Client, name: str) -> None:
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="key", Body=b"x")
    assert name in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    s3.delete_object(Bucket=name, Key="key")
    s3.delete_bucket(Bucket=name)
    assert name not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


def test_a_bucket_with_and_without_slash(wire: Wire, bucket: str) -> None:
    assert wire.request("HEAD", f"/{bucket}").status == 200
    assert wire.request("HEAD", f"/{bucket}/").status == 200
    assert wire.request("PUT", "/slashed-bucket/").status == 200
    assert wire.request("DELETE", "/slashed-bucket/").status == 204


def test_deleting(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=".hidden", Body=b"x")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key=".hidden")["Body"].read() == b"x"
    s3.delete_object(Bucket=bucket, Key=".hidden")
    s3.create_multipart_upload(Bucket=bucket, Key="open")
    s3.delete_bucket(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        s3.delete_bucket(Bucket=bucket)
    with refused("404", 404):
        s3.head_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert lacks(s3.list_multipart_uploads(Bucket=bucket), "Uploads")


def test_deleting_says_what_is_left(wire: Wire, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="left-behind", Body=b"x")
    s3.create_multipart_upload(Bucket=bucket, Key="open")
    answer = wire.request("DELETE", f"/{bucket}")
    check_refused(answer, "BucketNotEmpty", 409)
    message = answer.element("Message") or ""
    assert "left-behind" in message
    assert "1 open multipart upload" in message


def test_head_says_the_region(s3: S3Client, bucket: str) -> None:
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"


def test_only_private_buckets(wire: Wire) -> None:
    answer = wire.request("PUT", "/public-bucket", headers={"x-amz-acl": "public-read"})
    check_refused(answer, "AccessControlListNotSupported", 400)
    answer = wire.request("PUT", "/locked-bucket", headers={"x-amz-bucket-object-lock-enabled": "true"})
    check_refused(answer, "NotImplemented", 501)
    assert wire.request("HEAD", "/public-bucket").status == 404
    assert wire.request("HEAD", "/locked-bucket").status == 404


PROBES = {
    "policy": "NoSuchBucketPolicy",
    "cors": "NoSuchCORSConfiguration",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "website": "NoSuchWebsiteConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "replication": "ReplicationConfigurationNotFoundError",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "object-lock": "ObjectLockConfigurationNotFoundError",
    "tagging": "NoSuchTagSet",
}


@pytest.mark.parametrize(("query", "code"), PROBES.items())
def test_configurations_that_no_bucket_has(wire: Wire, bucket: str, query: str, code: str) -> None:
    answer = wire.request("GET", f"/{bucket}", query)
    check_refused(answer, code, 404)
    assert answer.element("BucketName") == bucket
    check_refused(wire.request("GET", "/no-such-bucket-here", query), "NoSuchBucket", 404)


@pytest.mark.parametrize(("query", "code"), PROBES.items())
def test_configurations_that_cannot_be_set(wire: Wire, bucket: str, query: str, code: str) -> None:
    check_refused(wire.request("PUT", f"/{bucket}", query, body=b"<x/>"), "NotImplemented", 501)


@pytest.mark.parametrize(
    ("query", "root"),
    [
        ("versioning", b"VersioningConfiguration"),
        ("requestPayment", b"RequestPaymentConfiguration"),
        ("logging", b"BucketLoggingStatus"),
        ("notification", b"NotificationConfiguration"),
        ("accelerate", b"AccelerateConfiguration"),
        ("policyStatus", b"PolicyStatus"),
        ("acl", b"AccessControlPolicy"),
        ("location", b"LocationConstraint"),
        ("inventory", b"ListInventoryConfigurationsResult"),
        ("analytics", b"ListBucketAnalyticsConfigurationResult"),
        ("metrics", b"ListMetricsConfigurationsResult"),
        ("intelligent-tiering", b"ListBucketIntelligentTieringConfigurations"),
    ],
)
def test_configurations_that_every_bucket_has(wire: Wire, bucket: str, query: str, root: bytes) -> None:
    answer = wire.request("GET", f"/{bucket}", query)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/xml"
    assert root in answer.body
    check_refused(wire.request("GET", "/no-such-bucket-here", query), "NoSuchBucket", 404)


def test_versioning_can_stay_off(s3: S3Client, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    with refused("NotImplemented", 501):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert lacks(s3.get_bucket_versioning(Bucket=bucket), "Status")


def test_acls_are_as_they_are(s3: S3Client, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    with refused("AccessControlListNotSupported", 400):
        s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    found = s3.get_bucket_acl(Bucket=bucket)
    assert found["Owner"]["ID"] == s3.list_buckets()["Owner"]["ID"]
    assert [grant["Permission"] for grant in found["Grants"]] == ["FULL_CONTROL"]
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    s3.put_object_acl(Bucket=bucket, Key="key", ACL="bucket-owner-full-control")
    with refused("AccessControlListNotSupported", 400):
        s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")
    assert s3.get_object_acl(Bucket=bucket, Key="key")["Owner"] == found["Owner"]
    with refused("NoSuchKey", 404):
        s3.get_object_acl(Bucket=bucket, Key="none")


@pytest.mark.parametrize(
    ("method", "path", "query", "code", "status"),
    [
        ("PATCH", "/{bucket}/key", "", "NotImplemented", 501),
        ("POST", "/{bucket}/key", "", "MethodNotAllowed", 405),
        ("DELETE", "/{bucket}/key", "acl", "MethodNotAllowed", 405),
        ("PUT", "/", "", "MethodNotAllowed", 405),
        ("DELETE", "/", "", "MethodNotAllowed", 405),
        ("GET", "/{bucket}/key", "acl&tagging", "InvalidArgument", 400),
        ("PUT", "/{bucket}/key", "uploadId=x", "MethodNotAllowed", 405),
        ("PUT", "/{bucket}/key", "partNumber=1", "InvalidArgument", 400),
        ("GET", "/{bucket}/key", "torrent", "NotImplemented", 501),
        ("PUT", "/{bucket}/key", "retention", "NotImplemented", 501),
        ("POST", "/{bucket}/key", "select&select-type=2", "NotImplemented", 501),
    ],
)
def test_what_is_no_operation(
    wire: Wire, s3: S3Client, bucket: str, method: str, path: str, query: str, code: str, status: int
) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    check_refused(wire.request(method, path.format(bucket=bucket), query), code, status)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with buckets of this module only."""
    with Server(tmp_path_factory.mktemp("buckets")) as server:
        for number in range(7):
            server.client().create_bucket(Bucket=f"list-{number}")
        server.client().create_bucket(Bucket="other")
        yield server


def test_buckets_are_listed_in_pages(roomy: Server) -> None:
    s3 = roomy.client()
    every = s3.list_buckets()
    assert [entry["Name"] for entry in every["Buckets"]] == [*(f"list-{n}" for n in range(7)), "other"]
    assert every["Buckets"][0]["BucketRegion"] == "us-east-1"
    names: list[str] = []
    page = s3.list_buckets(MaxBuckets=3, Prefix="list-")
    while True:
        assert len(page["Buckets"]) <= 3
        assert page["Prefix"] == "list-"
        names += [entry["Name"] for entry in page["Buckets"]]
        if lacks(page, "ContinuationToken"):
            break
        page = s3.list_buckets(MaxBuckets=3, Prefix="list-", ContinuationToken=page["ContinuationToken"])
    assert names == [f"list-{number}" for number in range(7)]


def test_creation_dates_stay(roomy: Server) -> None:
    before = {entry["Name"]: entry["CreationDate"] for entry in roomy.client().list_buckets()["Buckets"]}
    roomy.client().put_object(Bucket="other", Key="key", Body=b"x")
    roomy.restart()
    assert {e["Name"]: e["CreationDate"] for e in roomy.client().list_buckets()["Buckets"]} == before


def test_head_of_the_service_needs_nobody(wire: Wire) -> None:
    assert wire.plain("HEAD", "/").status == 200
    check_refused(wire.plain("GET", "/"), "AccessDenied", 403)
