"""The admin API as commands call it: signed in with the bootstrap password, and out again."""

import ipaddress
import ssl
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say

DEFAULT_SERVER = "http://127.0.0.1:9000"
PASSWORD_VARIABLE = "DGP_BOOTSTRAP_PASSWORD"  # noqa: S105 - its name


class CannotCall(Exception):
    """Says why; `code` is the exit status."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class AdminClient:
    """Use it in a `with`. The cookie is sent by hand: a client would keep a Secure one from http://127.0.0.1."""

    def __init__(self, server: str, password: str | None, timeout: float, ca_bundle: str | None = None) -> None:
        """Raises CannotCall, before a socket is opened if there is no password."""
        if not password:
            raise CannotCall(ExitCode.UNAUTHENTICATED, f"set {PASSWORD_VARIABLE} to the bootstrap password")
        self._server = server.rstrip("/")
        _warn_of_clear_text(self._server)
        self._http = httpx2.Client(
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(cafile=ca_bundle),
        )
        self._password = password
        self._cookie = ""

    def __enter__(self) -> Self:
        answer = self._send("POST", "/admin/login", {"password": self._password})
        match answer.status_code:
            case 200:
                self._cookie = answer.headers.get("set-cookie", "").partition(";")[0]
            case 401:
                raise CannotCall(ExitCode.UNAUTHENTICATED, f"the server does not accept {PASSWORD_VARIABLE}")
            case 429:
                wait = answer.headers.get("retry-after")
                raise CannotCall(
                    ExitCode.REMOTE, f"too many failed attempts; wait {wait + ' s' if wait else 'a while'}"
                )
            case status:
                raise CannotCall(ExitCode.REMOTE, f"HTTP: signing in was answered {status}: {detail_of(answer)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cookie:
            self._send("POST", "/admin/logout")
        self._http.close()

    def send(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Raises CannotCall."""
        answer = self._send(method, path, body)
        if answer.status_code == 401:
            raise CannotCall(ExitCode.UNAUTHENTICATED, "the server has ended the session")
        return answer

    def upload(self, path: str, body: bytes, content_type: str) -> httpx2.Response:
        """Raises CannotCall."""
        answer = self._send("POST", path, content=body, content_type=content_type)
        if answer.status_code == 401:
            raise CannotCall(ExitCode.UNAUTHENTICATED, "the server has ended the session")
        return answer

    def _send(
        self, method: str, path: str, body: object = None, *, content: bytes | None = None, content_type: str = ""
    ) -> httpx2.Response:
        headers = {"cookie": self._cookie} if self._cookie else {}
        if content_type:
            headers["content-type"] = content_type
        try:
            url = f"{self._server}/_/api{path}"
            return self._http.request(method, url, json=body, content=content, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise CannotCall(ExitCode.REMOTE, f"HTTP: {self._server}: {error}") from error


def detail_of(answer: httpx2.Response) -> str:
    """What the server says is wrong."""
    try:
        found = answer.json()
    except ValueError:
        return answer.text[:200]
    if not isinstance(found, dict):
        return str(found)[:200]
    return str(found.get("detail") or found.get("error") or "no reason given")


def _warn_of_clear_text(server: str) -> None:
    parts = urlsplit(server)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        say("warning: the password goes to another host without encryption; use https")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
