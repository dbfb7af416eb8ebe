"""Rendering, patching, preserving and comparing configurations."""

from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.config.access import Access, Group
from deltaglider_proxy.config.advanced import Advanced
from deltaglider_proxy.config.diff import diff, summary
from deltaglider_proxy.config.document import Format, parse
from deltaglider_proxy.config.event_delivery import EventDelivery
from deltaglider_proxy.config.findings import ConfigError, ErrorKind, Severity
from deltaglider_proxy.config.load import LoadedConfig, Sources, load_text
from deltaglider_proxy.config.merge_patch import merge, merge_section
from deltaglider_proxy.config.persist import CannotPersist, persist
from deltaglider_proxy.config.preserve import BootstrapHashChanged
from deltaglider_proxy.config.render import Tier, render
from deltaglider_proxy.config.restart import restart_findings
from deltaglider_proxy.config.secret import Secret
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.config.shape import canonicalise
from deltaglider_proxy.config.typing_errors import build

SOURCES = Sources(
    None, {"SECRET": "from the environment", "KEY": "k" * 8, "DATABASE": "postgresql://elsewhere/db"}, None
)
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
        assert "access_key_id: '${env:KEY}'" in text
        assert "secret_access_key: '${env:SECRET}'" in text
        assert "from the environment" not in text
    left_out = loaded("advanced: {max_object_size: 5}\n", config)
    assert "secret_access_key: '${env:SECRET}'" in exported(left_out, Tier.PERSISTED)


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


@pytest.mark.parametrize(
    "text",
    [
        "advanced: {log_level: '!!!x'}\n",
        "storage: {buckets: {abc: {public_prefixes: [x]}}}\n",
        "storage: {lifecycle: {rules: [{name: a, bucket: abc}]}}\n",
    ],
)
def test_a_new_defect_is_refused_and_one_that_runs_is_not(text: str) -> None:
    sources = Sources(None, {"DGP_AUTHENTICATION": "none"}, None)
    sound = load_text("{}", sources)
    with pytest.raises(ConfigError) as refused:
        load_text(text, sources, sound)
    assert refused.value.kind is ErrorKind.VALIDATION
    running = load_text(text, sources)
    edited = load_text(text + "admission: {blocks: []}\n", sources, running)
    assert any(finding.severity is Severity.ERROR for finding in edited.warnings)


def test_a_defect_that_has_moved_in_its_list_is_not_new() -> None:
    sources = Sources(None, {"DGP_AUTHENTICATION": "none"}, None)
    rule = "{name: old, bucket: abc}"
    running = load_text(f"storage: {{lifecycle: {{rules: [{rule}]}}}}\n", sources)
    sound = "{name: new, bucket: abc, expire_after: 30d}"
    load_text(f"storage: {{lifecycle: {{rules: [{sound}, {rule}]}}}}\n", sources, running)
    with pytest.raises(ConfigError):
        load_text(f"storage: {{lifecycle: {{rules: [{rule.replace('old', 'new')}]}}}}\n", sources, running)


@pytest.mark.parametrize("text", ["", "\n", "# only {a} comment\n", "---\n# x\n"])
def test_an_empty_document_is_no_change(text: str) -> None:
    running = loaded(FULL)
    with pytest.raises(ConfigError, match="is empty"):
        loaded(text, running)
    assert loaded(text).file_settings == Settings()
    loaded("--- {}\n", running)


@pytest.mark.parametrize(
    ("text", "environ", "listen", "where"),
    [
        ("advanced: {max_object_size: 5}\n", {"DGP_MAX_OBJECT_SIZE": "9"}, None, "DGP_MAX_OBJECT_SIZE"),
        ("advanced: {listen_addr: '127.0.0.1:5'}\n", {}, "127.0.0.1:9", "--listen"),
        ("storage: {filesystem: ./elsewhere}\n", {"DGP_DATA_DIR": "./here"}, None, "DGP_DATA_DIR"),
    ],
)
def test_what_is_decided_elsewhere_is_stored_and_told(
    text: str, environ: dict[str, str], listen: str | None, where: str
) -> None:
    sources = Sources(None, environ, listen)
    running = load_text("{}", sources)
    changed = load_text(text, sources, running)
    assert changed.settings == running.settings
    persisted = exported(changed, Tier.PERSISTED)
    assert persisted == exported(load_text(text, Sources(None, {}, None)), Tier.PERSISTED)
    assert [where in str(finding) for finding in changed.warnings].count(True) >= 1
    again = load_text(text + "admission: {blocks: []}\n", sources, changed)
    assert not any("in the file only" in str(finding) for finding in again.warnings)


