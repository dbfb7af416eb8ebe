from pathlib import Path

import pytest

from deltaglider_proxy.config import aws_environment
from deltaglider_proxy.config.aws_environment import AwsConfigError, AwsKeys
from deltaglider_proxy.config.client_environment import ClientSettings

_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "env-id", "AWS_SECRET_ACCESS_KEY": "env-secret", "AWS_SESSION_TOKEN": "env-token"}
_CREDENTIALS = """\
# comment
[default]
aws_access_key_id = default-id
AWS_SECRET_ACCESS_KEY = default=secret

; another
[ci]
aws_access_key_id=ci-id
aws_secret_access_key=ci-secret
aws_session_token=ci-token
[half]
aws_access_key_id=half-id
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(_CREDENTIALS)
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = eu-west-1\ns3 =\n  max = 3\n[profile ci]\nregion=eu-north-1\n"
    )
    return {"HOME": str(tmp_path)}


def test_what_was_given_comes_first(home: dict[str, str]) -> None:
    given = AwsKeys("given", "secret")
    assert aws_environment.keys(home | _ENVIRONMENT, "ci", given) == given


def test_the_environment_with_its_token(home: dict[str, str]) -> None:
    assert aws_environment.keys(home | _ENVIRONMENT, None, None) == AwsKeys("env-id", "env-secret", "env-token")


def test_an_explicit_profile_wins_over_the_environment(home: dict[str, str]) -> None:
    assert aws_environment.keys(home | _ENVIRONMENT, "ci", None) == AwsKeys("ci-id", "ci-secret", "ci-token")


def test_a_profile_of_the_environment_does_not(home: dict[str, str]) -> None:
    environ = home | _ENVIRONMENT | {"AWS_PROFILE": "ci"}
    assert aws_environment.keys(environ, None, None).access_key_id == "env-id"
    assert aws_environment.keys(home | {"AWS_PROFILE": "ci"}, None, None).access_key_id == "ci-id"


def test_the_default_profile(home: dict[str, str]) -> None:
    assert aws_environment.keys(home, None, None) == AwsKeys("default-id", "default=secret")


def test_a_pair_is_never_of_two_sources(home: dict[str, str]) -> None:
    half = home | {"AWS_ACCESS_KEY_ID": "env-id", "AWS_SESSION_TOKEN": "env-token"}
    assert aws_environment.keys(half, None, None) == AwsKeys("default-id", "default=secret")
    with pytest.raises(AwsConfigError):
        aws_environment.keys(home | {"AWS_SECRET_ACCESS_KEY": "env-secret"}, "half", None)


def test_nothing_names_the_three_sources() -> None:
    with pytest.raises(AwsConfigError, match=r"--access-key-id.*AWS_ACCESS_KEY_ID.*'default'.*credentials"):
        aws_environment.keys({}, None, None)


def test_files_that_are_not_needed_are_not_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("[default\n")
    environ = {"AWS_SHARED_CREDENTIALS_FILE": str(broken), "AWS_CONFIG_FILE": str(broken)}
    assert aws_environment.keys(environ | _ENVIRONMENT, None, None).access_key_id == "env-id"
    assert aws_environment.region(environ, None, "eu-west-2") == "eu-west-2"
    assert aws_environment.keys({}, None, AwsKeys("a", "b")) == AwsKeys("a", "b")


@pytest.mark.parametrize(("text", "line"), [("[default\n", 1), ("\n[default]\nnonsense\n", 3)])
def test_broken_files_are_named_with_the_line(text: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text(text)
    with pytest.raises(AwsConfigError, match=f"{path}: line {line}"):
        aws_environment.keys({"AWS_SHARED_CREDENTIALS_FILE": str(path)}, None, None)


def test_secrets_do_not_show() -> None:
    assert "secret" not in repr(AwsKeys("id", "secret-1", "secret-2"))


@pytest.mark.parametrize(
    ("environ", "profile", "given", "found"),
    [
        ({}, None, None, "eu-west-1"),
        ({}, "ci", None, "eu-north-1"),
        ({"AWS_PROFILE": "ci"}, None, None, "eu-north-1"),
        ({}, "other", None, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "b"}, None, None, "b"),
        ({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}, None, None, "a"),
        ({"AWS_REGION": "a"}, "ci", "c", "c"),
    ],
)
def test_regions(home: dict[str, str], environ: dict[str, str], profile: str, given: str, found: str) -> None:
    assert aws_environment.region(home | environ, profile, given) == found


def test_endpoints() -> None:
    environ = {"AWS_ENDPOINT_URL": "https://a", "AWS_ENDPOINT_URL_S3": "https://b"}
    assert aws_environment.endpoint(environ, "https://c") == "https://c"
    assert aws_environment.endpoint(environ, None) == "https://b"
    assert aws_environment.endpoint({"AWS_ENDPOINT_URL": "https://a"}, None) == "https://a"
    assert aws_environment.endpoint({}, None) is None


def test_what_commands_share_with_the_server() -> None:
    found = ClientSettings.of(
        {
            "DGP_BACKEND_ALLOW_LOCAL": "true",
            "DGP_SPOOL_DIR": "/spool",
            "DGP_CODEC_CONCURRENCY": "3",
            "DGP_CODEC_TIMEOUT_SECS": "7",
            "HOME": "/home/me",
        }
    )
    assert found == ClientSettings(
        allow_local=True,
        spool_dir=Path("/spool"),
        codec_slots=3,
        codec_timeout=7.0,
        cache_dir=Path("/home/me/.cache/deltaglider_proxy"),
    )
    assert ClientSettings.of({}) == ClientSettings()
    assert ClientSettings.of({"XDG_CACHE_HOME": "/c", "HOME": "/h"}).cache_dir == Path("/c/deltaglider_proxy")


@pytest.mark.parametrize(("name", "text"), [("DGP_CODEC_CONCURRENCY", "many"), ("DGP_BACKEND_ALLOW_LOCAL", "maybe")])
def test_bad_variables_are_named(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=name):
        ClientSettings.of({name: text})
