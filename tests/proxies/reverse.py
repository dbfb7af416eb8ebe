"""Reverse proxies of others in front of a real server, with the configurations that the manual shows.

Where they listen, where the server is and where the certificate lies is replaced in them, nothing else: what the manual
says is what is tried.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
import pytest
from mypy_boto3_s3 import S3Client
from typing_extensions import override

from tests.integration.wire import Signer, Wire
from tests.proxies.certificates import Files
from tests.proxies.https import secured_client, secured_http
from tests.support import programs
from tests.support.server import ACCESS_KEY, SECRET_KEY, START_SECONDS, Server, free_port

CADDY = programs.GoProgram("caddy", "github.com/caddyserver/caddy/v2/cmd/caddy", "v2.11.9")

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "reverse-proxy.md"

SLOW = pytest.mark.slow
ONCE_BUILT = pytest.mark.timeout(120 if programs.is_built(CADDY) else programs.BUILD_SECONDS + 300)
"""Caddy is built by the first test that needs it, which takes minutes."""

EACH = ["nginx", pytest.param("haproxy", marks=SLOW), pytest.param("caddy", marks=[SLOW, ONCE_BUILT])]
"""For `pytest.fixture(params=...)`: only the first is tried by default."""

Replaced = Sequence[tuple[str, str]]


def shown(language: str, page: Path = PAGE) -> list[str]:
    """The blocks of the page in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def fitted(text: str, replaced: Replaced) -> str:
    """What stands in the manual, moved to where a test can run it."""
    for old, new in replaced:
        assert old in text, f"the page says nothing of {old!r}"
        text = text.replace(old, new)
    return text


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs, and what is behind it."""

    name: str
    server: Server
    port: int
    certificate: Path

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self.port}"

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)

    def client(self, access_key: str = ACCESS_KEY, secret: str = SECRET_KEY) -> S3Client:
        return secured_client(self.endpoint, self.certificate, access_key, secret)

    def http(self) -> httpx2.Client:
        return secured_http(self.endpoint, self.certificate)

    def wire(self, source: str = "127.0.0.1", signer: Signer | None = None) -> "ProxiedWire":
        """Bytes on a connection from this address of the loopback network."""
        return ProxiedWire(self.server, signer or Signer(), proxy=self, source=source)


@dataclass(frozen=True, slots=True)
class ProxiedWire(Wire):
    """Speaks TLS with the proxy instead of HTTP with the server behind it."""

    proxy: Proxy = field(kw_only=True)
    source: str = "127.0.0.1"

    @property
    @override
    def host(self) -> str:
        return f"localhost:{self.proxy.port}"

    @override
    def connect(self, timeout: float = 30.0) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.proxy.port), timeout, source_address=(self.source, 0))
        return self.proxy.trusting().wrap_socket(plain, server_hostname="localhost")


Write = Callable[[Path, Files, Proxy, Replaced], list[str | Path]]
"""Puts the files of a proxy into a folder; the command that runs it there. What else is to be replaced comes last."""


_AS_DEBIAN = "    gzip on;\n    gzip_types *;\n    gzip_proxied any;\n"
"""What many a nginx.conf says for all sites."""


def _nginx(root: Path, files: Files, proxy: Proxy, replaced: Replaced) -> list[str | Path]:
    (block,) = shown("nginx")
    text = fitted(
        block,
        [
            ("listen 443 ssl", f"listen 127.0.0.1:{proxy.port} ssl"),
            ("127.0.0.1:9000", f"127.0.0.1:{proxy.server.port}"),
            ("s3.example.com;", "localhost;"),
            ("/etc/ssl/s3.example.com.crt", str(files.cert)),
            ("/etc/ssl/s3.example.com.key", str(files.key)),
            *replaced,
        ],
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"    {kind}_temp_path {root / kind};\n" for kind in kinds)
    user = "user root;\n" if os.geteuid() == 0 else ""
    (root / "nginx.conf").write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {root / 'nginx.pid'};\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\n    access_log off;\n{_AS_DEBIAN}{folders}{text}}}\n"
    )
    return [_system_program("nginx"), "-e", "stderr", "-p", root, "-c", root / "nginx.conf"]


def _haproxy(root: Path, files: Files, proxy: Proxy, replaced: Replaced) -> list[str | Path]:
    (root / "both.pem").write_bytes(files.cert.read_bytes() + files.key.read_bytes())
    (block,) = shown("haproxy")
    text = fitted(
        block,
        [
            ("bind :443", f"bind 127.0.0.1:{proxy.port}"),
            ("127.0.0.1:9000", f"127.0.0.1:{proxy.server.port}"),
            ("/etc/haproxy/s3.example.com.pem", str(root / "both.pem")),
            *replaced,
        ],
    )
    (root / "haproxy.cfg").write_text(f"global\n    log stderr local0\n{text}")
    return [_system_program("haproxy"), "-db", "-f", root / "haproxy.cfg"]


def _caddy(root: Path, files: Files, proxy: Proxy, replaced: Replaced) -> list[str | Path]:
    site, options = shown("caddyfile")
    text = fitted(
        site,
        [
            ("s3.example.com {", f"localhost:{proxy.port} {{\n    tls {files.cert} {files.key}"),
            ("127.0.0.1:9000", f"127.0.0.1:{proxy.server.port}"),
            *replaced,
        ],
    )
    ours = options.replace("{\n", "{\n    admin off\n    auto_https off\n", 1)
    (root / "Caddyfile").write_text(f"{ours}{text}")
    return [programs.built(CADDY), "run", "--config", root / "Caddyfile", "--adapter", "caddyfile"]


KINDS: dict[str, Write] = {"nginx": _nginx, "haproxy": _haproxy, "caddy": _caddy}


def _system_program(name: str) -> Path:
    """Debian keeps them where the PATH of a user does not lead."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        programs.unavailable(f"{name} is not installed: apt-get install {name}")
    return Path(found)


@contextlib.contextmanager
def in_front(name: str, server: Server, root: Path, replaced: Replaced = ()) -> Iterator[Proxy]:
    """A proxy of this kind for as long as the block lasts; its files are in `root`. `replaced`: in what the manual
    shows, for a proxy that is set up otherwise.

    It dies with the thread that started it, so that a killed test run leaves none behind.
    Raises RuntimeError, with its log, if it does not serve.
    """
    root.mkdir(parents=True)
    files = Files(root)
    files.renew(lasts=timedelta(days=90))
    proxy = Proxy(name, server, free_port(), files.cert)
    tied = shutil.which("setpriv")
    command = [*((tied, "--pdeathsig", "TERM") if tied else ()), *KINDS[name](root, files, proxy, replaced)]
    log = root / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env={**os.environ, "HOME": str(root), "XDG_DATA_HOME": str(root), "XDG_CONFIG_HOME": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await(proxy, process, log)
        yield proxy
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await(proxy: Proxy, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{proxy.endpoint}/_/health", timeout=5, context=proxy.trusting()):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.03)
    raise RuntimeError(f"{proxy.name} did not start: {log.read_text()[-3000:]}")


class Fronts:
    """Each kind of proxy is started when it is first asked for, and lasts until the block is left."""

    def __init__(self, server: Server, root: Path) -> None:
        self.server = server
        self._root = root
        self._stack = contextlib.ExitStack()
        self._running: dict[str, Proxy] = {}

    def get(self, name: str) -> Proxy:
        if name not in self._running:
            self._running[name] = self._stack.enter_context(in_front(name, self.server, self._root / name))
        return self._running[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