def test_nothing_of_the_environment_gets_into_the_file() -> None:
    environ = {
        "DGP_SECRET_ACCESS_KEY": "env-secret",
        "DGP_ACCESS_KEY_ID": "env-id",
        "DGP_BE_AWS_SECRET_ACCESS_KEY": "env-backend",
        "DGP_BE_AWS_ACCESS_KEY_ID": "env-backend-id",
        "DGP_S3_ENDPOINT": "https://env.example.com",
        "DGP_DATABASE_URL": "postgresql://env",
        "DGP_BOOTSTRAP_PASSWORD_HASH": "$2b$env",
        "DGP_MAX_OBJECT_SIZE": "99",
    }
    sources = Sources(None, environ, "127.0.0.1:99")
    running = load_text("{}", sources)
    changed = load_text("advanced: {cache_size_mb: 5}\n", sources, running)
    assert exported(changed, Tier.PERSISTED) == "advanced:\n  cache_size_mb: 5\n"


def test_differences_show_references_as_written() -> None:
    before = loaded(
        "advanced: {public_url: '${env:URL:-https://a.example.com}', database_url: 'postgresql://pw${env:KEY}'}\n"
    )
    after = loaded("advanced: {public_url: https://b.example.com, database_url: '${env:DATABASE}'}\n")
    found = diff(before.file_settings, after.file_settings, b"key", (before.references, after.references))["advanced"]
    assert found["public_url"] == {"before": "${env:URL:-https://a.example.com}", "after": "https://b.example.com"}
    assert found["database_url"]["after"] == "${env:DATABASE}"
    assert str(found["database_url"]["before"]).startswith("fp:"), "a part of it is the secret itself"


ENCRYPTION = {"mode": "none", "legacy_key": "k", "legacy_key_id": "i"}
PRESENT = {
    "buckets": {"abc": {"quota_bytes": 5, "public_prefixes": ["a/"]}, "xyz": {"compression": False}},
    "backend_encryption": ENCRYPTION,
}


@pytest.mark.parametrize(
    ("patch", "place", "expected"),
    [
        ({"buckets": {"abc": None}}, "buckets", {"xyz": {"compression": False}}),
        ({"buckets": {"ABC": None}}, "buckets", {"xyz": {"compression": False}}),
        ({"buckets": {"Abc": {"quota_bytes": None}, "xyz": None}}, "buckets", {"abc": {"public_prefixes": ["a/"]}}),
        ({"buckets": {"abc": {"public": True}, "xyz": None}}, "buckets", {"abc": {"quota_bytes": 5, "public": True}}),
        ({"buckets": None}, "buckets", None),
        ({"backend_encryption": {"legacy_key": None}}, "backend_encryption", {**ENCRYPTION, "legacy_key": None}),
        ({"backend_encryption": {"mode": "sse-s3"}}, "backend_encryption", {**ENCRYPTION, "mode": "sse-s3"}),
        ({"backend_encryption": None}, "backend_encryption", None),
    ],
)
def test_patches_of_storage(patch: dict[str, object], place: str, expected: object) -> None:
    before = deepcopy(PRESENT)
    merged = merge_section("storage", PRESENT, patch)
    assert isinstance(merged, dict)
    assert merged.get(place) == expected
    assert before == PRESENT


def test_patches_of_other_sections_merge() -> None:
    assert merge_section("advanced", {"a": 1, "b": {"c": 2}}, {"b": {"c": None}}) == {"a": 1, "b": {}}


odd_text = st.text(st.characters(codec="utf-8", exclude_characters="\ue000\ue001\0"), max_size=20) | st.sampled_from(
    ["${env:X}", "$${env:X}", "${iam:username}", "$$", "${", "a: b", "# x", "- a", "\n", " x ", "true", "1", "'", '"']
)


@given(names=st.lists(odd_text, min_size=1, max_size=3, unique=True), secret=odd_text, path=odd_text)
def test_what_is_persisted_is_read_back(names: list[str], secret: str, path: str) -> None:
    groups = tuple(Group(name=name, description=name[::-1]) for name in names)
    settings = Settings(
        access=Access(access_key_id=names[0], secret_access_key=Secret(secret), iam_groups=groups),
        advanced=Advanced(database_path=path, event_delivery=EventDelivery(webhook_headers={"x": Secret(secret)})),
    )
    text = render(settings, {}, Tier.PERSISTED)
    parsed = parse(text.encode(), "c", Format.YAML, {})
    assert build(canonicalise(parsed.data).data, {}) == settings
    assert parsed.templates == {}
