from collections.abc import Mapping
from pathlib import Path

import pytest

from deltaglider_proxy.config.address import ListenAddress
from deltaglider_proxy.config.auth_state import OpenAccess, SignedRequests, Undecided
from deltaglider_proxy.config.backends import FilesystemBackend, S3Backend
from deltaglider_proxy.config.encryption import ProxyAes
from deltaglider_proxy.config.environment import VARIABLES, Variable
from deltaglider_proxy.config.findings import ConfigError, ErrorKind, Severity
from deltaglider_proxy.config.load import LoadedConfig, LogSources, lint, load
from deltaglider_proxy.config.overlay import apply, read
from deltaglider_proxy.config.runtime import RuntimeSettings
from deltaglider_proxy.config.secret import Secret
from deltaglider_proxy.config.settings import Settings
from tests.unit.config import samples
from tests.unit.config.test_lint import PARSE, VALIDATION, WARNINGS

TRUST = {"DGP_TRUST_PROXY_HEADERS": "true", "DGP_TRUSTED_PROXY_CIDRS": "10.0.0.0/8"}


def load_text(
    tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, listen: str | None = None, name: str = "c.yaml"
) -> LoadedConfig:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return load(name, listen, TRUST | dict(environ or {}), tmp_path)


def test_without_a_file_defaults_hold(tmp_path: Path) -> None:
    loaded = load(None, None, {}, tmp_path, system_dir=tmp_path)
    assert loaded.path is None
    assert loaded.settings == Settings()
    assert loaded.runtime == RuntimeSettings()
    assert isinstance(loaded.auth_state, Undecided)


def test_documented_defaults() -> None:
    advanced, runtime = Settings().advanced, RuntimeSettings()
    assert advanced.listen_addr == ListenAddress("0.0.0.0", 9000)
    assert (advanced.max_delta_ratio, advanced.max_object_size) == (0.75, 104_857_600)
    assert advanced.max_passthrough_object_size is None
    assert (advanced.cache_size_mb, advanced.metadata_cache_mb, advanced.metadata_index_mb) == (100, 50, 1024)
    assert (advanced.codec_concurrency, advanced.codec_timeout_secs, advanced.workers) == (None, 60, 1)
    assert Settings().storage.backend == FilesystemBackend(type="filesystem", path="./data")
    assert (runtime.max_multipart_uploads, runtime.request_timeout_secs) == (1000, 300)
    assert (runtime.trust_proxy_headers, runtime.secure_cookies) == (False, True)
    assert (runtime.clock_skew_seconds, runtime.replay_window_secs) == (300, 2)


def test_everything_loads_apart_from_what_this_release_lacks(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, samples.EVERYTHING)
    assert loaded.settings.storage.buckets["releases"].readable_prefixes == ("public/",)
    assert loaded.settings.storage.buckets["open-data"].readable_prefixes == ("",)
    assert loaded.auth_state == SignedRequests("AK", Secret("hunter2"), overrides_open_access=False)
    assert not [finding for finding in loaded.warnings if finding.severity is Severity.ERROR]
    assert "hunter2" not in repr(loaded)


def test_the_flat_shape_means_the_same(tmp_path: Path) -> None:
    flat = load_text(tmp_path, samples.FLAT).settings
    assert flat.advanced.cache_size_mb == 10
    assert flat.advanced.bootstrap_password_hash == Secret("$2b$12$abc")
    assert flat.access.access_key_id == "AK"
    assert flat.storage.backend == FilesystemBackend(type="filesystem", path="/srv/data")
    assert flat.storage.buckets["releases"].public_prefixes == ("",)
    assert [block.name for block in flat.admission.blocks] == ["all"]


def test_toml_means_the_same_and_warns_once(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, samples.FLAT_TOML, name="c.toml")
    assert loaded.settings.storage.backend == FilesystemBackend(type="filesystem", path="/srv/data")
    assert ["TOML is deprecated" in str(finding) for finding in loaded.warnings].count(True) == 1
    muted = load_text(tmp_path, samples.FLAT_TOML, {"DGP_SILENCE_TOML_DEPRECATION": "1"}, name="c.toml")
    assert not [finding for finding in muted.warnings if "TOML" in str(finding)]


