"""The S3 service that a verb speaks to: who we are there, and whether it may be called at all.

Nothing is sent before the URL has passed the guard. A URL that says `http` or names this host says by that that the
service is near; any other must be https and public, unless DGP_BACKEND_ALLOW_LOCAL is set.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say
from deltaglider_proxy.cli.s3.connection import Connection
from deltaglider_proxy.cli.s3.locations import BadArgument
from deltaglider_proxy.config import aws_environment
from deltaglider_proxy.config.aws_environment import AwsConfigError, AwsKeys
from deltaglider_proxy.config.client_environment import ClientSettings
from deltaglider_proxy.outbound.session import open_session
from deltaglider_proxy.storage.backends.s3.settings import KeyPair, S3Settings, endpoint_of, kind_of

_NEAR: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    url: str | None
    """None: AWS."""
    region: str
    keys: AwsKeys = field(repr=False)
    path_style: bool
    local: bool
    """It need be neither public nor https."""
    client: ClientSettings
    ca_bundle: Path | None = None

    @property
    def name(self) -> str:
        return self.url or f"AWS in {self.region}"

    def settings(self, lock_dir: Path) -> S3Settings:
        return S3Settings(
            lock_dir,
            self.url,
            self.region,
            self.path_style,
            KeyPair(self.keys.access_key_id, self.keys.secret_access_key, self.keys.session_token),
            allow_local=self.local,
            name=self.name,
            ca_bundle=self.ca_bundle,
        )


def resolve(given: Connection, environ: Mapping[str, str]) -> Endpoint:
    """Raises BadArgument: for what is missing or contradictory, and for an endpoint that may not be called."""
    pair = _pair(given)
    if given.ca_bundle is not None and not Path(given.ca_bundle).is_file():
        raise BadArgument(f"--ca-bundle {given.ca_bundle}: there is no such file", ExitCode.IO)
    try:
        url = aws_environment.endpoint(environ, given.endpoint_url)
        client = ClientSettings.of(environ)
        host = urlsplit(url).hostname or "" if url else ""
        endpoint = Endpoint(
            url.rstrip("/") if url else None,
            aws_environment.region(environ, given.profile, given.region),
            aws_environment.keys(environ, given.profile, pair),
            given.force_path_style or host == "localhost" or _is_address(host),
            (url or "").startswith("http://") or host in _NEAR or client.allow_local,
            client,
            Path(given.ca_bundle) if given.ca_bundle is not None else None,
        )
        endpoint_of(endpoint.settings(Path()))
    except AwsConfigError as error:
        raise BadArgument(str(error), ExitCode.UNAUTHENTICATED) from error
    except ValueError as error:
        hint = " (DGP_BACKEND_ALLOW_LOCAL=true here)" if "allow_local" in str(error) else ""
        raise BadArgument(f"--endpoint-url: {error}{hint}") from error
    return endpoint


def _pair(given: Connection) -> AwsKeys | None:
    if given.secret_access_key is not None:
        say("note: --secret-access-key is visible in the list of processes; variables and profiles are not")
    if given.access_key_id and given.secret_access_key:
        return AwsKeys(given.access_key_id, given.secret_access_key, given.session_token)
    if given.access_key_id or given.secret_access_key:
        raise BadArgument("--access-key-id and --secret-access-key go together")
    if given.session_token:
        raise BadArgument("--session-token goes with --access-key-id and --secret-access-key")
    return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def is_proxy(endpoint: Endpoint) -> bool:
    """Whether a DeltaGlider proxy answers there."""
    found = await operational(endpoint, "/_/health")
    return found is not None and found.get("status") == "healthy" and "cache_utilization_pct" in found


async def operational(endpoint: Endpoint, path: str) -> Mapping[str, object] | None:
    """The JSON object that the endpoint has under a path outside of S3; None for any other answer."""
    if endpoint.url is None:
        return None
    tls = ssl.create_default_context(cafile=endpoint.ca_bundle) if endpoint.ca_bundle is not None else None
    kind = kind_of(endpoint.settings(Path()))
    async with open_session(kind, connections=1, idle=1.0, tls=tls) as session:
        try:
            async with (
                session.get(
                    endpoint.url + path, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=_PATIENCE)
                ) as answer,
            ):
                found = orjson.loads(await answer.content.read(1 << 16)) if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError):
            return None  # whatever is wrong there, the first S3 request finds out and tells
    return found if isinstance(found, dict) else None
