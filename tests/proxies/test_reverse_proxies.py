"""What clients may expect behind a reverse proxy that is set up as the manual shows: nothing differs from S3."""

import gzip
import http.client
import io
import os
import random
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.integration import framing
from tests.integration.framing import Framing
from tests.integration.test_keys import ODD
from tests.integration.wire import UNSIGNED, Wire, head_bytes, md5_hex, read_answer
from tests.proxies.reverse import EACH, ONCE_BUILT, Fronts, Proxy, in_front, shown
from tests.support import programs
from tests.support.server import ACCESS_KEY, PASSWORD, SECRET_KEY, Server

BUCKET = "releases"
LARGE = random.Random(7).randbytes(40_000_000)


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    root = tmp_path_factory.mktemp("behind")
    trusting = {"DGP_TRUST_PROXY_HEADERS": "true", "DGP_TRUSTED_PROXY_CIDRS": "127.0.0.1/32"}
    with Server(root, environment=trusting) as server, Fronts(server, root / "proxies") as made:
        server.client().create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture(params=EACH)
def proxy(request: pytest.FixtureRequest, fronts: Fronts) -> Proxy:
    return fronts.get(request.param)


def test_every_key_is_a_key_of_its_own(proxy: Proxy) -> None:
    bucket, behind, direct = f"odd-{proxy.name}", proxy.client(), proxy.server.client()
    behind.create_bucket(Bucket=bucket)
    for key in ODD:
        behind.put_object(Bucket=bucket, Key=key, Body=key.encode())
    found = [entry["Key"] for entry in direct.list_objects_v2(Bucket=bucket)["Contents"]]
    assert found == sorted(ODD, key=lambda key: key.encode())
    for key in ODD:
        assert behind.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
        behind.delete_object(Bucket=bucket, Key=key)
    assert direct.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_path_above_the_root(proxy: Proxy) -> None:
    """It is a key as any other, but nginx lets none pass."""
    answer = proxy.wire().request("PUT", f"/{BUCKET}/../../a", body=b"a")
    assert answer.status == (400 if proxy.name == "nginx" else 200)


@pytest.mark.parametrize(("passed_to", "code"), [("/", "SignatureDoesNotMatch"), ("$request_uri", None)])
def test_nginx_tidies_paths_if_it_is_told_a_path(
    fronts: Fronts, tmp_path: Path, passed_to: str, code: str | None
) -> None:
    told = [("http://deltaglider;", f"http://deltaglider{passed_to};")]
    with in_front("nginx", fronts.server, tmp_path / "nginx", told) as nginx:
        assert nginx.wire().request("PUT", f"/{BUCKET}/a//b", body=b"a").code == code


def test_presigned_urls(proxy: Proxy) -> None:
    client, key = proxy.client(), f"presigned {proxy.name}//a+b%2F"
    named = {"Bucket": BUCKET, "Key": key}
    put = client.generate_presigned_url("put_object", named)
    with urllib.request.urlopen(
        urllib.request.Request(put, b"abc", {"content-type": ""}, method="PUT"), context=proxy.trusting()
    ) as answer:
        assert answer.status == 200
    get = client.generate_presigned_url("get_object", named)
    with urllib.request.urlopen(get, context=proxy.trusting()) as answer:
        assert answer.read() == b"abc"
    target = get.partition(f":{proxy.port}")[2]
    for wrong in (target.replace("presigned", "Presigned"), target[:-1] + ("0" if target[-1] != "0" else "1")):
        assert proxy.wire().plain("GET", wrong).code == "SignatureDoesNotMatch"


def test_urls_that_were_signed_for_another_host_are_refused(proxy: Proxy) -> None:
    """The host that clients name is the one that the server sees."""
    target = Wire(proxy.server).presign("GET", f"/{BUCKET}")
    assert Wire(proxy.server).plain("GET", target).status == 200
    assert proxy.wire().plain("GET", target).code == "SignatureDoesNotMatch"


