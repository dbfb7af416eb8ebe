"""What a document leaves out because nobody shows it: secrets keep the values that run.

Works on canonical plain values. Half a key pair is not completed, for it may be a mistake in either half, unless it is
the half that runs: an export shows a key id that is a reference, and never the secret beside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deltaglider_proxy.config.encryption import derived_key_id
from deltaglider_proxy.config.findings import Finding, Keys, error, warning
from deltaglider_proxy.config.secret import MASK

Tree = dict[str, Any]

_PAIR = ("access_key_id", "secret_access_key")
_PROXY_AES = "aes256-gcm-proxy"
_IMPLIED = {"type": "filesystem"}
"""The backend of a document that names none, as far as it matters here."""


class BootstrapHashChanged(Exception):
    """The bootstrap password is not changed by a document."""


@dataclass(slots=True)
class Preserved:
    references: dict[Keys, str] = field(default_factory=dict)
    """Of values that were kept, at their new places."""
    findings: list[Finding] = field(default_factory=list)
    """With errors among them, the document cannot be used."""


def preserve(incoming: Tree, running: Mapping[str, Any], references: Mapping[Keys, str]) -> Preserved:
    """Completes `incoming`. Raises BootstrapHashChanged."""
    keeper = _Keeper(references)
    _access(incoming, running, keeper)
    _backends(incoming, running, keeper)
    _advanced(incoming, running, keeper)
    keeper.result.findings += (
        error(keys, f"holds {MASK}, which only stands for what is not shown", "leave it out, or write the value")
        for keys in _masks(incoming, ())
    )
    return keeper.result


@dataclass(frozen=True, slots=True)
class _Keeper:
    running: Mapping[Keys, str]
    result: Preserved = field(default_factory=Preserved)

    def keep(self, value: object, place: Keys, origin: Keys) -> object:
        """The value, which came from `origin`; a reference there goes along."""
        if origin in self.running:
            self.result.references[place] = self.running[origin]
        return value

    def take(self, target: Tree, name: str, place: Keys, source: Mapping[str, Any], origin: Keys) -> None:
        """Copy a field, if there is one to copy."""
        if source.get(name) is not None:
            target[name] = self.keep(source[name], (*place, name), (*origin, name))

    def pair(self, target: Tree, place: Keys, source: Mapping[str, Any], origin: Keys) -> None:
        given = {name: target[name] for name in _PAIR if target.get(name) is not None}
        if all(source.get(name) == value for name, value in given.items()):
            for name in _PAIR:
                if name not in given:
                    target.pop(name, None)
                    self.take(target, name, place, source, origin)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _named(listed: object) -> Iterator[tuple[int, str, Tree]]:
    """Items that have a name; what has another type is told when the document is typed."""
    for index, item in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            yield index, item["name"], item


def _masks(value: object, keys: Keys) -> Iterator[Keys]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _masks(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _masks(item, (*keys, index))
    elif value == MASK:
        yield keys


def _access(incoming: Tree, running: Mapping[str, Any], keeper: _Keeper) -> None:
    before = _mapping(running.get("access"))
    if not before:
        return
    target = incoming.setdefault("access", {})
    if not isinstance(target, dict):
        return
    keeper.pair(target, ("access",), before, ("access",))
    for listed, secret in (("iam_users", "secret_access_key"), ("auth_providers", "client_secret")):
        named = {name: (index, item) for index, name, item in _named(before.get(listed))}
        for index, name, item in _named(target.get(listed)):
            if not item.get(secret) and name in named:
                number, old = named[name]
                keeper.take(item, secret, ("access", listed, index), old, ("access", listed, number))
    if not target:
        del incoming["access"]


@dataclass(frozen=True, slots=True)
class _Backend:
    name: str
    place: Keys
    entry: Tree
    holder: Tree
    """The mapping that has its encryption, under `field`."""
    holder_place: Keys
    field: str

    @property
    def has_pair(self) -> bool:
        return any(self.entry.get(name) for name in _PAIR)


def _backends_of(storage: Tree) -> Iterator[_Backend]:
    listed = storage.get("backends")
    if not listed:
        single = storage.get("backend")
        entry = single if isinstance(single, dict) else dict(_IMPLIED)
        yield _Backend("default", ("storage", "backend"), entry, storage, ("storage",), "backend_encryption")
        return
    for index, name, entry in _named(listed):
        place: Keys = ("storage", "backends", index)
        yield _Backend(name, place, entry, entry, place, "encryption")


def _backends(incoming: Tree, running: Mapping[str, Any], keeper: _Keeper) -> None:
    storage = incoming.get("storage")
    if storage is None:
        storage = {}
    if not isinstance(storage, dict):
        return
    known = {backend.name: backend for backend in _backends_of(dict(_mapping(running.get("storage"))))}
    for backend in _backends_of(storage):
        old = known.pop(backend.name, None)
        if old is None:
            continue
        if old.entry.get("type") != backend.entry.get("type"):
            if old.has_pair:
                message = "is of another type now: the key pair of before is not used"
                keeper.result.findings.append(warning(backend.place, message, value=backend.name))
            continue
        if backend.entry.get("type") == "s3":
            keeper.pair(backend.entry, backend.place, old.entry, old.place)
        _encryption(backend, old, keeper)
    for gone in known.values():
        if gone.has_pair:
            keeper.result.findings.append(warning(gone.place, "is gone, and its key pair with it", value=gone.name))
    if storage:
        incoming["storage"] = storage


def _encryption(backend: _Backend, old: _Backend, keeper: _Keeper) -> None:
    """Absent keeps, null clears, text rotates. What was encrypted with a key stays readable when the mode is left."""
    before = _mapping(old.holder.get(old.field))
    mine = backend.holder.get(backend.field)
    place: Keys = (*backend.holder_place, backend.field)
    origin: Keys = (*old.holder_place, old.field)
    if mine is None:
        mine = {"mode": "none"}
    if not isinstance(mine, dict):
        return
    same = mine.get("mode", "none") == before.get("mode", "none")
    if same and before.get("key") and "key" not in mine:
        keeper.take(mine, "key", place, before, origin)
    if before.get("mode") == _PROXY_AES and not same and "legacy_key" not in mine:
        _retire(mine, place, before, origin, backend, keeper)
    elif before.get("legacy_key") and "legacy_key" not in mine:
        keeper.take(mine, "legacy_key", place, before, origin)
        if not same and "legacy_key_id" not in mine:
            keeper.take(mine, "legacy_key_id", place, before, origin)
    if mine.get("legacy_key") or backend.field in backend.holder:
        backend.holder[backend.field] = mine


def _retire(
    mine: Tree, place: Keys, before: Mapping[str, Any], origin: Keys, backend: _Backend, keeper: _Keeper
) -> None:
    """The key becomes the former key, under the id that objects carry: a former key derives its id differently."""
    key = before.get("key")
    if not key:
        message = "the key of before came from the environment, and is needed to read what was encrypted with it"
        remedy = "set legacy_key to a reference to that variable, and legacy_key_id to its id"
        keeper.result.findings.append(warning(place, message, remedy))
        return
    mine["legacy_key"] = keeper.keep(key, (*place, "legacy_key"), (*origin, "key"))
    if before.get("key_id"):
        mine["legacy_key_id"] = keeper.keep(before["key_id"], (*place, "legacy_key_id"), (*origin, "key_id"))
    else:
        mine["legacy_key_id"] = derived_key_id(backend.name, key)
    if before.get("legacy_key"):
        message = "the former key of before makes room for the key of before: what needs it cannot be read any more"
        keeper.result.findings.append(warning((*place, "legacy_key"), message))


def _advanced(incoming: Tree, running: Mapping[str, Any], keeper: _Keeper) -> None:
    before = _mapping(running.get("advanced"))
    target = incoming.setdefault("advanced", {})
    if not isinstance(target, dict):
        return
    given, present = target.get("bootstrap_password_hash"), before.get("bootstrap_password_hash")
    if given is not None and given != present:
        raise BootstrapHashChanged(
            "advanced.bootstrap_password_hash: the bootstrap password is changed by PUT /_/api/admin/password"
        )
    if given is None:
        target.pop("bootstrap_password_hash", None)
        keeper.take(target, "bootstrap_password_hash", ("advanced",), before, ("advanced",))
    if "database_url" not in target:
        keeper.take(target, "database_url", ("advanced",), before, ("advanced",))
    events = target.get("event_delivery")
    if isinstance(events, dict):
        _unmask(events, _mapping(before.get("event_delivery")), keeper)
    if not target:
        del incoming["advanced"]


def _unmask(events: Tree, old: Mapping[str, Any], keeper: _Keeper) -> None:
    """A mask that comes back stands for what it hid; one that hides nothing goes, and of a list it is an error."""
    place: Keys = ("advanced", "event_delivery")
    for name in ("webhook_url", "slack_bot_token"):
        if events.get(name) == MASK:
            del events[name]
            keeper.take(events, name, place, old, place)
    headers = events.get("webhook_headers")
    if isinstance(headers, dict):
        inner: Keys = (*place, "webhook_headers")
        for name in [name for name, value in headers.items() if value == MASK]:
            del headers[name]
            keeper.take(headers, name, inner, _mapping(old.get("webhook_headers")), inner)
    urls, before = events.get("webhook_urls"), old.get("webhook_urls")
    if isinstance(urls, list) and isinstance(before, list) and len(urls) == len(before):
        for index, url in enumerate(urls):
            if url == MASK:
                at: Keys = (*place, "webhook_urls", index)
                urls[index] = keeper.keep(before[index], at, at)
