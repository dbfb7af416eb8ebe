"""An administrator: makes, changes and removes users, changes their keys, and changes the configuration.

Everything that is changed by one call carries one number several times, so that a change that was half made shows.
"""

import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.integration.wire import Signer, Wire
from tests.soak.findings import Findings, Outcome
from tests.soak.ledger import ABSENT, Ledger, Version
from tests.soak.objects import BUCKET
from tests.support.admin import Json
from tests.support.server import PASSWORD, Server

USER, KEY, CONFIG = "user:", "key:", "config"
NAMES = ("ann", "bob", "cyd")
_MAX_SIZE = 1 << 30


def user_document(number: int) -> Json:
    rules = [
        {"effect": "Allow", "actions": ["read"], "resources": [f"{BUCKET}/r{number}/*"]},
        {"effect": "Allow", "actions": ["write"], "resources": [f"{BUCKET}/w{number}/*"]},
    ]
    return {"enabled": number % 3 != 0, "permissions": rules}


def user_state(view: Mapping[str, Any]) -> str:
    """The number that all parts agree on; otherwise what they say. Raises nothing: what is half is a state, too."""
    text = " ".join(str(rule) for rule in view["permissions"])
    numbers = set(re.findall(rf"{BUCKET}/[rw](\d+)/", text))
    if len(numbers) == 1 and len(view["permissions"]) == 2:
        number = int(next(iter(numbers)))
        if view["enabled"] == user_document(number)["enabled"]:
            return str(number)
    return f"half: enabled={view['enabled']} {text}"


def key_pair(name: str, number: int) -> tuple[str, str]:
    return f"AKSOAK{name.upper()}{number:06d}", f"secret-of-{name}-number-{number:06d}"


def config_document(number: int) -> Json:
    """Never the defaults, which are not shown."""
    return {
        "max_object_size": _MAX_SIZE + number,
        "max_delta_ratio": 0.5 + number % 20 / 100,
        "codec_timeout_secs": 61 + number % 100,
    }


def config_state(section: Mapping[str, Any]) -> str:
    number = int(section["max_object_size"]) - _MAX_SIZE
    wanted = config_document(number)
    if all(abs(section.get(name, -1) - value) < 1e-9 for name, value in wanted.items()):
        return str(number)
    return f"half: { {name: section.get(name) for name in wanted} }"


