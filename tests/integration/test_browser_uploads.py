"""Uploads from HTML forms, whose signed policy says what may be uploaded and until when."""

import hmac
import json
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from tests.integration.digests import checksum
from tests.integration.expect import check_refused, refused
from tests.integration.wire import REGION, Answer, Signer, Wire
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

BOUNDARY = "----boundary7MA4YWxk"
Conditions = Sequence[dict[str, str] | list[str | int]]


@dataclass(frozen=True, slots=True)
class Form:
    fields: Mapping[str, str]
    file: bytes = b"content of the file"
    file_name: str = "photo.jpg"
    after: bytes = b""
    """Raw parts behind the file."""

    def body(self) -> bytes:
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in self.fields.items()
        ]
        parts.append(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{self.file_name}"\r\n'
            "Content-Type: image/jpeg\r\n\r\n".encode()
            + self.file
            + b"\r\n"
        )
        return b"".join([*parts, self.after, f"--{BOUNDARY}--\r\n".encode()])


def post(wire: Wire, bucket: str, form: Form) -> Answer:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return wire.plain("POST", f"/{bucket}", headers, form.body())


def signed(
    bucket: str,
    fields: Mapping[str, str],
    conditions: Conditions = (),
    *,
    lifetime: float = 60,
    signer: Signer = Signer(),  # noqa: B008 - a frozen value
) -> dict[str, str]:
    """The fields, with a policy that covers each of them exactly unless `conditions` says more about it."""
    at = signer.timestamp()
    named = {next(iter(c)) if isinstance(c, dict) else str(c[1]).removeprefix("$") for c in conditions}
    exact = [{name: value} for name, value in {"bucket": bucket, **fields}.items() if name not in named]
    expiration = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + lifetime))
    document = json.dumps({"expiration": expiration, "conditions": [*exact, *conditions]})
    policy = b64encode(document.encode()).decode()
    return {
        **fields,
        "policy": policy,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{signer.access_key}/{at[:8]}/{REGION}/s3/aws4_request",
        "x-amz-date": at,
        "x-amz-signature": hmac.new(signer.key(at[:8]), policy.encode(), "sha256").hexdigest(),
    }


def is_empty(s3: S3Client, bucket: str) -> bool:
    return s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_the_policy_of_the_sdk(s3: S3Client, wire: Wire, bucket: str) -> None:
    signing: S3Client = boto3.client(
        "s3",
        endpoint_url=wire.server.endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(signature_version="s3v4"),
    )
    made = signing.generate_presigned_post(
        bucket,
        "uploads/${filename}",
        Fields={"x-amz-meta-author": "me", "Content-Type": "image/png"},
        Conditions=[{"x-amz-meta-author": "me"}, ["starts-with", "$Content-Type", "image/"]],
    )
    answer = post(wire, bucket, Form(made["fields"], b"png", "a b.png"))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["location"] == f"http://{wire.host}/{bucket}/uploads/a%20b.png"
    found = s3.get_object(Bucket=bucket, Key="uploads/a b.png")
    assert found["Body"].read() == b"png"
    assert found["ETag"] == answer.headers["etag"]
    assert (found["ContentType"], found["Metadata"]) == ("image/png", {"author": "me"})


def test_what_a_form_can_say(s3: S3Client, wire: Wire, bucket: str) -> None:
    fields = {
        "key": "key",
        "cache-control": "no-store",
        "content-disposition": "attachment",
        "content-encoding": "gzip",
        "expires": "Wed, 21 Oct 2026 07:28:00 GMT",
        "acl": "private",
        "tagging": "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>",
        "x-amz-checksum-sha256": checksum("sha256", b"content of the file"),
    }
    answer = post(wire, bucket, Form({**signed(bucket, fields), "x-ignore-me": "1", "submit": "Upload"}))
    assert answer.status == 204, answer
    found = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    headers = found["ResponseMetadata"]["HTTPHeaders"]
    assert found["Body"].read() == b"content of the file"
    for name in ("cache-control", "content-disposition", "content-encoding", "expires", "x-amz-checksum-sha256"):
        assert headers[name] == fields[name]
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == [{"Key": "a", "Value": "1"}]


@pytest.mark.parametrize(("status", "found"), [("200", 200), ("201", 201), ("204", 204), ("299", 204), ("", 204)])
def test_the_status_of_success(wire: Wire, bucket: str, status: str, found: int) -> None:
    answer = post(wire, bucket, Form(signed(bucket, {"key": "a/ü", "success_action_status": status})))
    assert answer.status == found
    if found == 201:
        assert answer.headers["content-type"] == "application/xml"
        assert (answer.element("Bucket"), answer.element("Key")) == (bucket, "a/ü")
        assert answer.element("ETag") == answer.headers["etag"]
        assert answer.element("Location") == answer.headers["location"]


