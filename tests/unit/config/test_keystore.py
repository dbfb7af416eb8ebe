"""Secrets apart from the text of a configuration, and both joined again."""

from typing import Any

import pytest

from deltaglider_proxy.config.findings import ConfigError, Keys
from deltaglider_proxy.config.keystore import joined, secrets_of
from deltaglider_proxy.config.load import LoadedConfig, Sources, load_text
from deltaglider_proxy.config.render import Tier, render

SOURCES = Sources(None, {"CLOUD_SECRET": "from the environment"}, None)
FORMER = "b" * 64
WHOLE = f"""\
storage:
  backends:
    - name: disk
      type: filesystem
      path: ./data
    - name: cloud
      type: s3
      endpoint: https://s3.example.com
      access_key_id: AKCLOUD
      secret_access_key: "cloud $${{secret}}"
      encryption:
        mode: none
        legacy_key: {FORMER}
    - name: other
      type: s3
      endpoint: https://s3.example.com
      access_key_id: AKOTHER
      secret_access_key: ${{env:CLOUD_SECRET}}
  default_backend: disk
access:
  access_key_id: AKPROXY
  secret_access_key: the proxy secret
  auth_providers:
    - name: okta
      provider_type: oidc
      issuer_url: https://id.example.com
      client_id: c
      client_secret: the client secret
  iam_users:
    - name: ana
      access_key_id: AKANA
      secret_access_key: the secret of ana
advanced:
  event_delivery:
    webhook_urls: ["https://hooks.example.com/1"]
    webhook_headers:
      authorization: the token
"""
SECRETS = ("cloud ${secret}", "the proxy secret", "the client secret", "the secret of ana", "the token", FORMER)


def loaded(text: str) -> LoadedConfig:
    return load_text(text, SOURCES)


def parts(text: str) -> tuple[str, dict[str, Any]]:
    found = loaded(text)
    return render(found.file_settings, found.references, Tier.EXPORT), secrets_of(found.settings)


def test_no_secret_is_in_the_text_and_all_are_beside_it() -> None:
    text, secrets = parts(WHOLE)
    for secret in SECRETS:
        assert secret not in text
        assert secret in str(secrets)
    assert "${env:CLOUD_SECRET}" in text


def test_joined_again_it_is_the_same() -> None:
    text, secrets = parts(WHOLE)
    again, before = loaded(joined(text, secrets, SOURCES, set())), loaded(WHOLE)
    assert again.file_settings == before.file_settings
    assert again.references == before.references


def test_the_single_backend() -> None:
    text = f"""\
storage:
  backend:
    type: s3
    endpoint: https://s3.example.com
    access_key_id: AK
    secret_access_key: its secret
  backend_encryption: {{mode: none, legacy_key: {FORMER}, legacy_key_id: one}}
access: {{authentication: none}}
"""
    shown, secrets = parts(text)
    assert FORMER not in shown
    assert secrets["encryption"] == {"default": {"legacy_key": FORMER, "legacy_key_id": "one"}}
    assert loaded(joined(shown, secrets, SOURCES, set())).file_settings == loaded(text).file_settings


def test_an_archive_that_knows_of_one_backend_only() -> None:
    single = WHOLE.split("    - name: other")[0] + "  default_backend: disk\naccess: {authentication: none}\n"
    text, secrets = parts(single)
    old = {"storage": secrets.pop("storage_backends")["cloud"]}
    assert "cloud ${secret}" in joined(text, old, SOURCES, set())


def test_what_is_written_or_decided_elsewhere_is_not_overwritten() -> None:
    text, secrets = parts(WHOLE)
    decided: set[Keys] = {("access", "access_key_id"), ("access", "secret_access_key")}
    without = loaded(joined(text, secrets, SOURCES, decided)).file_settings
    assert without.access.access_key_id is None
    mine = text.replace("access:\n", "access:\n  access_key_id: AKMINE\n  secret_access_key: mine\n", 1)
    kept = loaded(joined(mine, secrets, SOURCES, set())).file_settings
    assert kept.access.secret_access_key is not None
    assert kept.access.secret_access_key.reveal() == "mine"


@pytest.mark.parametrize("text", ["a: b: c", "storage: [", "nonsense: 1\n", "advanced: ${env:NOT_SET}\n"])
def test_a_text_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ConfigError):
        joined(text, {}, SOURCES, set())


def test_secrets_of_other_kinds_and_forms_are_of_no_concern() -> None:
    odd = {"access": [], "storage": 3, "storage_backends": {"cloud": None}, "encryption": {"cloud": 1}, "more": {}}
    text, _ = parts(WHOLE)
    assert "AKPROXY" not in joined(text, odd, SOURCES, set())