@dataclass
class Administrator:
    """`run` works until `stop` is set, in one thread."""

    server: Server
    ledger: Ledger
    findings: Findings
    dice: random.Random
    stop: threading.Event
    number: int = 1
    """Used up so far; also for keys."""
    _http: httpx2.Client | None = field(default=None, repr=False)

    def run(self) -> None:
        try:
            while not self.stop.wait(0.05):
                try:
                    self._step()
                except httpx2.HTTPError:
                    self.close()
        except Exception as error:
            self.findings.add("harness", "administrator", repr(error))
            raise
        finally:
            self.close()

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def ask(self, method: str, path: str, json: object = None) -> httpx2.Response:
        """Signed in, again if need be. Raises httpx2.HTTPError."""
        if self._http is None:
            http = httpx2.Client(base_url=f"{self.server.endpoint}/_/api", timeout=30, trust_env=False)
            try:
                http.post("/admin/login", json={"password": PASSWORD}).raise_for_status()
            except httpx2.HTTPError:
                http.close()
                raise
            self._http = http
        answer = self._http.request(method, path, json=json)
        if answer.status_code == 401:
            self.close()
        return answer

    def _step(self) -> None:
        self.number += 1
        if self.dice.random() < 0.35:
            self._change("PUT /admin/config/section/advanced", {CONFIG: self.number}, config_document(self.number))
            return
        name = self.dice.choice(NAMES)
        answer = self.ask("GET", "/admin/users")
        if answer.status_code != 200:
            self._refused(answer)
            return
        found = {view["name"]: view["id"] for view in answer.json()}
        if name not in found:
            access_key, secret = key_pair(name, self.number)
            keys = {"access_key_id": access_key, "secret_access_key": secret}
            made = {"name": name, **keys, **user_document(self.number)}
            self._change("POST /admin/users", {USER + name: self.number, KEY + name: self.number}, made)
        elif (chance := self.dice.random()) < 0.2:
            self._change(f"DELETE /admin/users/{found[name]}", {USER + name: None, KEY + name: None})
        elif chance < 0.5:
            access_key, secret = key_pair(name, self.number)
            body = {"access_key_id": access_key, "secret_access_key": secret}
            self._change(f"POST /admin/users/{found[name]}/rotate-keys", {KEY + name: self.number}, body)
        else:
            body = user_document(self.number)
            self._change(f"PUT /admin/users/{found[name]}", {USER + name: self.number}, body)

    def _change(self, what: str, names: Mapping[str, int | None], body: object = None) -> None:
        began = time.monotonic()
        method, path = what.split()
        versions = [
            self.ledger.begin(name, [ABSENT if number is None else str(number)], what) for name, number in names.items()
        ]
        try:
            answer = self.ask(method, path, body)
        except httpx2.ConnectError:
            self._end(versions, Outcome.REFUSED)
            raise
        except httpx2.HTTPError as error:
            self._end(versions, Outcome.UNKNOWN)
            self.findings.called(began, what, Outcome.UNKNOWN, type(error).__name__)
            raise
        outcome = self._outcome(answer)
        self._end(versions, outcome)
        self.findings.called(began, what, outcome, str(answer.status_code))

    def _outcome(self, answer: httpx2.Response) -> Outcome:
        if answer.status_code >= 400:
            self._refused(answer)
            return Outcome.UNKNOWN if answer.status_code >= 500 else Outcome.REFUSED
        if answer.status_code == 200 and answer.json().get("persisted") is False:
            self.findings.remark("a change of the configuration was not persisted, and said so")
            return Outcome.UNKNOWN
        return Outcome.DONE

    def _refused(self, answer: httpx2.Response) -> None:
        self.findings.remark(f"admin API {answer.request.method} {answer.status_code} {answer.text[:120]}")
        if self.findings.calm and answer.status_code != 401:
            self.findings.add("unavailable", "admin API", f"{answer.request.url} {answer.status_code} {answer.text}")

    def _end(self, versions: list[Version], outcome: Outcome) -> None:
        for version in versions:
            match outcome:
                case Outcome.DONE:
                    self.ledger.acknowledged(version)
                case Outcome.REFUSED:
                    self.ledger.refused(version)
                case Outcome.UNKNOWN:
                    self.ledger.lost(version, lasting=False)

    def observed(self) -> dict[str, str]:
        """All states of now, of a server that was once given `config_document`. Raises httpx2.HTTPError."""
        answer = self.ask("GET", "/admin/users").raise_for_status()
        found = {name: ABSENT for user in NAMES for name in (USER + user, KEY + user)}
        for view in answer.json():
            if view["name"] in NAMES:
                found[USER + view["name"]] = user_state(view)
                ids = [key["access_key_id"] for key in view["access_keys"]]
                found[KEY + view["name"]] = _key_state(view["name"], ids)
        section = self.ask("GET", "/admin/config/section/advanced").raise_for_status().json()
        found[CONFIG] = config_state(section)
        return found


def _key_state(name: str, ids: list[str]) -> str:
    start = f"AKSOAK{name.upper()}"
    if len(ids) == 1 and ids[0].startswith(start):
        return str(int(ids[0][len(start) :]))
    return f"half: keys {ids}"


def key_is_known(server: Server, name: str, number: int) -> bool:
    """Whether S3 takes the pair, whatever it may do with it."""
    wire = Wire(server, Signer(*key_pair(name, number)))
    return wire.request("GET", f"/{BUCKET}", "max-keys=0").code not in ("InvalidAccessKeyId", "SignatureDoesNotMatch")