def test_the_redirect_of_success(wire: Wire, bucket: str) -> None:
    fields = {"key": "a&b", "success_action_redirect": "https://example.com/done?x=1"}
    answer = post(wire, bucket, Form(signed(bucket, fields)))
    assert answer.status == 303
    place = urlsplit(answer.headers["location"])
    assert (place.scheme, place.netloc, place.path) == ("https", "example.com", "/done")
    assert parse_qs(place.query) == {"x": ["1"], "bucket": [bucket], "key": ["a&b"], "etag": [answer.headers["etag"]]}


def test_a_redirect_to_nowhere_is_none(wire: Wire, bucket: str) -> None:
    fields = {"key": "key", "success_action_redirect": "javascript:alert(1)"}
    assert post(wire, bucket, Form(signed(bucket, fields))).status == 204


def test_the_file_name_fills_the_key(s3: S3Client, wire: Wire, bucket: str) -> None:
    for name, key in (("C:\\dir\\win.txt", "in/win.txt"), ("/etc/passwd", "in/passwd"), ("ü ñ.txt", "in/ü ñ.txt")):
        fields = signed(bucket, {"key": "in/${filename}"}, [["starts-with", "$key", "in/"]])
        assert post(wire, bucket, Form(fields, file_name=name)).status == 204
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == 19


