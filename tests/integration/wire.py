"""Requests that no SDK would send: bytes on a socket, signed by hand, so that each of them can be wrong on purpose."""

import hashlib
import hmac
import socket
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse, IncompleteRead
from urllib.parse import quote

from lxml import etree

from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
REGION = "us-east-1"

Head = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    short: bool = False
    """The connection ended before the announced length."""

    def element(self, name: str) -> str | None:
        """The text of the first element of that name, whatever its namespace."""
        for element in etree.fromstring(self.body).iter():
            if etree.QName(element).localname == name:
                return element.text or ""
        return None

    @property
    def code(self) -> str | None:
        """The error code; None for a success."""
        return self.element("Code") if self.status >= 300 and self.body else None


@dataclass(frozen=True, slots=True)
class Signer:
    """Signature version 4 as its documentation describes it, written apart from the server's own."""

    access_key: str = ACCESS_KEY
    secret: str = SECRET_KEY
    offset: float = 0.0
    """Seconds that this client's clock is ahead."""

    def timestamp(self) -> str:
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + self.offset))

    def key(self, date: str) -> bytes:
        key = ("AWS4" + self.secret).encode()
        for part in (date, REGION, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key

    def sign(self, method: str, path: str, query: str, headers: Head, payload: str, at: str) -> tuple[str, str]:
        """The names of the signed headers, and the signature. `path` and `query` are as they will be sent."""
        values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        names = ";".join(sorted(values))
        lines = "".join(f"{name}:{values[name]}\n" for name in sorted(values))
        pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if pair)
        canonical = "&".join(f"{name}={value}" for name, value in pairs)
        request = f"{method}\n{path}\n{canonical}\n{lines}\n{names}\n{payload}"
        return names, self.finish("AWS4-HMAC-SHA256", at, hashlib.sha256(request.encode()).hexdigest())

    def finish(self, algorithm: str, at: str, *rest: str) -> str:
        text = "\n".join((algorithm, at, f"{at[:8]}/{REGION}/s3/aws4_request", *rest))
        return hmac.new(self.key(at[:8]), text.encode(), "sha256").hexdigest()

    def authorization(self, at: str, names: str, signature: str) -> str:
        credential = f"{self.access_key}/{at[:8]}/{REGION}/s3/aws4_request"
        return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"


@dataclass(frozen=True, slots=True)
class Signed:
    """The head of a request, and what signatures of its chunks continue from."""

    headers: dict[str, str]
    at: str
    signature: str


@dataclass(frozen=True, slots=True)
class Wire:
    server: Server
    signer: Signer = field(default_factory=Signer)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def connect(self, timeout: float = 30.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout)

    def head(
        self, method: str, path: str, query: str = "", headers: Head | None = None, payload: str = EMPTY_SHA256
    ) -> Signed:
        """The headers to send, signed: all that are given, the host, the date and the digest of the payload."""
        at = self.signer.timestamp()
        values = {"host": self.host, "x-amz-date": at, "x-amz-content-sha256": payload, **(headers or {})}
        names, signature = self.signer.sign(method, path, query, values, payload, at)
        return Signed({**values, "authorization": self.signer.authorization(at, names, signature)}, at, signature)

    def presign(
        self,
        method: str,
        path: str,
        expires: int = 60,
        headers: Head | None = None,
        query: str = "",
        payload: str = UNSIGNED,
    ) -> str:
        """The target (path and query) of a presigned request; `headers` are to be sent with it."""
        at = self.signer.timestamp()
        values = {"host": self.host, **(headers or {})}
        credential = quote(f"{self.signer.access_key}/{at[:8]}/{REGION}/s3/aws4_request", safe="")
        names = quote(";".join(sorted(name.lower() for name in values)), safe="")
        full = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={at}"
            f"&X-Amz-Expires={expires}&X-Amz-SignedHeaders={names}" + (f"&{query}" if query else "")
        )
        _, signature = self.signer.sign(method, path, full, values, payload, at)
        return f"{path}?{full}&X-Amz-Signature={signature}"

    def request(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Head | None = None,
        body: bytes = b"",
        *,
        payload: str | None = None,
        unsigned_headers: Head | None = None,
    ) -> Answer:
        """Send one signed request with a Content-Length. `path` must be encoded already."""
        digest = payload or hashlib.sha256(body).hexdigest()
        signed = self.head(method, path, query, headers, digest)
        length = {"content-length": str(len(body))} if body or method in ("PUT", "POST") else {}
        target = f"{path}?{query}" if query else path
        return self.exchange(method, target, {**length, **(unsigned_headers or {}), **signed.headers}, body)

    def plain(self, method: str, target: str, headers: Head | None = None, body: bytes = b"") -> Answer:
        """Send one request without a signature, but for what the target says."""
        length = {"content-length": str(len(body))} if body or method in ("PUT", "POST") else {}
        return self.exchange(method, target, {"host": self.host, **length, **(headers or {})}, body)

    def exchange(self, method: str, target: str, headers: Head, body: bytes = b"") -> Answer:
        return self.send(method, head_bytes(method, target, headers) + body)

    def send(self, method: str, data: bytes, *, half_close: bool = False) -> Answer:
        """Send bytes as they are, on a connection of their own. `half_close`: nothing will follow."""
        with self.connect() as connection:
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                # The server has answered before it took everything; the answer is what counts.
                pass
            return read_answer(connection, method)


def head_bytes(method: str, target: str, headers: Head) -> bytes:
    lines = [f"{method} {target} HTTP/1.1".encode()]
    lines += [f"{name}: ".encode() + value.encode() for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def read_answer(connection: socket.socket, method: str) -> Answer:
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
        short = False
        try:
            body = response.read()
        except IncompleteRead as error:
            body, short = error.partial, True
        return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, body, short)
    finally:
        response.close()


def md5_hex(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def md5_base64(data: bytes) -> str:
    return b64encode(hashlib.md5(data).digest()).decode()