def test_metadata_and_types_come_through(proxy: Proxy) -> None:
    client, key = proxy.client(), f"metadata {proxy.name}"
    kept = {"my_tag": "1", "my.tag": "2", "plain": "with   spaces", "long": "x" * 1900}
    client.put_object(Bucket=BUCKET, Key=key, Body=b"a", Metadata=kept, ContentType="text/x; charset=utf-8")
    found = client.head_object(Bucket=BUCKET, Key=key)
    assert found["ContentType"] == "text/x; charset=utf-8"
    if proxy.name == "caddy":  # it writes the names of headers with capitals
        found["Metadata"] = {name.lower(): value for name, value in found["Metadata"].items()}
    assert found["Metadata"] == kept


@pytest.mark.parametrize("kind", Framing)
def test_uploads_in_signed_chunks(proxy: Proxy, kind: Framing) -> None:
    wire, path = proxy.wire(), f"/{BUCKET}/chunked-{proxy.name}-{kind.name}"
    pieces = [LARGE[:100_000], LARGE[100_000:300_000], b"end"]
    trailers = {"x-amz-checksum-crc32": "AAAAAA=="}
    if kind.trailing:
        assert framing.send(wire, framing.upload(wire, path, pieces, kind, trailers)).code == "BadDigest"
    answer = framing.send(wire, framing.upload(wire, path, pieces, kind))
    assert answer.status == 200
    assert wire.request("GET", path).body == b"".join(pieces)


def test_bodies_without_a_length(proxy: Proxy) -> None:
    wire, path = proxy.wire(), f"/{BUCKET}/no-length-{proxy.name}"
    made = framing.upload(wire, path, [LARGE[:70_000]], Framing.UNSIGNED_TRAILER)
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (made.body[:1000], made.body[1000:]))
    head = head_bytes("PUT", path, {**made.headers, "transfer-encoding": "chunked"})
    assert wire.send("PUT", head + body + b"0\r\n\r\n").status == 200
    assert wire.request("GET", path).body == LARGE[:70_000]


@pytest.mark.parametrize("bucket", [BUCKET, "no-such-bucket-here"])
def test_clients_that_ask_before_they_send(proxy: Proxy, bucket: str) -> None:
    wire, path = proxy.wire(), f"/{bucket}/asking-{proxy.name}"
    head = {**wire.head("PUT", path, payload=UNSIGNED).headers, "content-length": "4", "expect": "100-continue"}
    with wire.connect() as connection:
        connection.sendall(head_bytes("PUT", path, head))
        first = _first_head(connection)
        if first.startswith(b"HTTP/1.1 100 "):
            connection.sendall(b"body")
            answer = read_answer(connection, "PUT")
            assert (answer.status, answer.code) == ((200, None) if bucket == BUCKET else (404, "NoSuchBucket"))
        else:
            assert first.startswith(b"HTTP/1.1 404 ")
            assert bucket != BUCKET