def test_conditions_are_about_the_key_that_is_stored(s3: S3Client, wire: Wire, bucket: str) -> None:
    fields = signed(bucket, {"key": "${filename}"}, [["starts-with", "$key", "in/"]])
    check_refused(post(wire, bucket, Form(fields, file_name="out.txt")), "AccessDenied", 403)
    assert is_empty(s3, bucket)


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
def test_files_of_any_size(s3: S3Client, wire: Wire, bucket: str, size: int) -> None:
    data = (b"\r\n--" + BOUNDARY.encode()[:-1] + b"x\r\n-") * (size // 20 + 1)
    data = data[:size]
    assert post(wire, bucket, Form(signed(bucket, {"key": "key"}), data)).status == 204
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == data


def test_what_follows_the_file_is_ignored(s3: S3Client, wire: Wire, bucket: str) -> None:
    after = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="key"\r\n\r\nother\r\n'.encode()
    assert post(wire, bucket, Form(signed(bucket, {"key": "key"}), after=after)).status == 204
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["key"]
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"content of the file"


def _policy_of_another_bucket(bucket: str) -> dict[str, str]:
    return signed("another-bucket", {"key": "key"})


def _expired(bucket: str) -> dict[str, str]:
    return signed(bucket, {"key": "key"}, lifetime=-1)


def _field_that_no_condition_covers(bucket: str) -> dict[str, str]:
    return {**signed(bucket, {"key": "key"}), "x-amz-meta-more": "1"}


def _another_key(bucket: str) -> dict[str, str]:
    return {**signed(bucket, {"key": "key"}), "key": "other"}


def _key_outside(bucket: str) -> dict[str, str]:
    return signed(bucket, {"key": "out/key"}, [["starts-with", "$key", "in/"]])


def _no_policy(bucket: str) -> dict[str, str]:
    fields = signed(bucket, {"key": "key"})
    return {name: value for name, value in fields.items() if name != "policy"}


def _nothing_signed(_: str) -> dict[str, str]:
    return {"key": "key"}


@pytest.mark.parametrize(
    "make",
    [
        _policy_of_another_bucket,
        _expired,
        _field_that_no_condition_covers,
        _another_key,
        _key_outside,
        _no_policy,
        _nothing_signed,
    ],
)
def test_what_the_policy_does_not_allow(s3: S3Client, wire: Wire, bucket: str, make: object) -> None:
    assert callable(make)
    check_refused(post(wire, bucket, Form(make(bucket))), "AccessDenied", 403)
    assert is_empty(s3, bucket)


def test_signatures_that_are_wrong(s3: S3Client, wire: Wire, bucket: str) -> None:
    fields = signed(bucket, {"key": "key"})
    tampered = {**fields, "policy": b64encode(b"{}").decode()}
    check_refused(post(wire, bucket, Form(tampered)), "SignatureDoesNotMatch", 403)
    unknown = signed(bucket, {"key": "key"}, signer=Signer(access_key="NOBODYSACCESSKEY"))
    check_refused(post(wire, bucket, Form(unknown)), "InvalidAccessKeyId", 403)
    wrong = signed(bucket, {"key": "key"}, signer=Signer(ACCESS_KEY, "another secret"))
    check_refused(post(wire, bucket, Form(wrong)), "SignatureDoesNotMatch", 403)
    assert is_empty(s3, bucket)


def test_the_range_of_the_length(s3: S3Client, wire: Wire, bucket: str) -> None:
    conditions: Conditions = [["content-length-range", 5, 10]]
    for size, code in ((4, "EntityTooSmall"), (11, "EntityTooLarge"), (2_000_000, "EntityTooLarge")):
        answer = post(wire, bucket, Form(signed(bucket, {"key": "key"}, conditions), b"x" * size))
        check_refused(answer, code, 400)
        assert is_empty(s3, bucket)
    for size in (5, 10):
        assert post(wire, bucket, Form(signed(bucket, {"key": "key"}, conditions), b"x" * size)).status == 204


@pytest.mark.parametrize(
    "policy", ["{", "[]", "{}", '{"expiration": "2999-01-01T00:00:00Z"}', '{"expiration": 5, "conditions": []}']
)
def test_policies_that_are_none(wire: Wire, bucket: str, policy: str) -> None:
    fields = signed(bucket, {"key": "key"})
    fields["policy"] = b64encode(policy.encode()).decode()
    key = Signer().key(fields["x-amz-date"][:8])
    fields["x-amz-signature"] = hmac.new(key, fields["policy"].encode(), "sha256").hexdigest()
    check_refused(post(wire, bucket, Form(fields)), "InvalidPolicyDocument", 400)


def test_checksums_are_verified(s3: S3Client, wire: Wire, bucket: str) -> None:
    fields = signed(bucket, {"key": "key", "x-amz-checksum-crc32": checksum("crc32", b"other")})
    check_refused(post(wire, bucket, Form(fields)), "BadDigest", 400)
    assert is_empty(s3, bucket)


def test_forms_that_are_none(s3: S3Client, wire: Wire, bucket: str) -> None:
    good = Form(signed(bucket, {"key": "key"})).body()
    form_type = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    check_refused(wire.plain("POST", f"/{bucket}", {}, good), "MalformedPOSTRequest", 400)
    check_refused(wire.plain("POST", f"/{bucket}", {"content-type": "text/plain"}, good), "MalformedPOSTRequest", 400)
    check_refused(wire.plain("POST", f"/{bucket}", form_type, b""), "MalformedPOSTRequest", 400)
    check_refused(wire.plain("POST", f"/{bucket}", form_type, b"no form"), "MalformedPOSTRequest", 400)
    no_file = good[: good.index(b'name="file"')] + f'name="x"\r\n\r\n\r\n--{BOUNDARY}--\r\n'.encode()
    check_refused(wire.plain("POST", f"/{bucket}", form_type, no_file), "MalformedPOSTRequest", 400)
    cut = wire.plain("POST", f"/{bucket}", form_type, good[: -len(BOUNDARY) - 6])
    check_refused(cut, "IncompleteBody", 400)
    large = post(wire, bucket, Form(signed(bucket, {"key": "key", "x-amz-meta-a": "x" * 30_000})))
    check_refused(large, "MaxPostPreDataLengthExceededError", 400)
    no_key = post(wire, bucket, Form(signed(bucket, {"x-amz-meta-a": "1"})))
    check_refused(no_key, "InvalidArgument", 400)
    assert is_empty(s3, bucket)


def test_what_is_not_there_is_not_ignored(wire: Wire, bucket: str) -> None:
    for name, value in (("acl", "public-read"), ("x-amz-server-side-encryption", "aws:kms")):
        answer = post(wire, bucket, Form(signed(bucket, {"key": "key", name: value})))
        check_refused(answer, "NotImplemented", 501)
    token = {**signed(bucket, {"key": "key"}), "x-amz-security-token": "t"}
    check_refused(post(wire, bucket, Form(token)), "InvalidToken", 400)


def test_an_absent_bucket(wire: Wire) -> None:
    answer = post(wire, "no-such-bucket-here", Form(signed("no-such-bucket-here", {"key": "key"})))
    check_refused(answer, "NoSuchBucket", 404)


def test_an_open_server_needs_no_policy(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Server(tmp_path_factory.mktemp("open"), open_access=True) as server:
        wire, s3 = Wire(server), server.client()
        s3.create_bucket(Bucket="bucket")
        assert post(wire, "bucket", Form({"key": "key"})).status == 204
        check_refused(post(wire, "bucket", Form({})), "InvalidArgument", 400)
        assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"content of the file"
        with refused("404", 404):
            s3.head_object(Bucket="bucket", Key="photo.jpg")
