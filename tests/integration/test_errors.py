"""What clients are told when something is wrong, however wrong it is."""

import re
import time
from collections.abc import Iterator

import pytest
from lxml import etree
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused, refused
from tests.integration.wire import UNSIGNED, Wire, head_bytes, read_answer
from tests.support.server import Server


def test_every_error_is_a_document_that_names_its_request(wire: Wire, bucket: str) -> None:
    answers = [
        wire.request("GET", f"/{bucket}/none"),
        wire.request("GET", "/no-such-bucket-here/key"),
        wire.request("GET", "/UPPER/key"),
        wire.plain("GET", f"/{bucket}/none"),
        wire.request("GET", f"/{bucket}", "max-keys=x"),
        wire.request("DELETE", f"/{bucket}", "acl"),
        wire.request("PUT", f"/{bucket}", "tagging"),
        wire.request("PUT", f"/{bucket}/key", headers={"content-md5": "x"}),
        wire.plain("OPTIONS", f"/{bucket}/key"),
    ]
    identities = set()
    for answer in answers:
        assert answer.status >= 400
        assert answer.headers["content-type"] == "application/xml"
        root = etree.fromstring(answer.body)
        assert root.tag == "Error"
        assert [element.tag for element in root][:2] == ["Code", "Message"]
        assert answer.element("RequestId") == answer.headers["x-amz-request-id"]
        assert answer.element("HostId") == answer.headers["x-amz-id-2"]
        assert (answer.element("Resource") or "").startswith("/")
        identities.add(answer.headers["x-amz-request-id"])
    assert len(identities) == len(answers)


def test_what_is_missing_is_named(wire: Wire, bucket: str) -> None:
    answer = wire.request("GET", f"/{bucket}/dir/a%20%3C")
    assert (answer.element("Key"), answer.element("Resource")) == ("dir/a <", f"/{bucket}/dir/a%20%3C")
    assert wire.request("GET", "/no-such-bucket-here/key").element("BucketName") == "no-such-bucket-here"


def test_nothing_tells_what_runs_here(wire: Wire, bucket: str) -> None:
    for answer in (wire.request("GET", "/"), wire.request("GET", f"/{bucket}/none"), wire.plain("GET", "/_/health")):
        assert re.search(r"\d", answer.headers.get("server", "")) is None
        assert "x-powered-by" not in answer.headers
        assert b"Traceback" not in answer.body
        assert b"/site-packages/" not in answer.body


def test_an_error_of_head_has_no_body(wire: Wire, bucket: str) -> None:
    signed = wire.head("HEAD", f"/{bucket}/none").headers
    listed = wire.head("GET", f"/{bucket}").headers
    with wire.connect() as connection:
        connection.sendall(head_bytes("HEAD", f"/{bucket}/none", signed) + head_bytes("GET", f"/{bucket}", listed))
        received = b""
        while b"</ListBucketResult>" not in received:
            data = connection.recv(65_536)
            assert data, received
            received += data
    assert received.startswith(b"HTTP/1.1 404")
    assert b"<Error>" not in received


BOMBS = {
    "laughs": b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 10) for c in range(ord("c"), ord("l")))
    + b"]><%(root)s>&k;</%(root)s>",
    "file": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><%(root)s>&a;</%(root)s>',
    "network": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><%(root)s/>',
    "parameter": b'<!DOCTYPE x [<!ENTITY %% p SYSTEM "file:///etc/passwd"> %%p;]><%(root)s/>',
    "empty type": b"<!DOCTYPE x><%(root)s/>",
    "unknown entity": b"<%(root)s>&nope;</%(root)s>",
    "deep": b"<%(root)s>" + b"<a>" * 10_000 + b"</a>" * 10_000 + b"</%(root)s>",
    "cut": b"<%(root)s><a>",
    "crossed": b"<%(root)s><a></%(root)s></a>",
    "no XML": b'{"Objects": []}',
    "empty": b"",
    "NUL": b"<%(root)s>\0</%(root)s>",
    "encoding": b'<?xml version="1.0" encoding="nonsense"?><%(root)s/>',
    "bad UTF-8": b"<%(root)s>\xff</%(root)s>",
    "another root": b"<Other/>",
}
DOCUMENTS = [
    ("POST", "/{bucket}", "delete", b"Delete"),
    ("POST", "/{bucket}/key", "uploadId={upload}", b"CompleteMultipartUpload"),
    ("PUT", "/{bucket}/key", "tagging", b"Tagging"),
    ("PUT", "/{bucket}", "versioning", b"VersioningConfiguration"),
]


@pytest.mark.parametrize(("method", "path", "query", "root"), DOCUMENTS, ids=[d[3].decode() for d in DOCUMENTS])
def test_documents_that_are_wrong(
    wire: Wire, s3: S3Client, bucket: str, method: str, path: str, query: str, root: bytes
) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Tagging="kept=1")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    for name, bomb in BOMBS.items():
        body = bomb.replace(b"%(root)s", root).replace(b"%%", b"%")
        answer = wire.request(method, path.format(bucket=bucket), query.format(upload=upload), body=body)
        check_refused(answer, "MalformedXML", 400)
        assert b"root:" not in answer.body, name
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == [{"Key": "kept", "Value": "1"}]


