"""A DNS of the test's own, and a server that it leads to."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typing_extensions import override

NAME = "login.example.com"


class Names(AbstractResolver):
    """Gives its answers one after the other, and the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [result(host, address, port) for address in answer]

    @override
    async def close(self) -> None:
        self.asked.append("closed")


def result(host: str, address: str, port: int) -> ResolveResult:
    version = ip_address(address.partition("%")[0]).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )


@dataclass(frozen=True, slots=True)
class Tls:
    server: ssl.SSLContext
    client: ssl.SSLContext
    names: list[str | None] = field(default_factory=list)
    """That clients asked for."""


def tls_for(name: str, folder: Path) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = folder / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    client = ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())
    made = Tls(server, client)

    def note(connection: object, name: str | None, context: ssl.SSLContext) -> None:
        made.names.append(name)

    server.sni_callback = note
    return made


@dataclass(slots=True)
class Server:
    """Gives the same answer to each request and then closes the connection."""

    port: int = 0
    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n" + b'{"a": "b"}\n'
    silent: bool = False
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
            )
            self.requests.append(head + await reader.readexactly(size))
            if self.silent:
                await reader.read()
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # clients hang up, and that is what some tests are about
        finally:
            writer.close()


@asynccontextmanager
async def serving(tls: Tls | None, host: str = "127.0.0.2") -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, host, 0, ssl=tls.server if tls is not None else None)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
