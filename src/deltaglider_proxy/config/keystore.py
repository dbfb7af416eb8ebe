"""The secrets of a configuration apart from its text, as a backup keeps them, and both joined again.

What the server runs with is taken, whatever decides it: the archive is to bring up another machine, which has another
environment. Given back is only what the text leaves open and the environment of that machine does not decide.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from deltaglider_proxy.config import yaml_out
from deltaglider_proxy.config.findings import Keys
from deltaglider_proxy.config.load import Sources, data_of
from deltaglider_proxy.config.plain import plain
from deltaglider_proxy.config.secret import MASK, Secret
from deltaglider_proxy.config.settings import Settings

Tree = dict[str, Any]

_PAIR = ("access_key_id", "secret_access_key")
_DATA_KEYS = ("key", "key_id", "legacy_key", "legacy_key_id")
_SINGLE = "default"
"""What the backend of a configuration with only one is called."""


def secrets_of(settings: Settings) -> Tree:
    """By kind and name, in clear. Paths of files are no secrets: keys of TLS are not among them."""
    tree = _clear(plain(settings))
    access, storage, advanced = tree.get("access", {}), tree.get("storage", {}), tree.get("advanced", {})
    backends = storage.get("backends") or []
    found: Tree = {
        "access": _only(access, _PAIR),
        "storage": _only(storage.get("backend") or {}, _PAIR),
        "storage_backends": {entry["name"]: _only(entry, _PAIR) for entry in backends},
        "oauth_client_secrets": _named(access.get("auth_providers"), "client_secret"),
        "iam_users": _named(access.get("iam_users"), "secret_access_key"),
        "encryption": {
            _SINGLE: _only(storage.get("backend_encryption") or {}, _DATA_KEYS),
            **{entry["name"]: _only(entry.get("encryption") or {}, _DATA_KEYS) for entry in backends},
        },
        "event_delivery": _only(
            advanced.get("event_delivery") or {},
            ("webhook_url", "webhook_urls", "webhook_headers", "slack_bot_token"),
        ),
    }
    return _without_empty(found)


def _clear(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return {key: _clear(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clear(item) for item in value]
    return value


def _only(tree: Mapping[str, Any], names: Collection[str]) -> Tree:
    return {name: tree[name] for name in names if tree.get(name)}


def _named(entries: object, secret: str) -> dict[str, str]:
    listed = entries if isinstance(entries, list) else []
    return {entry["name"]: entry[secret] for entry in listed if entry.get(secret)}


def _without_empty(tree: Tree) -> Tree:
    kept = {name: _without_empty(value) if isinstance(value, dict) else value for name, value in tree.items()}
    return {name: value for name, value in kept.items() if value not in ({}, [])}


def joined(text: str, secrets: Mapping[str, Any], sources: Sources, decided: Collection[Keys]) -> str:
    """The text with its secrets, references as they were. `decided` are the places of the environment and flags.

    Raises ConfigError.
    """
    data, references = data_of(text, sources)
    for place, target, name, value in _gaps(data, secrets):
        if (*place, name) not in decided and (*place, name) not in references:
            target[name] = value
    return yaml_out.dump(data, {keys: reference for keys, reference in references.items() if keys})


def _gaps(data: Tree, secrets: Mapping[str, Any]) -> Iterator[tuple[Keys, Tree, str, object]]:
    """What could be filled in: where, into what, as what."""
    access, storage = _below(data, "access"), _below(data, "storage")
    yield from _fill(("access",), access, secrets.get("access"))
    for listed, kind, secret in (
        ("auth_providers", "oauth_client_secrets", "client_secret"),
        ("iam_users", "iam_users", "secret_access_key"),
    ):
        known = _mapping(secrets.get(kind))
        for index, entry in enumerate(access.get(listed) or ()):
            if isinstance(entry, dict) and entry.get("name") in known:
                yield from _fill(("access", listed, index), entry, {secret: known[entry["name"]]})
    yield from _storage_gaps(storage, secrets)
    events = _mapping(_mapping(data.get("advanced")).get("event_delivery"))
    if isinstance(events, dict):
        place: Keys = ("advanced", "event_delivery")
        given = dict(_mapping(secrets.get("event_delivery")))
        headers = _mapping(given.pop("webhook_headers", None))
        yield from _fill(place, events, given)
        yield from _fill((*place, "webhook_headers"), _below(events, "webhook_headers"), headers)
    for section in ("access", "storage"):
        if not data.get(section):
            data.pop(section, None)


def _storage_gaps(storage: Tree, secrets: Mapping[str, Any]) -> Iterator[tuple[Keys, Tree, str, object]]:
    keys = _mapping(secrets.get("encryption"))
    pairs = _mapping(secrets.get("storage_backends"))
    backends = [entry for entry in storage.get("backends") or () if isinstance(entry, dict)]
    services = [entry for entry in backends if entry.get("type") == "s3"]
    for index, entry in enumerate(storage.get("backends") or ()):
        if not isinstance(entry, dict):
            continue
        place: Keys = ("storage", "backends", index)
        name = str(entry.get("name"))
        pair = pairs.get(name)
        if pair is None and not pairs and len(services) == 1 and entry in services:
            pair = secrets.get("storage")  # archives that know of one backend only
        if entry.get("type") == "s3":
            yield from _fill(place, entry, pair)
        if isinstance(encryption := entry.get("encryption"), dict):
            yield from _fill((*place, "encryption"), encryption, keys.get(name))
    single = storage.get("backend")
    if isinstance(single, dict) and single.get("type") == "s3":
        yield from _fill(("storage", "backend"), single, secrets.get("storage"))
    if isinstance(encryption := storage.get("backend_encryption"), dict):
        yield from _fill(("storage", "backend_encryption"), encryption, keys.get(_SINGLE))


def _fill(place: Keys, target: Tree, given: object) -> Iterator[tuple[Keys, Tree, str, object]]:
    for name, value in _mapping(given).items():
        present = target.get(name)
        masked = present == MASK or (isinstance(present, list) and MASK in present)
        if masked or not present:
            yield place, target, name, value


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _below(tree: Tree, name: str) -> Tree:
    inner = tree.get(name)
    if not isinstance(inner, dict):
        inner = tree[name] = {}
    return inner
