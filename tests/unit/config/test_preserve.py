"""Secrets that a document leaves out, by what it says beside them."""

from copy import deepcopy
from typing import Any

import pytest

from deltaglider_proxy.config.encryption import derived_key_id
from deltaglider_proxy.config.findings import ConfigError, Keys, Severity
from deltaglider_proxy.config.load import LoadedConfig, Sources, load_text
from deltaglider_proxy.config.preserve import Preserved, preserve
from deltaglider_proxy.config.render import Tier, render
from deltaglider_proxy.config.secret import MASK

Tree = dict[str, Any]
OLD, NEW, FORMER = "a" * 64, "b" * 64, "c" * 64
AES = "aes256-gcm-proxy"


def listed(encryption: Tree | None, **more: object) -> Tree:
    entry: Tree = {"name": "one", "type": "s3", **more}
    return {"storage": {"backends": [entry if encryption is None else {**entry, "encryption": encryption}]}}


def single(encryption: Tree | None, **more: object) -> Tree:
    storage: Tree = {"backend": {"type": "s3", **more}}
    return {"storage": storage if encryption is None else {**storage, "backend_encryption": encryption}}


def apply(incoming: Tree, running: Tree, references: dict[Keys, str] | None = None) -> Preserved:
    return preserve(incoming, running, references or {})


SHAPES = pytest.mark.parametrize(
    ("shape", "name"), [(listed, "one"), (single, "default")], ids=["a listed backend", "the single backend"]
)


def encryption_of(tree: Tree) -> Tree:
    storage = tree["storage"]
    found = storage["backends"][0]["encryption"] if "backends" in storage else storage["backend_encryption"]
    assert isinstance(found, dict)
    return found


@SHAPES
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"mode": AES}, {"mode": AES, "key": OLD}),
        ({"mode": AES, "key": None}, {"mode": AES, "key": None}),
        ({"mode": AES, "key": NEW}, {"mode": AES, "key": NEW}),
        ({"mode": AES, "key_id": "k"}, {"mode": AES, "key": OLD, "key_id": "k"}),
    ],
)
def test_a_key_is_kept_cleared_or_rotated(shape: Any, name: str, given: Tree, expected: Tree) -> None:
    incoming = shape(given)
    assert apply(incoming, shape({"mode": AES, "key": OLD})).findings == []
    assert encryption_of(incoming) == expected


@SHAPES
@pytest.mark.parametrize("mode", [None, "none", "sse-s3", "sse-kms"])
@pytest.mark.parametrize("key_id", [None, "mine"])
def test_what_was_encrypted_stays_readable(shape: Any, name: str, mode: str | None, key_id: str | None) -> None:
    incoming = shape(None if mode is None else {"mode": mode})
    before = {"mode": AES, "key": OLD} | ({"key_id": key_id} if key_id else {})
    assert apply(incoming, shape(before)).findings == []
    assert encryption_of(incoming) == {
        "mode": mode or "none",
        "legacy_key": OLD,
        "legacy_key_id": key_id or derived_key_id(name, OLD),
    }


@SHAPES
def test_a_former_key_that_is_given_or_cleared_stands(shape: Any, name: str) -> None:
    for given in (NEW, None):
        incoming = shape({"mode": "none", "legacy_key": given})
        apply(incoming, shape({"mode": AES, "key": OLD}))
        assert encryption_of(incoming) == {"mode": "none", "legacy_key": given}


@SHAPES
def test_a_former_key_is_kept_whatever_the_mode_becomes(shape: Any, name: str) -> None:
    before = {"mode": "sse-s3", "legacy_key": FORMER, "legacy_key_id": "f"}
    for mode in ("none", "sse-kms"):
        incoming = shape({"mode": mode})
        apply(incoming, shape(before))
        assert encryption_of(incoming) == {"mode": mode, "legacy_key": FORMER, "legacy_key_id": "f"}


@SHAPES
def test_a_former_key_that_has_to_go_is_told(shape: Any, name: str) -> None:
    incoming = shape({"mode": "none"})
    [finding] = apply(incoming, shape({"mode": AES, "key": OLD, "legacy_key": FORMER})).findings
    assert finding.severity is Severity.WARNING
    assert FORMER not in str(finding)


@SHAPES
def test_a_key_of_the_environment_is_not_written_down(shape: Any, name: str) -> None:
    incoming = shape({"mode": "none"})
    [finding] = apply(incoming, shape({"mode": AES})).findings
    assert "environment" in finding.message
    assert encryption_of(incoming) == {"mode": "none"}


@SHAPES
@pytest.mark.parametrize("mode", ["none", AES])
def test_a_reference_goes_along(shape: Any, name: str, mode: str) -> None:
    running = shape({"mode": AES, "key": OLD})
    inner: Keys = ("backends", 0, "encryption") if name == "one" else ("backend_encryption",)
    place: Keys = ("storage", *inner)
    kept = apply(shape({"mode": mode}), running, {(*place, "key"): "${env:KEY}"})
    assert kept.references == {(*place, "key" if mode == AES else "legacy_key"): "${env:KEY}"}