@pytest.mark.parametrize(("method", "path", "query", "root"), DOCUMENTS, ids=[d[3].decode() for d in DOCUMENTS])
def test_documents_that_are_too_large(wire: Wire, bucket: str, method: str, path: str, query: str, root: bytes) -> None:
    body = b"<%s>%s</%s>" % (root, b" " * (5 << 20), root)
    answer = wire.request(method, path.format(bucket=bucket), query.format(upload="x"), body=body)
    check_refused(answer, "MalformedXML", 400)


def test_a_document_may_have_a_namespace_comments_and_more(wire: Wire, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a&b", Body=b"x")
    document = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- c --><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<?pi x?><Unknown>1</Unknown><Object>\n <Key><![CDATA[a&b]]></Key><Unknown/></Object></Delete>\n"
    )
    answer = wire.request("POST", f"/{bucket}", "delete", body=document)
    assert (answer.status, answer.element("Key")) == (200, "a&b")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(
    "lines",
    [
        "content-length: abc",
        "content-length: -1",
        "content-length: +5",
        "content-length: 0x5",
        "content-length: 5 5",
        "content-length: 1, 2",
        "content-length:",
        f"content-length: {'9' * 30}",
        "content-length: 5\r\ncontent-length: 6",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: identity",
        "no colon",
        "bad name: x",
        "x-nul: a\0b",
    ],
)
def test_heads_that_are_wrong(wire: Wire, s3: S3Client, bucket: str, lines: str) -> None:
    head = wire.head("PUT", f"/{bucket}/key", payload=UNSIGNED).headers
    data = head_bytes("PUT", f"/{bucket}/key", head)[:-2] + lines.encode() + b"\r\n\r\n"
    answer = wire.send("PUT", data + b"5\r\nhello\r\n0\r\n\r\n")
    assert answer.status in (400, 501), answer
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="key")


@pytest.mark.parametrize("body", [b"zz\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"5\r\nhello6\r\n", b"5\r\nhello\r\n"])
def test_chunks_of_http_that_are_wrong(wire: Wire, s3: S3Client, bucket: str, body: bytes) -> None:
    head = {**wire.head("PUT", f"/{bucket}/key", payload=UNSIGNED).headers, "transfer-encoding": "chunked"}
    answer = wire.send("PUT", head_bytes("PUT", f"/{bucket}/key", head) + body, half_close=True)
    check_refused(answer, "IncompleteBody", 400)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="key")


@pytest.mark.parametrize(
    "data",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET bucket/key HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /bucket/a b HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /bucket/a<b HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /bucket/a\x01b HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /bucket/a\x7fb HTTP/1.1\r\nhost: a\r\n\r\n",
    ],
)
def test_what_is_no_request(wire: Wire, data: bytes) -> None:
    assert wire.send("GET", data).status == 400


@pytest.mark.parametrize("character", ['"', "|", "^", "{", "}", "\\", "[", "]", "é"])
def test_characters_that_should_have_been_escaped(wire: Wire, s3: S3Client, bucket: str, character: str) -> None:
    """Either the key is what was meant, or the request is refused; never another key."""
    answer = wire.request("PUT", f"/{bucket}/a{character}b", body=b"x")
    if answer.status == 200:
        assert s3.get_object(Bucket=bucket, Key=f"a{character}b")["Body"].read() == b"x"
    else:
        assert 400 <= answer.status < 500
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == (answer.status == 200)


def test_heads_that_are_too_large(wire: Wire, bucket: str) -> None:
    many = wire.request("GET", f"/{bucket}", headers={f"x-h-{number}": "x" for number in range(2000)})
    assert 400 <= many.status < 500
    long_path = wire.plain("GET", f"/{bucket}/{'x' * 200_000}")
    assert 400 <= long_path.status < 500
    huge = wire.request("GET", f"/{bucket}", headers={"x-huge": "x" * (8 << 20)})
    assert 400 <= huge.status < 500


