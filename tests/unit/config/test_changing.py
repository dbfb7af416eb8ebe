"""Rendering, patching, preserving and comparing configurations."""

from pathlib import Path

import pytest

from deltaglider_proxy.config.diff import diff, summary
from deltaglider_proxy.config.load import LoadedConfig, Sources, load_text
from deltaglider_proxy.config.merge_patch import merge
from deltaglider_proxy.config.persist import CannotPersist, persist
from deltaglider_proxy.config.preserve import BootstrapHashChanged
from deltaglider_proxy.config.render import Tier, render
from deltaglider_proxy.config.restart import restart_findings

SOURCES = Sources(None, {"SECRET": "from the environment", "KEY": "k" * 8}, None)
SECRETS = [
    "pair-secret",
    "backend-secret",
    "a" * 64,
    "user-secret",
    "client-secret",
    "header-secret",
    "bot-secret",
    "from the environment",
]
HASH = "$2b$04$T366uWDmsoSFsOLwsZjVmeV1Mn1dTzP0hvgMW8Mnh.NlldkEbpWHy"
FULL = f"""\
access:
  iam_mode: gui
  access_key_id: id
  secret_access_key: pair-secret
  iam_users:
  - {{name: ana, access_key_id: AKANA, secret_access_key: user-secret}}
  auth_providers:
  - {{name: okta, provider_type: oidc, client_secret: client-secret}}
storage:
  backends:
  - name: one
    type: s3
    endpoint: https://s3.example.com
    access_key_id: bid
    secret_access_key: backend-secret
    encryption: {{mode: none, legacy_key: {"a" * 64}}}
  - {{name: two, type: filesystem, path: /data/two}}
  buckets:
    zoo: {{backend: two}}
    abc: {{quota_bytes: 5}}
advanced:
  max_object_size: 77
  public_url: ${{env:URL:-https://x.example.com}}
  bootstrap_password_hash: {HASH.replace("$", "$$")}
  event_delivery:
    enabled: false
    webhook_headers: {{authorization: header-secret}}
    slack_bot_token: bot-secret
"""


def loaded(text: str, running: LoadedConfig | None = None) -> LoadedConfig:
    return load_text(text, SOURCES, running)


def exported(config: LoadedConfig, tier: Tier = Tier.EXPORT) -> str:
    return render(config.file_settings, config.references, tier)


def test_an_export_shows_no_secret_and_is_stable() -> None:
    config = loaded(FULL)
    text = exported(config)
    for secret in (*SECRETS, HASH):
        assert secret not in text
    assert "public_url: ${env:URL:-https://x.example.com}" in text
    assert text.index("abc:") < text.index("zoo:")
    again = loaded(text, config)
    assert exported(again) == text
    assert exported(again, Tier.PERSISTED) == exported(config, Tier.PERSISTED)
    assert again.file_settings == config.file_settings


def test_tiers() -> None:
    config = loaded(FULL)
    persisted, canonical = exported(config, Tier.PERSISTED), exported(config, Tier.CANONICAL)
    assert all(secret in persisted for secret in SECRETS[:-1])
    assert loaded(persisted).file_settings == config.file_settings
    for secret, kept in (("pair-secret", True), ("backend-secret", True), ("a" * 64, False), ("user-secret", False)):
        assert (secret in canonical) is kept
    assert exported(loaded("{}"), Tier.PERSISTED) == "{}\n"


def test_a_reference_is_never_replaced_by_its_value() -> None:
    config = loaded("access: {access_key_id: '${env:KEY}', secret_access_key: '${env:SECRET}'}\n")
    for tier in Tier:
        text = exported(config, tier)
        assert "access_key_id: ${env:KEY}" in text
        assert "secret_access_key: ${env:SECRET}" in text
        assert "from the environment" not in text
    left_out = loaded("advanced: {max_object_size: 5}\n", config)
    assert "secret_access_key: ${env:SECRET}" in exported(left_out, Tier.PERSISTED)


@pytest.mark.parametrize(
    ("patch", "kept"),
    [
        ("{}", False),
        ("access: {access_key_id: other}\n", False),
        ("access: {access_key_id: other, secret_access_key: x}\n", False),
        ("access: {access_key_id: null, secret_access_key: null}\n", True),
        ("advanced: {}\n", True),
    ],
)
def test_key_pairs_that_are_left_out(patch: str, *, kept: bool) -> None:
    config = loaded("access: {access_key_id: id, secret_access_key: pair-secret}\n")
    again = loaded(patch, config).file_settings.access
    present = (again.access_key_id, again.secret_access_key.reveal() if again.secret_access_key else None)
    assert (present == ("id", "pair-secret")) is (kept or patch == "{}")


def test_another_password_hash_is_refused_and_the_same_kept() -> None:
    config = loaded(FULL)
    other = HASH[:-1] + "x"
    with pytest.raises(BootstrapHashChanged):
        loaded(f"advanced: {{bootstrap_password_hash: '{other.replace('$', '$$')}'}}\n", config)
    kept = loaded("{}", config).file_settings.advanced.bootstrap_password_hash
    assert kept is not None
    assert kept.reveal() == HASH


def test_a_backend_of_another_type_has_no_key_pair() -> None:
    config = loaded(FULL)
    text = exported(config).replace(
        "type: s3\n    endpoint: https://s3.example.com\n", "type: filesystem\n    path: /x\n"
    )
    moved = loaded("storage: {backends: [{name: one, type: filesystem, path: /x}]}\n", config)
    assert text
    assert any("key pair" in str(finding) for finding in moved.warnings)


def test_differences() -> None:
    before, after = loaded(FULL), loaded(FULL.replace("77", "78").replace("backend-secret", "new-secret"))
    found = diff(before.file_settings, after.file_settings, b"key")
    assert found["advanced"] == {"max_object_size": {"before": 77, "after": 78}}
    assert "new-secret" not in str(found)
    assert "fp:" in str(found["storage"])
    assert summary(found) == "advanced.max_object_size, storage.backends"
    assert diff(before.file_settings, before.file_settings, b"key") == {}
    other = diff(before.file_settings, after.file_settings, b"other")
    assert str(other["storage"]) != str(found["storage"]), "fingerprints mean nothing elsewhere"


def test_what_waits_for_a_restart() -> None:
    before = loaded("{}").settings
    after = loaded(
        "advanced: {listen_addr: '127.0.0.1:1', cache_size_mb: 5, tls: {enabled: false}, max_object_size: 9}\n"
    ).settings
    found = [finding.path for finding in restart_findings(before, after)]
    assert found == ["advanced.listen_addr", "advanced.cache_size_mb", "advanced.tls"]


RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396)
def test_merge_patch(target: object, patch: object, result: object) -> None:
    assert merge(target, patch) == result


class Crash(BaseException):
    pass


@pytest.mark.parametrize("step", range(4))
def test_a_crash_leaves_the_old_file_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("old")
    path.chmod(0o644)
    calls = 0

    def reached(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls > step:
            raise Crash

    replace = Path.replace

    def replacing(self: Path, target: Path) -> Path:
        reached()
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", reached)
        patched.setattr(Path, "replace", replacing)
        with pytest.raises(Crash):
            persist(path, "new")
    assert path.read_text() in ("old", "new")
    assert [found.name for found in tmp_path.iterdir() if "draft" in found.name] == []
    persist(path, "new")
    assert (path.read_text(), path.with_name("c.yaml.orig").read_text()) == ("new", "old")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CannotPersist):
        persist(tmp_path / "missing" / "c.yaml", "x")