def test_shorthands_mean_the_same(tmp_path: Path) -> None:
    backend = load_text(tmp_path, samples.SHORTHANDS).settings.storage.backend
    assert backend == S3Backend(
        type="s3",
        endpoint="https://s3.example.com",
        region="eu-west-1",
        access_key_id="AK",
        secret_access_key=Secret("hunter2"),
    )


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("c.yaml", "a: [", ErrorKind.PARSE),
        ("c.yaml", "advanced: {gc_grace: 1m}", ErrorKind.VALIDATION),
        ("missing.yaml", None, ErrorKind.IO),
    ],
)
def test_an_unusable_file_is_an_error_and_never_skipped(
    tmp_path: Path, name: str, text: str | None, kind: ErrorKind
) -> None:
    (tmp_path / "deltaglider_proxy.yaml").write_text("")
    if text is not None:
        (tmp_path / name).write_text(text)
    for argument, environ in ((name, {}), (None, {"DGP_CONFIG": name})):
        with pytest.raises(ConfigError, match=name) as caught:
            load(argument, None, environ, tmp_path, system_dir=tmp_path)
        assert caught.value.kind is kind


MAPPED = [v for v in VARIABLES if v.keys and v.keys[:2] != ("storage", "backend") and not v.name.startswith("DGP_TLS")]
VALUES = {
    "DGP_DATABASE_URL": ("postgresql://one/db", "postgresql://two/db"),
    "DGP_LISTEN_ADDR": ("127.0.0.1:1111", "127.0.0.1:2222"),
    "DGP_PUBLIC_URL": ("https://a.example.com", "https://b.example.com"),
    "DGP_AUDIT_OBJECT_WRITES": ("false", "true"),
    "DGP_FSYNC": ("false", "true"),
    "DGP_GC_GRACE": ("2h", "3h"),
    "DGP_MAX_DELTA_RATIO": ("0.25", "0.5"),
    "DGP_AUTHENTICATION": ("NONE", "none"),
    "DGP_LOG_LEVEL": ("info", "warn"),
}


@pytest.mark.parametrize("variable", MAPPED, ids=lambda variable: variable.name)
def test_the_environment_comes_before_the_file(tmp_path: Path, variable: Variable) -> None:
    section, *names = map(str, variable.keys)
    in_file, in_environment = VALUES.get(variable.name, ("11", "22"))
    assert variable.info is not None
    number = isinstance(read(variable, in_environment), bool | int | float)
    quoted = in_file if number else f"'{in_file}'"
    document = f"{section}: {{{': {'.join(names)}: {quoted}{'}' * len(names)}"
    alone = load_text(tmp_path, document)
    both = load_text(tmp_path, document, {variable.name: in_environment})
    assert value_at(alone.settings, variable) == in_file
    assert value_at(both.settings, variable) == in_environment
    assert both.file_settings == alone.file_settings
    assert both.overrides[variable.keys] == f"env:{variable.name}"


def value_at(settings: Settings, variable: Variable) -> str:
    value: object = settings
    for key in variable.keys:
        value = getattr(value, str(key))
    if isinstance(value, Secret):
        return value.reveal()
    dumped: object = settings.model_dump(mode="json")
    for key in variable.keys:
        assert isinstance(dumped, dict)
        dumped = dumped[key]
    return str(dumped).lower() if isinstance(dumped, bool) else str(dumped)


def test_the_flag_comes_before_the_environment(tmp_path: Path) -> None:
    text = "advanced: {listen_addr: 127.0.0.1:1}"
    loaded = load_text(tmp_path, text, {"DGP_LISTEN_ADDR": "127.0.0.1:2"}, "127.0.0.1:3")
    assert loaded.settings.advanced.listen_addr.port == 3
    assert loaded.file_settings.advanced.listen_addr.port == 1
    assert loaded.overrides["advanced", "listen_addr"] == "cli:--listen"


