"""What a document leaves out because nobody shows it: secrets keep the values that run.

Works on canonical plain values. Half a key pair is not completed, for it may be a mistake in either half.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from deltaglider_proxy.config.findings import Finding, Keys, warning
from deltaglider_proxy.config.secret import MASK

Tree = dict[str, Any]

_PAIR = ("access_key_id", "secret_access_key")


class BootstrapHashChanged(Exception):
    """The bootstrap password is not changed by a document."""


def preserve(
    incoming: Tree, running: Mapping[str, Any], references: Mapping[Keys, str]
) -> tuple[dict[Keys, str], list[Finding]]:
    """Completes `incoming`. The references of what was kept, at its new place, and warnings.

    Raises BootstrapHashChanged.
    """
    kept: dict[Keys, str] = {}
    findings: list[Finding] = []

    def keep(target: Tree, name: str, place: Keys, source: Mapping[str, Any], origin: Keys) -> None:
        if source.get(name) is None:
            return
        target[name] = source[name]
        if (*origin, name) in references:
            kept[*place, name] = references[*origin, name]

    _access(incoming, running, keep)
    findings += _backends(incoming, running, keep)
    _advanced(incoming, running, keep)
    return kept, findings


Keep = Any
"""`keep` above: copies one value with its reference."""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _pair(target: Tree, place: Keys, source: Mapping[str, Any], origin: Keys, keep: Keep) -> None:
    if all(target.get(name) is None for name in _PAIR):
        for name in _PAIR:
            target.pop(name, None)
            keep(target, name, place, source, origin)


def _access(incoming: Tree, running: Mapping[str, Any], keep: Keep) -> None:
    before = _mapping(running.get("access"))
    if not before:
        return
    target = incoming.setdefault("access", {})
    if not isinstance(target, dict):
        return
    _pair(target, ("access",), before, ("access",), keep)
    for listed, secret in (("iam_users", "secret_access_key"), ("auth_providers", "client_secret")):
        named = {
            item.get("name"): (index, item)
            for index, item in enumerate(before.get(listed) or ())
            if isinstance(item, dict)
        }
        for index, item in enumerate(target.get(listed) or ()):
            if isinstance(item, dict) and not item.get(secret) and item.get("name") in named:
                number, old = named[item["name"]]
                keep(item, secret, ("access", listed, index), old, ("access", listed, number))
    if not target:
        del incoming["access"]


def _backends(incoming: Tree, running: Mapping[str, Any], keep: Keep) -> Iterator[Finding]:
    storage, before = incoming.get("storage"), _mapping(running.get("storage"))
    if not isinstance(storage, dict):
        return
    known = {name: (place, entry) for place, name, entry in _entries(before)}
    present = set()
    for place, name, entry in _entries(storage):
        present.add(name)
        origin, old = known.get(name, ((), {}))
        if not old:
            continue
        if old.get("type") != entry.get("type"):
            if any(old.get(field) for field in _PAIR):
                yield warning(place, "is of another type now: the key pair of before is not used", value=name)
            continue
        if entry.get("type") == "s3":
            _pair(entry, place, old, origin, keep)
        _encryption(entry, place, old, origin, keep)
    single = storage.get("backend_encryption")
    if isinstance(single, dict):
        _encryption({"encryption": single}, ("storage",), {"encryption": before.get("backend_encryption")}, (), keep)
    for name, (place, old) in known.items():
        if name not in present and any(old.get(field) for field in _PAIR):
            yield warning(place, "is gone, and its key pair with it", value=name)


def _entries(storage: Mapping[str, Any]) -> Iterator[tuple[Keys, str, Tree]]:
    single = storage.get("backend")
    if isinstance(single, dict) and not storage.get("backends"):
        yield ("storage", "backend"), "default", single
    for index, entry in enumerate(storage.get("backends") or ()):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            yield ("storage", "backends", index), entry["name"], entry


def _encryption(entry: Tree, place: Keys, old: Mapping[str, Any], origin: Keys, keep: Keep) -> None:
    """Absent keeps, null clears, text rotates. What was encrypted with a key stays readable when the mode is left."""
    mine, before = entry.get("encryption"), _mapping(old.get("encryption"))
    if not before.get("key") and not before.get("legacy_key"):
        return
    if not isinstance(mine, dict):
        return
    inner: Keys = (*place, "encryption")
    outer: Keys = (*origin, "encryption")
    if mine.get("mode") == before.get("mode"):
        for name in ("key", "legacy_key"):
            if name not in mine:
                keep(mine, name, inner, before, outer)
    elif before.get("key") and "legacy_key" not in mine:
        mine["legacy_key"] = before["key"]
        if before.get("key_id"):
            mine["legacy_key_id"] = before["key_id"]


def _advanced(incoming: Tree, running: Mapping[str, Any], keep: Keep) -> None:
    before = _mapping(running.get("advanced"))
    target = incoming.setdefault("advanced", {})
    if not isinstance(target, dict):
        return
    given, present = target.get("bootstrap_password_hash"), before.get("bootstrap_password_hash")
    if given is not None and given != present:
        raise BootstrapHashChanged(
            "advanced.bootstrap_password_hash: the bootstrap password is changed by PUT /_/api/admin/password"
        )
    for name in ("bootstrap_password_hash", "database_url"):
        if name not in target:
            keep(target, name, ("advanced",), before, ("advanced",))
    events, old = target.get("event_delivery"), _mapping(before.get("event_delivery"))
    if isinstance(events, dict):
        _unmask(events, old)
    if not target:
        del incoming["advanced"]


def _unmask(events: Tree, old: Mapping[str, Any]) -> None:
    """A mask that comes back stands for what it hid; one that hides nothing goes."""
    for name in ("webhook_url", "slack_bot_token"):
        if events.get(name) == MASK:
            _put(events, name, old.get(name))
    headers = events.get("webhook_headers")
    if isinstance(headers, dict):
        for name in [name for name, value in headers.items() if value == MASK]:
            _put(headers, name, _mapping(old.get("webhook_headers")).get(name))
    urls, before = events.get("webhook_urls"), old.get("webhook_urls") or []
    if isinstance(urls, list) and len(urls) == len(before):
        events["webhook_urls"] = [was if url == MASK else url for url, was in zip(urls, before, strict=True)]


def _put(tree: Tree, name: str, value: object) -> None:
    if value is None:
        del tree[name]
    else:
        tree[name] = value