def test_a_reference_to_a_former_key_stays_one_in_the_file() -> None:
    sources = Sources(None, {"KEY": OLD, "DGP_AUTHENTICATION": "none"}, None)
    text = "storage: {backend_encryption: {mode: none, legacy_key: '${env:KEY}'}}\n"
    running = load_text(text, sources)
    for document in ("{}", "storage: {backend_encryption: {mode: none}}\n", "advanced: {max_object_size: 5}\n"):
        config = load_text(document, sources, running)
        persisted = render(config.file_settings, config.references, Tier.PERSISTED)
        assert "legacy_key: '${env:KEY}'" in persisted
        assert OLD not in persisted


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("id", "secret")),
        ({"access_key_id": None, "secret_access_key": None}, ("id", "secret")),
        ({"access_key_id": "id"}, ("id", "secret")),
        ({"secret_access_key": "secret"}, ("id", "secret")),
        ({"access_key_id": "other"}, ("other", None)),
        ({"secret_access_key": "other"}, (None, "other")),
        ({"access_key_id": "", "secret_access_key": ""}, ("", "")),
        ({"access_key_id": "other", "secret_access_key": "new"}, ("other", "new")),
    ],
)
@pytest.mark.parametrize("where", ["access", "listed", "single"])
def test_a_pair_is_kept_whole_or_not_at_all(where: str, given: Tree, expected: tuple[str | None, str | None]) -> None:
    def place(values: Tree) -> tuple[Tree, Tree]:
        tree: Tree
        if where == "access":
            tree = {"access": dict(values)}
            return tree, tree["access"]
        tree = listed(None, **values) if where == "listed" else single(None, **values)
        return tree, tree["storage"]["backends"][0] if where == "listed" else tree["storage"]["backend"]

    running, _ = place({"access_key_id": "id", "secret_access_key": "secret"})
    incoming, part = place(given)
    before = deepcopy(running)
    apply(incoming, running)
    found = incoming["access"] if where == "access" else part
    assert (found.get("access_key_id"), found.get("secret_access_key")) == expected
    assert running == before


@pytest.mark.parametrize(
    "incoming",
    [
        {},
        {"storage": {"backends": [{"name": "two", "type": "s3"}]}},
        {"storage": {"backends": [{"name": "one", "type": "filesystem", "path": "x"}]}},
        {"storage": {"backend": {"type": "s3"}}},
    ],
)
def test_a_backend_that_is_another_one_gets_no_pair(incoming: Tree) -> None:
    running = listed(None, access_key_id="id", secret_access_key="secret")
    [finding] = apply(incoming, running).findings
    assert finding.severity is Severity.WARNING
    assert "key pair" in finding.message
    assert "secret" not in str(incoming)


EVENTS = {
    "webhook_url": "https://x/1",
    "webhook_urls": ["https://x/2", "https://x/3"],
    "webhook_headers": {"authorization": "h"},
    "slack_bot_token": "t",
}


def changed(events: Tree) -> tuple[Tree, Preserved]:
    incoming = {"advanced": {"event_delivery": events}}
    kept = apply(incoming, {"advanced": {"event_delivery": EVENTS}})
    return incoming["advanced"]["event_delivery"], kept


def test_masks_stand_for_what_they_hide() -> None:
    masked = {
        "webhook_url": MASK,
        "webhook_urls": [MASK, "https://new"],
        "webhook_headers": {"authorization": MASK, "unknown": MASK},
        "slack_bot_token": MASK,
    }
    events, kept = changed(masked)
    assert events == EVENTS | {"webhook_urls": ["https://x/2", "https://new"]}
    assert kept.findings == []


def test_a_mask_in_a_list_of_another_length_is_refused() -> None:
    _, kept = changed({"webhook_urls": [MASK]})
    [finding] = kept.findings
    assert finding.severity is Severity.ERROR
    assert finding.path == "advanced.event_delivery.webhook_urls[0]"


def test_a_mask_hides_nothing_elsewhere() -> None:
    running = running_with("access: {access_key_id: a, secret_access_key: b}\n")
    with pytest.raises(ConfigError, match="only stands for what is not shown"):
        load_text(f"access: {{access_key_id: a, secret_access_key: {MASK}}}\n", Sources(None, {}, None), running)


def running_with(text: str) -> LoadedConfig:
    return load_text(text, Sources(None, {}, None))


def test_references_of_masked_values_go_along() -> None:
    place: Keys = ("advanced", "event_delivery")
    running = {"advanced": {"event_delivery": EVENTS}}
    texts: dict[Keys, str] = {
        (*place, "slack_bot_token"): "${env:T}",
        (*place, "webhook_headers", "authorization"): "${env:H}",
        (*place, "webhook_urls", 1): "${env:U}",
    }
    events = {"webhook_urls": [MASK, MASK], "webhook_headers": {"authorization": MASK}, "slack_bot_token": MASK}
    assert apply({"advanced": {"event_delivery": events}}, running, texts).references == texts


def test_a_password_hash_that_is_null_is_kept() -> None:
    running: Tree = {"advanced": {"bootstrap_password_hash": "$2b$x"}}
    incoming: Tree = {"advanced": {"bootstrap_password_hash": None}}
    apply(incoming, running)
    assert incoming == running