@pytest.mark.parametrize("name", [name for name in RuntimeSettings.model_fields if name.endswith(("_secs", "_bytes"))])
def test_runtime_settings_come_from_the_environment(tmp_path: Path, name: str) -> None:
    loaded = load_text(tmp_path, "", {f"DGP_{name.upper()}": " 77 "})
    assert getattr(loaded.runtime, name) == 77


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DGP_CACHE_MB", "lots"),
        ("DGP_CACHE_MB", "-1"),
        ("DGP_CACHE_MB", "1.5"),
        ("DGP_CODEC_CONCURRENCY", "0"),
        ("DGP_MAX_DELTA_RATIO", "half"),
        ("DGP_FSYNC", "perhaps"),
        ("DGP_REQUEST_TIMEOUT_SECS", "0"),
        ("DGP_DEBUG_HEADERS", "2"),
        ("DGP_LOG_FORMAT", "xml"),
        ("DGP_BOOT_BACKEND_PROBE", "maybe"),
        ("DGP_S3_CONNECT_TIMEOUT_SECS", "0"),
    ],
)
def test_a_bad_number_or_choice_is_ignored_with_a_warning(tmp_path: Path, name: str, text: str) -> None:
    loaded = load_text(tmp_path, "", {name: text})
    assert loaded.settings == Settings()
    assert loaded.runtime == RuntimeSettings(trust_proxy_headers=True, trusted_proxy_cidrs=("10.0.0.0/8",))
    [finding] = loaded.warnings
    assert f"{name} is ignored" in str(finding)


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "", {"DGP_CACHE_MB": "", "DGP_ACCESS_KEY_ID": "", "DGP_DEBUG_HEADERS": ""})
    assert (loaded.settings, loaded.warnings, loaded.overrides) == (Settings(), (), {})


def test_a_bad_address_in_the_environment_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set by DGP_LISTEN_ADDR") as caught:
        load_text(tmp_path, "advanced: {listen_addr: 127.0.0.1:1}", {"DGP_LISTEN_ADDR": "nowhere"})
    assert caught.value.findings[0].line is None


def test_trusted_peers(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "", {"DGP_TRUSTED_PROXY_CIDRS": "10.0.0.0/8, nonsense ,::1"})
    assert loaded.runtime.trusted_proxy_cidrs == ("10.0.0.0/8", "::1")
    assert ["'nonsense' is ignored" in str(finding) for finding in loaded.warnings] == [True]


def test_no_usable_peer_means_that_none_is_trusted(tmp_path: Path) -> None:
    assert load_text(tmp_path, "", {"DGP_TRUSTED_PROXY_CIDRS": "nonsense"}).runtime.trusted_proxy_cidrs == ()
    assert load_text(tmp_path, "", {"DGP_TRUSTED_PROXY_CIDRS": ""}).runtime.trusted_proxy_cidrs is None


def test_the_former_name_of_the_password_hash(tmp_path: Path) -> None:
    former = {"DGP_ADMIN_PASSWORD_HASH": "old"}
    assert load_text(tmp_path, "", former).settings.advanced.bootstrap_password_hash == Secret("old")
    both = former | {"DGP_BOOTSTRAP_PASSWORD_HASH": "new"}
    assert load_text(tmp_path, "", both).settings.advanced.bootstrap_password_hash == Secret("new")


def backend_of(data: dict[str, object], environ: dict[str, str]) -> dict[str, object]:
    found = (
        apply({"storage": {"backend": data}} if data else {}, environ, None).data.get("storage", {}).get("backend", {})
    )
    assert isinstance(found, dict)
    return found


S3 = {"type": "s3", "endpoint": "https://a.example.com", "region": "eu"}
DISK = {"type": "filesystem", "path": "x"}


