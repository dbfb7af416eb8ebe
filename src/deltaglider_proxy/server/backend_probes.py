"""Asking backends, for the admin API."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from deltaglider_proxy.admin.ports import BackendHealth, ServiceTest
from deltaglider_proxy.server.data_plane import DataPlane
from deltaglider_proxy.server.storage import Service
from deltaglider_proxy.storage.backends.s3.answers import Busy
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.documents import Malformed
from deltaglider_proxy.storage.backends.s3.settings import KeyPair, S3Settings, endpoint_of
from deltaglider_proxy.storage.backends.s3.verdicts import Verdicts
from deltaglider_proxy.storage.errors import Away, Denied, StorageError
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool

_PATIENCE: Final = 10.0


class BackendProbes:
    def __init__(self, plane: Callable[[], DataPlane], pool: Pool, clock: Clock) -> None:
        self._plane = plane
        self._pool = pool
        self._clock = clock

    async def probe(self, name: str) -> BackendHealth:
        return await self._plane().health(name)

    async def test(self, fields: Mapping[str, object]) -> ServiceTest:
        """List the buckets of a service; what is not given is that of the first service backend, if there is one."""
        settings = self._settings(fields)
        try:
            endpoint_of(settings)
        except ValueError as error:
            return ServiceTest(error=str(error), error_kind="unknown")
        backend = S3Backend(settings, self._pool, self._clock, Verdicts())
        try:
            async with asyncio.timeout(_PATIENCE):
                return ServiceTest([info.name for info in await backend.buckets()])
        except TimeoutError:
            return ServiceTest(error=f"no answer within {_PATIENCE:.0f} s", error_kind="timeout")
        except StorageError as error:
            return ServiceTest(error=str(error), error_kind=_kind(error))
        finally:
            await backend.close()

    def _settings(self, fields: Mapping[str, object]) -> S3Settings:
        storage = self._plane().settings.storage
        found = next((backend for backend in storage.backends if isinstance(backend, Service)), None)
        base = found.settings if found is not None else S3Settings(self._plane().settings.run_dir / "locks")
        key_id, secret = fields.get("access_key_id"), fields.get("secret_access_key")
        pair = KeyPair(key_id, secret) if isinstance(key_id, str) and isinstance(secret, str) else base.key_pair
        endpoint, region = fields.get("endpoint"), fields.get("region")
        path_style, local = fields.get("force_path_style"), fields.get("allow_local")
        return replace(
            base,
            endpoint=endpoint if isinstance(endpoint, str) else base.endpoint,
            region=region if isinstance(region, str) else base.region,
            path_style=path_style if isinstance(path_style, bool) else base.path_style,
            key_pair=pair,
            allow_local=local if isinstance(local, bool) else base.allow_local,
            name="test",
        )


def _kind(error: StorageError) -> str:
    said, cause = str(error), error.__cause__
    if (isinstance(error, Denied) and "key pair" in said) or said.startswith("AWS credentials"):
        return "credentials"
    if isinstance(cause, TimeoutError):
        return "timeout"
    if isinstance(error, Away) or isinstance(cause, OSError):
        return "connection"
    # Lost on the way, as when the service hangs up; what it says itself has no cause.
    lost = isinstance(error, Busy) and cause is not None and not isinstance(cause, Malformed)
    return "connection" if lost else "unknown"
