"""Who we are at the service: the configured key pair, or whatever botocore finds where AWS programs look.

botocore's chain reads files and asks metadata services, and refreshes what expires, all of it blocking: it runs in the
pool, and is asked again no more than once a minute.
"""

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from deltaglider_proxy.storage.backends.s3.settings import KeyPair
from deltaglider_proxy.storage.backends.s3.signing import Credentials
from deltaglider_proxy.storage.errors import Unavailable
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool

if TYPE_CHECKING:
    from botocore.session import Session

_FRESH: Final = 60.0


class CredentialSource(Protocol):
    async def current(self) -> Credentials:
        """Raises Unavailable if there are none."""
        ...


class Configured:
    """A fixed key pair."""

    def __init__(self, pair: KeyPair) -> None:
        self._credentials = Credentials(pair.access_key_id, pair.secret_access_key, pair.session_token)

    async def current(self) -> Credentials:
        return self._credentials


class Chain:
    """botocore's own chain: environment, files, web identity, container and instance metadata."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._session: Session | None = None
        self._known: tuple[float, Credentials] | None = None
        self._asking = asyncio.Lock()

    async def current(self) -> Credentials:
        async with self._asking:
            if self._known is None or self._clock.monotonic() - self._known[0] >= _FRESH:
                self._known = (self._clock.monotonic(), await self._pool.run(self._find))
            return self._known[1]

    def _find(self) -> Credentials:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        try:
            self._session = self._session or Session()
            found = self._session.get_credentials()
            frozen = found.get_frozen_credentials() if found is not None else None
        except BotoCoreError as error:
            raise Unavailable(f"AWS credentials: {error}") from error
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise Unavailable(
                "AWS credentials: none are configured and none were found; set access_key_id and secret_access_key, "
                "or provide them where AWS programs look"
            )
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


def source_of(pair: KeyPair | None, pool: Pool, clock: Clock) -> CredentialSource:
    return Configured(pair) if pair is not None else Chain(pool, clock)
