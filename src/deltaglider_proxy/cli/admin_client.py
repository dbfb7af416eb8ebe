"""The admin API as commands call it: with a token, or signed in with the bootstrap password and out again."""

import ipaddress
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say

DEFAULT_SERVER = "http://127.0.0.1:9000"
TOKEN_VARIABLE = "DGP_TOKEN"  # noqa: S105 - its name
PASSWORD_VARIABLE = "DGP_BOOTSTRAP_PASSWORD"  # noqa: S105 - its name


class CannotCall(Exception):
    """Says why; `code` is the exit status."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class AdminClient:
    """Use it in a `with`. The cookie is sent by hand: a client would keep a Secure one from http://127.0.0.1."""

    def __init__(self, server: str, environ: Mapping[str, str], timeout: float, ca_bundle: str | None = None) -> None:
        """Raises CannotCall, before a socket is opened if there is neither a token nor a password."""
        self._token, self._password = environ.get(TOKEN_VARIABLE, ""), environ.get(PASSWORD_VARIABLE, "")
        if not self._token and not self._password:
            message = (
                f"set {TOKEN_VARIABLE} to a token of the admin API, or {PASSWORD_VARIABLE} to the bootstrap password"
            )
            raise CannotCall(ExitCode.UNAUTHENTICATED, message)
        if not (self._token.isascii() and self._token.isprintable()):
            raise CannotCall(ExitCode.UNAUTHENTICATED, f"{TOKEN_VARIABLE} is no token: it has characters that none has")
        self._server = server.rstrip("/")
        _warn_of_clear_text(self._server, "token" if self._token else "password")
        self._http = httpx2.Client(
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(cafile=ca_bundle),
        )
        self._cookie = ""

    def __enter__(self) -> Self:
        if self._token:
            return self
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
        return self._accepted(answer)

    def upload(self, path: str, body: bytes, content_type: str) -> httpx2.Response:
        """Raises CannotCall."""
        answer = self._send("POST", path, content=body, content_type=content_type)
        return self._accepted(answer)

    def _accepted(self, answer: httpx2.Response) -> httpx2.Response:
        if answer.status_code == 401:
            why = f"does not accept {TOKEN_VARIABLE}" if self._token else "has ended the session"
            raise CannotCall(ExitCode.UNAUTHENTICATED, f"the server {why}")
        return answer

    def _send(
        self, method: str, path: str, body: object = None, *, content: bytes | None = None, content_type: str = ""
    ) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        if self._cookie:
            headers["cookie"] = self._cookie
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


def _warn_of_clear_text(server: str, what: str) -> None:
    parts = urlsplit(server)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        say(f"warning: the {what} goes to another host without encryption; use https")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
