"""Whoever guesses is told to wait: by address, and by the account that is guessed.

An account that strangers have locked still opens to its owner, from an address where they signed in lately. Failures of
the two together are counted apart, so that whoever has another account at that address cannot go on for ever by
signing in to it now and then.
"""

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import structlog

from deltaglider_proxy.access.client_address import Address, customer
from deltaglider_proxy.access.failure_limit import FailureLimit
from deltaglider_proxy.access.known_addresses import KnownAddresses
from deltaglider_proxy.admin.password_checks import PasswordChecks
from deltaglider_proxy.admin.problems import ApiError

_log = structlog.get_logger("deltaglider_proxy.admin")

_NOTEWORTHY = 3


class Throttle:
    """For one attempt to sign in."""

    def __init__(
        self,
        addresses: FailureLimit,
        accounts: FailureLimit,
        known: KnownAddresses,
        prefix: str,
        address: Address | None,
        account: str,
        monotonic: float,
    ) -> None:
        """`prefix` names the surface in the log. Raises ApiError(429) for who must wait."""
        self._addresses = addresses
        self._accounts = accounts
        self._known = known
        self._prefix = prefix
        self._address = address
        self._name = customer(address) if address is not None else b"0.0.0.0"
        self._account = account.encode() if account else b""
        self._pair = self._name + b"|" + self._account
        self._monotonic = monotonic
        for limit, name, scope in self._counted():
            seconds = limit.locked_for(name, monotonic)
            if seconds and not (scope == "account" and known.knows(self._pair, monotonic)):
                self._say("blocked", scope, 0)
                raise ApiError(
                    429,
                    "too_many_failures",
                    "too many failed attempts; try again later",
                    headers={"retry-after": str(math.ceil(seconds))},
                )

    def _counted(self) -> Iterator[tuple[FailureLimit, bytes, str]]:
        yield self._addresses, self._name, "ip"
        if self._account:
            yield self._accounts, self._account, "account"
            yield self._accounts, self._pair, "account at this ip"

    @asynccontextmanager
    async def while_checked(self, checks: PasswordChecks) -> AsyncIterator[None]:
        """Around a check that takes its time. It counts as failed until `succeeded` is called, or those that come
        meanwhile would not be held to the limit. Raises ApiError(503).
        """
        if checks.crowded:
            raise ApiError(
                503,
                "too_many_sign_ins",
                "too many passwords are checked at once; try again in a moment",
                headers={"retry-after": "2"},
            )
        self.failed()
        async with checks.turn():
            yield

    def failed(self) -> None:
        for limit, name, scope in self._counted():
            standing = limit.failed(name, self._monotonic)
            if standing.locked or standing.failures >= _NOTEWORTHY:
                self._say("lockout" if standing.locked else "failure", scope, standing.failures)

    def succeeded(self) -> None:
        for limit, name, _ in self._counted():
            limit.succeeded(name)
        if self._account:
            self._known.note(self._pair, self._monotonic)

    def _say(self, what: str, scope: str, attempts: int) -> None:
        event = f"{self._prefix}_brute_force_{what}"
        _log.warning(f"SECURITY | event={event}", scope=scope, ip=str(self._address), attempts=attempts)