@pytest.mark.parametrize(
    ("data", "environ", "expected"),
    [
        (S3, {"DGP_S3_REGION": "us"}, S3 | {"region": "us"}),
        (S3, {"DGP_S3_ENDPOINT": "https://b.example.com"}, S3 | {"endpoint": "https://b.example.com"}),
        (S3, {"DGP_S3_PATH_STYLE": "off"}, S3 | {"force_path_style": False}),
        (S3, {"DGP_BE_AWS_ACCESS_KEY_ID": "AK"}, S3 | {"access_key_id": "AK"}),
        (S3, {"DGP_BACKEND_ALLOW_LOCAL": "1"}, S3 | {"allow_local": True}),
        (S3, {"DGP_DATA_DIR": "y"}, S3),
        (DISK, {"DGP_S3_REGION": "us"}, {"type": "s3", "region": "us"}),
        (
            DISK,
            {"DGP_S3_ENDPOINT": "https://b.example.com", "DGP_DATA_DIR": "y"},
            {"type": "s3", "endpoint": "https://b.example.com"},
        ),
        (DISK, {"DGP_S3_PATH_STYLE": "true", "DGP_BE_AWS_ACCESS_KEY_ID": "AK"}, DISK),
        (DISK, {"DGP_DATA_DIR": "y"}, DISK | {"path": "y"}),
        ({}, {"DGP_DATA_DIR": "y"}, {"type": "filesystem", "path": "y"}),
        ({}, {}, {}),
    ],
)
def test_each_variable_of_the_backend_overrides_its_own_field(
    data: dict[str, object], environ: dict[str, str], expected: dict[str, object]
) -> None:
    assert backend_of(dict(data), environ) == expected


def test_listed_backends_without_credentials_share_a_pair() -> None:
    entries = [{"name": "a", "type": "s3"}, {"name": "b", "type": "s3", "access_key_id": "own"}, DISK | {"name": "c"}]
    environ = {"DGP_BE_AWS_ACCESS_KEY_ID": "AK", "DGP_BE_AWS_SECRET_ACCESS_KEY": "s", "DGP_S3_REGION": "eu"}
    layered = apply({"storage": {"backends": entries}}, environ, None)
    assert layered.data["storage"]["backends"] == [
        {"name": "a", "type": "s3", "access_key_id": "AK", "secret_access_key": "s"},
        {"name": "b", "type": "s3", "access_key_id": "own"},
        DISK | {"name": "c"},
    ]
    assert ["DGP_S3_REGION: no effect" in str(finding) for finding in layered.warnings] == [True]


def test_keys_of_encryption_by_mode_and_backend() -> None:
    aes = {"mode": "aes256-gcm-proxy"}
    data = {
        "storage": {
            "backends": [
                DISK | {"name": "eu-1", "encryption": dict(aes)},
                DISK | {"name": "default", "encryption": dict(aes)},
                DISK | {"name": "plain", "encryption": {"mode": "none"}},
            ]
        }
    }
    environ = {"DGP_BACKEND_EU_1_ENCRYPTION_KEY": "a" * 64, "DGP_ENCRYPTION_KEY": "b" * 64}
    settings = Settings.model_validate(apply(data, environ, None).data)
    modes = [backend.encryption for backend in settings.storage.backends]
    assert isinstance(modes[0], ProxyAes)
    assert isinstance(modes[1], ProxyAes)
    assert (modes[0].key, modes[1].key) == (Secret("a" * 64), Secret("b" * 64))
    assert modes[2].mode == "none"


def test_each_tls_variable_overrides_its_own_field(tmp_path: Path) -> None:
    text = "advanced: {tls: {cert_path: a, key_path: b}}"
    tls = load_text(tmp_path, text, {"DGP_TLS_CERT": "c"}).settings.advanced.tls
    assert tls is not None
    assert (tls.enabled, tls.cert_path, tls.key_path) == (False, "c", "b")


def test_half_a_pair_is_completed_by_the_environment(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "access: {access_key_id: AK}", {"DGP_SECRET_ACCESS_KEY": "s"})
    assert loaded.auth_state == SignedRequests("AK", Secret("s"), overrides_open_access=False)


def test_half_a_pair_for_a_backend_stops_the_start(tmp_path: Path) -> None:
    text = "storage: {backend: {type: s3, access_key_id: a}}"
    with pytest.raises(ConfigError, match="half a key pair"):
        load_text(tmp_path, text)
    load_text(tmp_path, text, {"DGP_BE_AWS_SECRET_ACCESS_KEY": "s"})


def test_open_access_is_loud(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "access: {authentication: none}")
    assert loaded.auth_state == OpenAccess()
    assert ["AUTHENTICATION IS OFF" in str(finding) for finding in loaded.warnings] == [True]


