"""What depends on the set-up: which bucket a host name means, and which origins a browser may call from."""

from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused
from tests.integration.wire import Wire
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

PREFLIGHT = {
    "origin": "https://example.com",
    "access-control-request-method": "PUT",
    "access-control-request-headers": "content-type,x-amz-date",
}


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {
        "DGP_VIRTUAL_HOST_DOMAIN": "S3.localhost",
        "DGP_CORS_PERMISSIVE": "true",
        "DGP_REPLAY_WINDOW_SECS": "0",
    }
    with Server(tmp_path_factory.mktemp("special"), environment=environment) as server:
        for bucket in ("bucket", "dotted.bucket.name"):
            server.client().create_bucket(Bucket=bucket)
        yield server


@pytest.mark.parametrize("bucket", ["bucket", "dotted.bucket.name"])
@pytest.mark.parametrize("port", [True, False])
@pytest.mark.parametrize("domain", ["s3.localhost", "S3.LocalHost"])
def test_a_bucket_named_by_the_host(special: Server, bucket: str, port: bool, domain: str) -> None:
    wire = Wire(special)
    host = {"host": f"{bucket}.{domain}" + (f":{special.port}" if port else "")}
    assert wire.request("PUT", "/dir/key", headers=host, body=b"x").status == 200
    assert special.client().get_object(Bucket=bucket, Key="dir/key")["Body"].read() == b"x"
    assert wire.request("GET", "/dir/key", headers=host).body == b"x"
    assert wire.request("GET", "/", "list-type=2&prefix=dir%2F", headers=host).element("Key") == "dir/key"
    assert wire.request("HEAD", "/", headers=host).headers["x-amz-bucket-region"] == "us-east-1"
    # A slash more begins a key, which is another one.
    assert wire.request("PUT", "//dir/key", headers=host, body=b"y").status == 200
    assert special.client().get_object(Bucket=bucket, Key="/dir/key")["Body"].read() == b"y"
    assert wire.request("DELETE", "//dir/key", headers=host).status == 204


@pytest.mark.parametrize(
    "host", ["s3.localhost", "127.0.0.1", "localhost", "unknown.example.com", "[::1]", "notes3.localhost"]
)
def test_other_hosts_name_no_bucket(special: Server, host: str) -> None:
    wire = Wire(special)
    assert wire.request("PUT", "/bucket/key", headers={"host": host}, body=b"x").status == 200
    assert wire.request("GET", "/", headers={"host": host}).element("ListAllMyBucketsResult") is not None


def test_a_host_that_cannot_name_a_bucket(special: Server) -> None:
    answer = Wire(special).request("GET", "/key", headers={"host": "UN_DER.s3.localhost"})
    check_refused(answer, "InvalidBucketName", 400)
    answer = Wire(special).request("GET", "/key", headers={"host": "absent.s3.localhost"})
    check_refused(answer, "NoSuchBucket", 404)


def test_operational_paths_are_the_same_for_every_host(special: Server) -> None:
    assert Wire(special).plain("GET", "/_/health", {"host": "bucket.s3.localhost"}).status == 200


def test_the_sdk_with_virtual_hosts(special: Server) -> None:
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=f"http://s3.localhost:{special.port}",
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}, retries={"max_attempts": 0}),
    )
    url = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "a b/ü"})
    scheme, _, rest = url.partition("://")
    host, _, target = rest.partition("/")
    assert (scheme, host) == ("http", f"bucket.s3.localhost:{special.port}")
    special.client().put_object(Bucket="bucket", Key="a b/ü", Body=b"virtual")
    assert Wire(special).plain("GET", f"/{target}", {"host": host}).body == b"virtual"


def test_a_completed_upload_says_where_it_is(special: Server) -> None:
    wire, host = Wire(special), f"bucket.s3.localhost:{special.port}"
    upload = wire.request("POST", "/parts", "uploads", {"host": host}).element("UploadId")
    part = wire.request("PUT", "/parts", f"partNumber=1&uploadId={upload}", {"host": host}, b"x")
    document = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
    )
    done = wire.request("POST", "/parts", f"uploadId={upload}", {"host": host}, document.encode())
    assert done.element("Location") == f"http://{host}/parts"


def test_cross_origin_requests_where_they_are_allowed(special: Server) -> None:
    wire = Wire(special)
    answer = wire.plain("OPTIONS", "/bucket/key", PREFLIGHT)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "content-type,x-amz-date"
    assert answer.headers["access-control-max-age"] == "3600"
    assert "access-control-allow-credentials" not in answer.headers
    for found in (
        wire.request("HEAD", "/bucket", headers={"origin": "https://example.com"}),
        wire.plain("GET", "/bucket/key", {"origin": "https://example.com"}),
    ):
        assert found.headers["access-control-allow-origin"] == "*"
        assert "ETag" in found.headers["access-control-expose-headers"]


def test_an_options_request_that_is_no_preflight(special: Server) -> None:
    check_refused(Wire(special).plain("OPTIONS", "/bucket/key"), "InvalidRequest", 400)


def test_cross_origin_requests_are_refused_by_default(wire: Wire, bucket: str) -> None:
    answer = wire.plain("OPTIONS", f"/{bucket}/key", PREFLIGHT)
    check_refused(answer, "AccessDenied", 403)
    for found in (answer, wire.request("HEAD", f"/{bucket}", headers={"origin": "https://example.com"})):
        assert not [name for name in found.headers if name.startswith("access-control-")]


def test_host_names_mean_nothing_by_default(wire: Wire, bucket: str) -> None:
    host = {"host": f"{bucket}.s3.localhost"}
    assert wire.request("PUT", f"/{bucket}/key", headers=host, body=b"x").status == 200