def _first_head(connection: socket.socket) -> bytes:
    """Interim or final, and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, head
        head += byte
    return head


@pytest.mark.parametrize("size", [100_000, 8 << 20])
def test_the_reason_of_a_refusal_arrives(proxy: Proxy, size: int) -> None:
    """Although the proxy has taken the body already, or still does."""
    with pytest.raises(ClientError, match="NoSuchBucket"):
        proxy.client().put_object(Bucket="no-such-bucket-here", Key=f"{proxy.name}-{size}", Body=LARGE[:size])


class _Upload:
    """A large upload that was begun by a presigned URL and goes on for as long as it is told to."""

    def __init__(self, proxy: Proxy, key: str) -> None:
        url = proxy.client().generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": key})
        self.connection = http.client.HTTPSConnection("localhost", proxy.port, timeout=60, context=proxy.trusting())
        self.connection.putrequest("PUT", url.partition(f":{proxy.port}")[2])
        self.connection.putheader("content-length", str(len(LARGE)))
        self.connection.endheaders()
        self.connection.send(LARGE[:20_000_000])

    def finish(self) -> int:
        self.connection.send(LARGE[20_000_000:])
        answer = self.connection.getresponse()
        answer.read()
        self.connection.close()
        return answer.status


def _stored(server: Server) -> int:
    """Bytes in files of the server; they come and go while it is looked at."""
    sizes = 0
    for folder in (server.data, server.root / "cache"):
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                sizes += path.stat().st_blocks * 512 if path.exists() else 0
    return sizes


def test_large_uploads_are_not_collected(proxy: Proxy) -> None:
    server, key = proxy.server, f"large-{proxy.name}"
    before = _stored(server)
    upload = _Upload(proxy, key)
    server.wait_for(lambda: _stored(server) - before > 10_000_000)
    assert upload.finish() == 200
    with urllib.request.urlopen(
        proxy.client().generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}), context=proxy.trusting()
    ) as answer:
        assert answer.read() == LARGE
    proxy.client().delete_object(Bucket=BUCKET, Key=key)


def test_an_upload_that_breaks_off_leaves_nothing(proxy: Proxy) -> None:
    server, key = proxy.server, f"broken-{proxy.name}"
    before = _stored(server)
    upload = _Upload(proxy, key)
    server.wait_for(lambda: _stored(server) - before > 10_000_000)
    upload.connection.close()
    server.wait_for(lambda: _stored(server) - before < 1_000_000)
    assert key not in [entry["Key"] for entry in server.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def _waiting_to_be_sent(port: int) -> int:
    """Bytes in the queues of connections of whoever listens there."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(int(line[4].partition(":")[0], 16) for line in fields if int(line[1].partition(":")[2], 16) == port)


def test_nothing_is_sent_to_a_client_that_went_away(proxy: Proxy) -> None:
    server, key = proxy.server, f"abandoned-{proxy.name}"
    server.client().put_object(Bucket=BUCKET, Key=key, Body=LARGE)
    url = proxy.client().generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key})
    connections = []
    for _ in range(3):
        connection = http.client.HTTPSConnection("localhost", proxy.port, timeout=60, context=proxy.trusting())
        connection.request("GET", url.partition(f":{proxy.port}")[2])
        assert len(connection.getresponse().read(1000)) == 1000
        connections.append(connection)
    server.wait_for(lambda: _waiting_to_be_sent(server.port) > 0)
    for connection in connections:
        connection.close()
    server.wait_for(lambda: _waiting_to_be_sent(server.port) == 0)


def test_ranges_and_heads(proxy: Proxy) -> None:
    client, key = proxy.client(), f"ranges-{proxy.name}"
    client.put_object(Bucket=BUCKET, Key=key, Body=LARGE[:100_000], ContentType="text/html")
    for asked, start, stop in (("0-9", 0, 10), ("99990-", 99_990, 100_000), ("-5", 99_995, 100_000)):
        part = client.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={asked}")
        assert part["Body"].read() == LARGE[start:stop]
        assert part["ContentRange"] == f"bytes {start}-{stop - 1}/100000"
    with pytest.raises(ClientError, match="InvalidRange"):
        client.get_object(Bucket=BUCKET, Key=key, Range="bytes=100000-")
    wire = proxy.wire()
    for method in ("HEAD", "GET"):
        answer = wire.request(method, f"/{BUCKET}/{key}", unsigned_headers={"accept-encoding": "gzip, br, zstd"})
        assert answer.headers["content-length"] == "100000"
        assert answer.headers["etag"] == f'"{md5_hex(LARGE[:100_000])}"'
        assert "content-encoding" not in answer.headers
        assert answer.body == (LARGE[:100_000] if method == "GET" else b"")


def test_what_was_compressed_by_the_client_stays_so(proxy: Proxy) -> None:
    client, key, packed = proxy.client(), f"packed-{proxy.name}", gzip.compress(b"hello" * 1000)
    client.put_object(Bucket=BUCKET, Key=key, Body=packed, ContentType="text/html", ContentEncoding="gzip")
    answer = proxy.wire().request("GET", f"/{BUCKET}/{key}")
    assert (answer.body, answer.headers["content-encoding"]) == (packed, "gzip")


