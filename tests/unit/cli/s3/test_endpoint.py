from pathlib import Path

import pytest

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.s3.connection import Connection
from deltaglider_proxy.cli.s3.endpoint import resolve
from deltaglider_proxy.cli.s3.locations import BadArgument
from deltaglider_proxy.storage.backends.s3.credentials import Configured
from deltaglider_proxy.storage.backends.s3.signing import Credentials

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
ALLOWED = {"DGP_BACKEND_ALLOW_LOCAL": "true"}


@pytest.mark.parametrize(
    ("url", "environ", "path_style", "local"),
    [
        (None, {}, False, False),
        ("https://s3.example.org", {}, False, False),
        ("https://s3.example.org/", {}, False, False),
        ("http://minio.lan:9000", {}, False, True),
        ("http://10.0.0.5:9000", {}, True, True),
        ("https://localhost:9000", {}, True, True),
        ("https://127.0.0.1", {}, True, True),
        ("https://[::1]:9000", {}, True, True),
        ("https://10.0.0.5", ALLOWED, True, True),
        (None, {"AWS_ENDPOINT_URL": "http://localhost:1"}, True, True),
    ],
)
def test_where_to_go(url: str | None, environ: dict[str, str], path_style: bool, local: bool) -> None:
    found = resolve(Connection(endpoint_url=url), KEYS | environ)
    assert (found.path_style, found.local) == (path_style, local)
    settings = found.settings(Path("locks"))
    assert (settings.path_style, settings.allow_local) == (path_style, local)
    assert settings.key_pair is not None
    assert settings.key_pair.access_key_id == "id"


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.5",
        "https://192.168.1.1:9000",
        "https://s3.internal",
        "http://169.254.169.254",
        "https://169.254.169.254",
        "http://[fd00:ec2::254]",
        "http://metadata.google.internal",
        "ftp://s3.example.org",
        "s3.example.org",
        "https://s3.example.org/path",
        "https://user:password@s3.example.org",
        "https://[::1",
    ],
)
def test_where_not_to_go(url: str) -> None:
    with pytest.raises(BadArgument, match="--endpoint-url") as refused:
        resolve(Connection(endpoint_url=url), KEYS)
    assert refused.value.code is ExitCode.USAGE
    assert "password" not in str(refused.value)


def test_never_to_who_hands_out_credentials() -> None:
    with pytest.raises(BadArgument):
        resolve(Connection(endpoint_url="http://169.254.169.254"), KEYS | ALLOWED)


async def test_temporary_credentials_arrive_at_the_signer() -> None:
    given = Connection(access_key_id="a", secret_access_key="b", session_token="c")
    pair = resolve(given, {}).settings(Path()).key_pair
    assert pair is not None
    assert await Configured(pair).current() == Credentials("a", "b", "c")
    pair = resolve(Connection(), KEYS | {"AWS_SESSION_TOKEN": "t"}).settings(Path()).key_pair
    assert pair is not None
    assert pair.session_token == "t"


@pytest.mark.parametrize(
    "given",
    [Connection(access_key_id="a"), Connection(secret_access_key="b"), Connection(session_token="c")],
)
def test_half_of_a_pair(given: Connection) -> None:
    with pytest.raises(BadArgument, match="go") as refused:
        resolve(given, KEYS)
    assert refused.value.code is ExitCode.USAGE


def test_no_credentials() -> None:
    with pytest.raises(BadArgument) as refused:
        resolve(Connection(), {})
    assert refused.value.code is ExitCode.UNAUTHENTICATED


def test_a_missing_bundle_and_a_bad_variable(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="--ca-bundle") as refused:
        resolve(Connection(ca_bundle=str(tmp_path / "none.pem")), KEYS)
    assert refused.value.code is ExitCode.IO
    with pytest.raises(BadArgument, match="DGP_CODEC_CONCURRENCY"):
        resolve(Connection(), KEYS | {"DGP_CODEC_CONCURRENCY": "x"})


def test_secrets_do_not_show() -> None:
    given = Connection(access_key_id="a", secret_access_key="secret-1", session_token="secret-2")
    assert "secret-" not in repr(given)
    assert "secret-" not in repr(resolve(given, {}))
    assert "secret-" not in repr(resolve(given, {}).settings(Path()))
