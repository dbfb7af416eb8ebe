"""Files of every shape become canonical YAML that means the same."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.cli.main import run
from deltaglider_proxy.config import yaml_out, yaml_text
from deltaglider_proxy.config.document import Format
from deltaglider_proxy.config.expand import expand
from deltaglider_proxy.config.load import Sources, load_text
from deltaglider_proxy.config.migrate import migrate

TOML = """
listen_addr = "0.0.0.0:9100"
max_object_size = 5000
bootstrap_password_hash = "$$2b$$04$$T366uWDmsoSFsOLwsZjVmeV1Mn1dTzP0hvgMW8Mnh.NlldkEbpWHy"
access_key_id = "${env:KEY_ID}"
secret_access_key = "${env:SECRET}"

[backend]
type = "s3"
endpoint = "https://${env:HOST}:9443"
force_path_style = true

[buckets.Releases]
public = true
quota_bytes = 10
"""


def test_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "c.toml", tmp_path / "c.yaml"
    source.write_text(TOML)
    assert run(["config", "migrate", str(source), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "DGP_BOOTSTRAP_PASSWORD_HASH" in said.err
    assert said.out == ""
    text = out.read_text()
    assert out.stat().st_mode & 0o777 == 0o600
    assert "$2b" not in text
    assert 'access_key_id: "${env:KEY_ID}"' in text
    assert 'endpoint: "https://${env:HOST}:9443"' in text
    assert run(["config", "migrate", str(source), "--out", str(out)]) == 3
    assert run(["config", "migrate", str(source), "--out", str(out), "--force"]) == 0
    loaded = load_text(text, Sources(None, {"KEY_ID": "id", "SECRET": "s", "HOST": "s3.example.com"}, None))
    storage = loaded.settings.storage
    assert loaded.settings.access.access_key_id == "id"
    assert storage.buckets["releases"].public_prefixes == ("",)
    assert getattr(storage.backend, "endpoint", "") == "https://s3.example.com:9443"
    assert str(loaded.settings.advanced.listen_addr) == "0.0.0.0:9100"
    assert migrate(text.encode(), "c.yaml", Format.YAML).text == text


@pytest.mark.parametrize(
    "text",
    [
        "advanced: {max_object_size: '${env:N}'}\n",
        "advanced: {fsync: ${env:B}}\n",
        "advanced: {listen_addr: ${env:A}}\n",
        "advanced: {gc_grace: ${env:D}}\n",
        "advanced: {max_delta_ratio: ${env:F:-0.5}}\n",
        "access: {iam_mode: ${env:M}}\n",
        "storage: {buckets: {box: {deltaspace: ${env:S}}}}\n",
    ],
)
def test_references_stand_in_every_place(text: str) -> None:
    migrated = migrate(text.encode(), "c.yaml", Format.YAML).text
    assert text[text.index("$") : text.index("}") + 1] in migrated
    assert migrate(migrated.encode(), "c.yaml", Format.YAML).text == migrated


def test_what_cannot_be_migrated(tmp_path: Path) -> None:
    assert run(["config", "migrate", str(tmp_path / "missing")]) == 3
    for text, code in (("a: [", 4), ("unknown: 1", 4), ("advanced: {max_object_size: many}", 4), ("[1]", 4)):
        (tmp_path / "c.yaml").write_text(text)
        assert run(["config", "migrate", str(tmp_path / "c.yaml")]) == code
    (tmp_path / "c.yaml").write_text("storage: {buckets: {box: {backend: nowhere}}}\n")
    assert run(["config", "migrate", str(tmp_path / "c.yaml")]) == 6


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=10), plain_values, max_size=4))
def test_what_is_written_is_read_back(tree: dict[str, object]) -> None:
    text = yaml_out.dump(tree)
    expansion = expand(text, {})
    assert expansion.problems == ()
    read = yaml_text.parse(expansion.text)
    assert read.findings == []
    assert (read.value or {}) == tree


def test_each_secret_that_is_left_out_is_named_with_its_variable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "c.yaml"
    encryption = f"{{mode: aes256-gcm-proxy, key: {'a' * 64}}}"
    source.write_text(
        f"storage: {{backends: [{{name: cold-1, type: filesystem, path: /x, encryption: {encryption}}}]}}\n"
        "advanced: {database_url: 'postgresql://a:b@c/d'}\n"
    )
    run(["config", "migrate", str(source)])
    said = capsys.readouterr()
    assert "a" * 64 not in said.out + said.err
    assert "storage.backends[0].encryption.key is a secret and was left out; set DGP_BACKEND_COLD_1_ENCRYPTION_KEY" in (
        said.err
    )
    assert "set DGP_DATABASE_URL" in said.err


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "c.toml"
    source.write_text("cache_size_mb = 5\n")
    (tmp_path / "out.yaml").mkdir()
    assert run(["config", "migrate", str(source), "--out", str(tmp_path / "out.yaml"), "--force"]) == 3
    assert sorted(found.name for found in tmp_path.iterdir()) == ["c.toml", "out.yaml"]


def test_without_force_the_output_stays(tmp_path: Path) -> None:
    source, out = tmp_path / "c.toml", tmp_path / "c.yaml"
    source.write_text("cache_size_mb = 5\n")
    out.write_text("mine")
    assert run(["config", "migrate", str(source), "--out", str(out)]) == 3
    assert out.read_text() == "mine"