def test_one_connection_for_answers_of_all_kinds(proxy: Proxy) -> None:
    wire, path = proxy.wire(), f"/{BUCKET}/kept-{proxy.name}"
    etag = {"if-none-match": f'"{md5_hex(b"body")}"'}
    asked = [
        ("PUT", path, {}, b"body", 200, b""),
        ("HEAD", path, {}, b"", 200, b""),
        ("GET", path, etag, b"", 304, b""),
        ("HEAD", f"{path}-absent", {}, b"", 404, b""),
        ("GET", f"{path}-absent", {}, b"", 404, b"NoSuchKey"),
        ("PUT", "/no-such-bucket-here/x", {}, LARGE[:100_000], 404, b"NoSuchBucket"),
        ("GET", path, {"range": "bytes=1-2"}, b"", 206, b"od"),
        ("DELETE", path, {}, b"", 204, b""),
        ("GET", path, {}, b"", 404, b"NoSuchKey"),
    ]
    connection = http.client.HTTPSConnection("localhost", proxy.port, timeout=30, context=proxy.trusting())
    connection.connect()
    first = connection.sock
    for method, target, headers, body, status, part in asked:
        signed = wire.head(method, target, headers=headers, payload=UNSIGNED)
        connection.request(method, target, body or None, signed.headers)
        answer = connection.getresponse()
        said = answer.read()
        assert (answer.status, part in said, bool(said)) == (status, True, bool(part)), (method, target)
    assert connection.sock is first
    connection.close()


def test_the_endpoint_that_a_session_is_told_is_the_proxys(proxy: Proxy) -> None:
    with proxy.http() as http:
        http.post("/_/api/admin/login", json={"password": PASSWORD})
        proxy.server.secrets.update(cookie.value for cookie in http.cookies.jar if cookie.value)
        assert http.get("/_/api/admin/session/s3-credentials").json()["endpoint"] == proxy.endpoint


def test_multipart_uploads(proxy: Proxy) -> None:
    client, key = proxy.client(), f"parts-{proxy.name}"
    client.upload_fileobj(io.BytesIO(LARGE[:20_000_000]), BUCKET, key)
    found = client.get_object(Bucket=BUCKET, Key=key)
    assert found["ETag"].endswith('-3"')
    assert found["Body"].read() == LARGE[:20_000_000]


def test_the_commands_of_the_page(proxy: Proxy, tmp_path: Path) -> None:
    (commands,) = shown("sh")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CA_BUNDLE": str(proxy.certificate),
        "CURL_CA_BUNDLE": str(proxy.certificate),
    }
    script = commands.replace("https://s3.example.com", proxy.endpoint)
    done = subprocess.run(
        ["bash", "-euxc", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@ONCE_BUILT
@pytest.mark.slow
def test_http_2(fronts: Fronts, tmp_path: Path) -> None:
    """Caddy offers it by itself, and clients made with Go take it."""
    proxy = fronts.get("caddy")
    if shutil.which("curl") is None:
        programs.unavailable("curl is not on the PATH")
    target = {"Bucket": BUCKET, "Key": "a//b c+d of HTTP 2"}
    (tmp_path / "body").write_bytes(LARGE)
    urls = {m: proxy.client().generate_presigned_url(f"{m.lower()}_object", target) for m in ("PUT", "GET")}
    said = []
    for arguments in (["-T", "body", urls["PUT"]], ["-o", "back", urls["GET"]]):
        command = ["curl", "-s", "--http2", "--cacert", str(proxy.certificate), "-w", "%{http_version} %{http_code}"]
        said.append(subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, check=True).stdout)
    assert said == [b"2 200", b"2 200"]
    assert (tmp_path / "back").read_bytes() == LARGE