def test_open_access_beside_a_pair_has_no_effect(tmp_path: Path) -> None:
    text = "access: {authentication: none, access_key_id: a, secret_access_key: b}"
    assert ["has no effect" in str(finding) for finding in load_text(tmp_path, text).warnings] == [True]


def test_a_start_leaves_out_what_it_can_do_without(tmp_path: Path) -> None:
    text = """
storage:
  default_backend: gone
  buckets: {abc: {public_prefixes: [bad, a/, ../, b/]}}
  lifecycle:
    rules:
      - {name: x, bucket: b}
      - {name: y, bucket: b, expire_after: 1d}
      - {name: y, bucket: b, expire_after: 2d}
advanced: {log_level: '!!!x', max_delta_ratio: .inf}
"""
    loaded = load_text(tmp_path, text)
    assert loaded.settings.storage.buckets["abc"].public_prefixes == ("a/", "b/")
    assert [(rule.name, rule.expire_after) for rule in loaded.settings.storage.lifecycle.rules] == [("y", "1d")]
    assert loaded.settings.storage.default_backend is None
    assert loaded.settings.advanced.max_delta_ratio == 0.75
    assert loaded.settings.advanced.log_level is None
    errors = [finding.path for finding in loaded.warnings if finding.severity is Severity.ERROR]
    assert len(errors) == 6


def test_the_sources_of_the_log_filter_are_kept_apart(tmp_path: Path) -> None:
    environ = {"RUST_LOG": "a", "DGP_LOG_LEVEL": "b"}
    loaded = load_text(tmp_path, "advanced: {log_level: c}", environ)
    assert loaded.log_sources == LogSources("a", "b", "c")
    assert load_text(tmp_path, "").log_sources == LogSources(None, None, None)
    assert load_text(tmp_path, "advanced: {log_level: '!!!'}").log_sources.file is None


def test_a_bad_log_filter_in_the_environment_is_left_to_the_log(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "advanced: {log_level: info}", {"DGP_LOG_LEVEL": "!!!"})
    assert loaded.settings.advanced.log_level == "info"
    assert loaded.log_sources.dgp_log_level == "!!!"


def test_a_toml_file_that_is_not_read_is_mentioned(tmp_path: Path) -> None:
    (tmp_path / "deltaglider_proxy.yaml").touch()
    (tmp_path / "deltaglider_proxy.toml").touch()
    loaded = load(None, None, TRUST, tmp_path, system_dir=tmp_path)
    assert ["is not read" in str(finding) for finding in loaded.warnings] == [True]


def test_the_spool_must_not_lie_among_the_objects(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DGP_SPOOL_DIR"):
        load_text(tmp_path, "", {"DGP_SPOOL_DIR": "data/spool"})


def test_references_are_resolved(tmp_path: Path) -> None:
    text = "access: {access_key_id: AK, secret_access_key: '${env:SECRET}'}"
    loaded = load_text(tmp_path, text, {"SECRET": "0123"})
    assert loaded.settings.access.secret_access_key == Secret("0123")


COMPLETE_ONLY_WITH_THE_ENVIRONMENT = "storage: {backend: {type: s3, access_key_id: a}}"


@pytest.mark.parametrize("text", [*samples.VALID.values(), *WARNINGS])
def test_what_lint_accepts_can_be_started_with(tmp_path: Path, text: str) -> None:
    environ = {} if text != COMPLETE_ONLY_WITH_THE_ENVIRONMENT else {"DGP_BE_AWS_SECRET_ACCESS_KEY": "s"}
    loaded = load_text(tmp_path, text, environ)
    assert lint(tmp_path / "c.yaml", environ).kind is None
    assert not [finding for finding in loaded.warnings if finding.severity is Severity.ERROR]


@pytest.mark.parametrize("text", [*PARSE, *VALIDATION])
def test_what_lint_rejects_is_never_used_silently(tmp_path: Path, text: str) -> None:
    try:
        findings = load_text(tmp_path, text).warnings
    except ConfigError as failure:
        findings = failure.findings
    assert [finding for finding in findings if finding.severity is Severity.ERROR]
