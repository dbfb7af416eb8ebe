"""References to the environment are written again as they stood, whatever the environment holds."""

import json
import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deltaglider_proxy.config.document import Format, parse
from deltaglider_proxy.config.expand import escape
from deltaglider_proxy.config.findings import ConfigError
from deltaglider_proxy.config.load import LoadedConfig, Sources, load_text
from deltaglider_proxy.config.migrate import migrate
from deltaglider_proxy.config.render import Tier, render

OPEN = "access: {authentication: none}\n"


def loaded(text: str, environ: dict[str, str], running: LoadedConfig | None = None) -> LoadedConfig:
    return load_text(text, Sources(None, environ, None), running)


def written(config: LoadedConfig, tier: Tier = Tier.PERSISTED) -> str:
    return render(config.file_settings, config.references, tier)


@pytest.mark.parametrize("secret", ["ab # c", "a: b", "*star", "12", "true", "it is [", "@", "{x"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_the_quotes_of_the_file_stay_because_the_value_may_need_them(secret: str, quote: str) -> None:
    environ = {"SECRET": secret}
    text = f"access:\n  access_key_id: id\n  secret_access_key: {quote}${{env:SECRET}}{quote}\n"
    config = loaded(text, environ)
    assert written(config) == text
    again = loaded(written(config), environ).settings.access.secret_access_key
    assert again is not None
    assert again.reveal() == secret


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("max_object_size: ${env:N}", "max_object_size: ${env:N}"),
        ("max_object_size: ${env:N:-7}", "max_object_size: ${env:N:-7}"),
        ("max_object_size: 1${env:N}", "max_object_size: 1${env:N}"),
        ("database_path: /var/${env:N}/x.db", "database_path: /var/${env:N}/x.db"),
        ("database_path: 'it''s ${env:N}'", "database_path: 'it''s ${env:N}'"),
        ('database_path: "a\\"b${env:N}"', 'database_path: "a\\"b${env:N}"'),
        ("database_path: '$${env:A}${env:N}'", "database_path: '$${env:A}${env:N}'"),
        ("database_path: '$$${env:N}'", "database_path: '$$${env:N}'"),
        ("outbound_allow_cidrs: ['10.0.0.${env:N}/32']", "- '10.0.0.${env:N}/32'"),
    ],
)
def test_a_line_is_written_as_it_was(text: str, line: str) -> None:
    config = loaded(f"{OPEN}advanced: {{{text}}}\n", {"N": "5"})
    assert line in [found.strip() for found in written(config).splitlines()]
    again = loaded(written(config), {"N": "5"})
    assert (again.file_settings, written(again)) == (config.file_settings, written(config))


REFERENCE = "${env:NAME}"
literals = st.text(st.characters(codec="utf-8", exclude_characters="\ue000\ue001"))


@given(st.lists(st.just(REFERENCE) | literals))
def test_any_text_around_references_survives(parts: list[str]) -> None:
    """The parts as one double-quoted text, read, written and read again."""
    assume(REFERENCE in parts)
    quoted = [json.dumps(part, ensure_ascii=False)[1:-1] for part in parts]
    inner = "".join(part if part == REFERENCE else escape(f".{part}$")[1:-1] for part in quoted)
    environ = {"NAME": "va lue"}
    try:
        config = loaded(f'{OPEN}advanced: {{database_path: "{inner}"}}\n', environ)
    except ConfigError:  # a NUL and the like, which the reader refuses
        assume(False)
    again = loaded(written(config), environ)
    assert again.file_settings == config.file_settings
    assert written(again) == written(config)


def test_a_secret_beside_a_reference_is_persisted_as_written_and_shown_to_nobody() -> None:
    environ = {"HOST": "db.example.com"}
    config = loaded(f"{OPEN}advanced:\n  database_url: 'postgresql://dgp:hunter2@${{env:HOST}}/db'\n", environ)
    assert "database_url: 'postgresql://dgp:hunter2@${env:HOST}/db'" in written(config)
    for tier in (Tier.EXPORT, Tier.CANONICAL):
        assert "hunter2" not in written(config, tier)
    again = loaded(written(config, Tier.EXPORT), environ, config)
    assert (again.file_settings, written(again)) == (config.file_settings, written(config))


def test_two_fields_with_the_same_value_are_both_references() -> None:
    environ = {"SHARED": "hunter2"}
    text = "access: {access_key_id: '${env:SHARED}', secret_access_key: '${env:SHARED}'}\n"
    for tier in Tier:
        assert "hunter2" not in written(loaded(text, environ), tier)


def test_an_alias_has_the_quotes_of_its_anchor() -> None:
    config = loaded("access: {access_key_id: &x '${env:A}', secret_access_key: *x}\n", {"A": "a # b"})
    assert written(config).count("'${env:A}'") == 2


def test_templates_reach_other_processes() -> None:
    config = loaded("access: {access_key_id: '${env:A}', secret_access_key: 'x${env:A}'}\n", {"A": "a"})
    copy = pickle.loads(pickle.dumps(config))
    assert isinstance(copy, LoadedConfig)
    assert written(copy) == written(config)


TOML = b"""
max_object_size = ${env:SIZE}  # a number
cache_size_mb = "${env:CACHE}"
fsync = ${env:FSYNC}
access_key_id = '${env:ID}'
[backend]
type = "filesystem"
path = "/data/${env:WHERE}"
"""


def test_toml_may_have_references_in_place_of_numbers() -> None:
    text = migrate(TOML, "c.toml", Format.TOML).text
    for line in ("max_object_size: ${env:SIZE}", "cache_size_mb: ${env:CACHE}", "fsync: ${env:FSYNC}"):
        assert line in text
    environ = {"SIZE": "5", "CACHE": "6", "FSYNC": "false", "ID": "7", "WHERE": "x # y"}
    settings = loaded(text, environ).settings
    advanced = settings.advanced
    assert (advanced.max_object_size, advanced.cache_size_mb, advanced.fsync) == (5, 6, False)
    assert (settings.access.access_key_id, getattr(settings.storage.backend, "path", "")) == ("7", "/data/x # y")
    document = parse(TOML.replace(b'"${env:CACHE}"', b"1"), "c.toml", Format.TOML, environ)
    assert str(document.templates["max_object_size",]) == "${env:SIZE}"