def test_a_body_where_none_belongs_is_no_harm(wire: Wire, s3: S3Client, bucket: str) -> None:
    """What was not read must not be taken for the next request."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    smuggled = f"DELETE /{bucket}/key HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    for method in ("GET", "DELETE"):
        first = wire.head(method, f"/{bucket}/other", payload=UNSIGNED).headers
        second = wire.head("GET", f"/{bucket}/key").headers
        with wire.connect() as connection:
            length = {"content-length": str(len(smuggled))}
            connection.sendall(head_bytes(method, f"/{bucket}/other", {**first, **length}) + smuggled)
            assert read_answer(connection, method).status in (204, 404)
            try:
                connection.sendall(head_bytes("GET", f"/{bucket}/key", second))
                answer = read_answer(connection, "GET")
            except OSError:
                continue
            assert (answer.status, answer.body) == (200, b"x")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


def test_requests_one_after_another_on_a_connection(wire: Wire, s3: S3Client, bucket: str) -> None:
    """Also behind errors."""
    with wire.connect() as connection:
        for number in range(20):
            path = f"/{bucket}/{'none' if number % 2 else ''}"
            connection.sendall(head_bytes("GET", path, wire.head("GET", path).headers))
            answer = read_answer(connection, "GET")
            assert answer.status == (404 if number % 2 else 200)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"DGP_REQUEST_TIMEOUT_SECS": "1", "DGP_REPLAY_WINDOW_SECS": "0"}
    root = tmp_path_factory.mktemp("impatient")
    with Server(root, environment=environment, max_object_size=1 << 20) as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


def test_a_client_that_stops_sending(impatient: Server) -> None:
    wire = Wire(impatient)
    head = {**wire.head("PUT", "/bucket/key", payload=UNSIGNED).headers, "content-length": "10"}
    check_refused(wire.send("PUT", head_bytes("PUT", "/bucket/key", head) + b"hel"), "RequestTimeout", 400)
    document = {**wire.head("POST", "/bucket", "delete", payload=UNSIGNED).headers, "content-length": "10"}
    answer = wire.send("POST", head_bytes("POST", "/bucket?delete", document) + b"<De")
    check_refused(answer, "RequestTimeout", 400)
    assert wire.request("HEAD", "/bucket/key").status == 404


def test_a_client_that_sends_slowly_is_served(impatient: Server) -> None:
    """The limit is for silence, not for the whole request."""
    wire = Wire(impatient)
    head = {**wire.head("PUT", "/bucket/slow", payload=UNSIGNED).headers, "content-length": "6"}
    with wire.connect() as connection:
        connection.sendall(head_bytes("PUT", "/bucket/slow", head))
        for byte in b"slowly":
            time.sleep(0.4)
            connection.sendall(bytes([byte]))
        assert read_answer(connection, "PUT").status == 200
    assert wire.request("GET", "/bucket/slow").body == b"slowly"


def test_a_refused_upload_does_not_wait_for_its_body(impatient: Server) -> None:
    wire = Wire(impatient)
    check_refused(
        wire.send("PUT", head_bytes("PUT", "/bucket/key", {"host": wire.host, "content-length": "1000"})),
        "AccessDenied",
        403,
    )


def expecting(wire: Wire, path: str, length: int, headers: dict[str, str] | None = None) -> tuple[bytes, bytes]:
    """Ask before sending: what came first, and, after the body if that was wanted, what came then."""
    head = {**wire.head("PUT", path, payload=UNSIGNED).headers, **(headers or {})}
    head |= {"content-length": str(length), "expect": "100-continue"}
    with wire.connect() as connection:
        connection.sendall(head_bytes("PUT", path, head))
        first = connection.recv(65_536)
        if not first.startswith(b"HTTP/1.1 100"):
            return first, b""
        connection.sendall(b"x" * length)
        return first, connection.recv(65_536)


def test_an_upload_that_asks_first(impatient: Server) -> None:
    wire = Wire(impatient)
    first, then = expecting(wire, "/bucket/asked", 1000)
    assert first.startswith(b"HTTP/1.1 100 ")
    assert then.startswith(b"HTTP/1.1 200 ")
    assert wire.request("GET", "/bucket/asked").body == b"x" * 1000


@pytest.mark.parametrize(
    ("path", "length", "headers", "status", "code"),
    [
        ("/bucket/key", (1 << 20) + 1, {}, b"400", b"EntityTooLarge"),
        ("/bucket/key", 5, {"authorization": ""}, b"400", b"InvalidRequest"),
        ("/bucket/key", 5, {"x-amz-meta-unsigned": "1"}, b"403", b"AccessDenied"),
        ("/BUCKET/key", 5, {}, b"400", b"InvalidBucketName"),
    ],
)
def test_an_upload_that_asks_first_and_may_not(
    impatient: Server, path: str, length: int, headers: dict[str, str], status: bytes, code: bytes
) -> None:
    first, _ = expecting(Wire(impatient), path, length, headers)
    assert first.startswith(b"HTTP/1.1 " + status)
    assert code in first


def test_an_upload_that_is_too_large(impatient: Server) -> None:
    wire = Wire(impatient)
    answer = wire.request("PUT", "/bucket/large", body=b"x" * ((1 << 20) + 1))
    check_refused(answer, "EntityTooLarge", 400)
    assert (answer.element("ProposedSize"), answer.element("MaxSizeAllowed")) == ("1048577", "1048576")
    head = {**wire.head("PUT", "/bucket/large", payload=UNSIGNED).headers, "transfer-encoding": "chunked"}
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    answer = wire.send("PUT", head_bytes("PUT", "/bucket/large", head) + chunk * 17 + b"0\r\n\r\n")
    check_refused(answer, "EntityTooLarge", 400)
    assert wire.request("HEAD", "/bucket/large").status == 404
    assert wire.request("PUT", "/bucket/largest", body=b"x" * (1 << 20)).status == 200
