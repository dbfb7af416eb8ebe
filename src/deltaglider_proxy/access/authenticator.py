"""Turns a request into an identity: signatures, the replay window, the limit on failures, and open mode in one call."""

from dataclasses import dataclass
from typing import Final

import structlog

from deltaglider_proxy.access.client_address import Address, customer
from deltaglider_proxy.access.errors import GUESSES, AccessError, Reason
from deltaglider_proxy.access.failure_limit import FailureLimit, Standing
from deltaglider_proxy.access.identity import OPEN, Credentials, Identity
from deltaglider_proxy.access.replay import ReplayWindow, Sight
from deltaglider_proxy.access.sigv4 import Headers, Verified, is_signed, verify_form, verify_request
from deltaglider_proxy.access.state import AccessState, Mode

_log = structlog.get_logger("deltaglider_proxy.access")


@dataclass(slots=True)
class Caller:
    identity: Identity
    signature: Verified | None = None
    """None: nothing was signed, or, in open mode, nothing was checked."""

    @property
    def anonymous(self) -> bool:
        return self.identity.anonymous


@dataclass(slots=True)
class Moment:
    """When and from where somebody asks. As `Context`, it is not frozen because every request makes one."""

    now: float
    """Wall clock, seconds since the epoch."""
    monotonic: float
    address: Address | None = None
    """Of the client, as far as it is known."""


_OPEN = Caller(OPEN)
_REPEATABLE = frozenset({"GET", "HEAD"})
_NOTEWORTHY: Final = 3
"""The failure of an address from which on they are logged."""


class Authenticator:
    """Every call is told by which state of users and keys it is to judge. `skew` in seconds; without `replay` a
    signature counts as often as it comes, and without `failures` everyone may fail as often as they like. `accounts`
    counts wrong signatures by access key, from wherever they come: answers to them are held back and the owner of the
    key, whom guesses must not lock out, never waits.
    """

    def __init__(
        self,
        skew: float = 300.0,
        replay: ReplayWindow | None = None,
        failures: FailureLimit | None = None,
        accounts: FailureLimit | None = None,
    ) -> None:
        self._skew = skew
        self._replay = replay
        self._failures = failures
        self._accounts = accounts

    def request(
        self, state: AccessState, method: str, raw_path: bytes, query: bytes, headers: Headers, at: Moment
    ) -> Caller:
        """Who sent it; anonymous if it is unsigned. Raises AccessError.

        In open mode signatures are not looked at, for every SDK signs with some key. A presigned URL may be used again
        as often as its owner likes; another signed change counts once.
        """
        if state.mode is Mode.OPEN:
            return _OPEN
        credentials = _credentials(state)
        if not is_signed(query, headers):
            return Caller(state.anonymous)
        suspect = self._refuse_locked(at)
        try:
            signature = verify_request(method, raw_path, query, headers, credentials, at.now, self._skew)
        except AccessError as error:
            self._count_failure(error, at)
            raise
        self._forgive(suspect)
        if method not in _REPEATABLE and not signature.presigned:
            self._refuse_replay(signature, at)
        return Caller(credentials.identity_for(signature.access_key), signature)

    def stranger(self, state: AccessState) -> Caller:
        """Somebody whom admission lets in without asking who it is. Raises AccessError."""
        if state.mode is not Mode.OPEN:
            _credentials(state)
        return Caller(state.anonymous)

    def form(self, state: AccessState, fields: dict[str, str], at: Moment) -> Caller:
        """Who signed the policy of a browser form. Raises AccessError."""
        if state.mode is Mode.OPEN:
            return _OPEN
        credentials = _credentials(state)
        suspect = self._refuse_locked(at)
        try:
            signature = verify_form(fields, credentials, at.now)
        except AccessError as error:
            self._count_failure(error, at)
            raise
        self._forgive(suspect)
        return Caller(credentials.identity_for(signature.access_key), signature)

    def _refuse_replay(self, signature: Verified, at: Moment) -> None:
        if self._replay is None:
            return
        match self._replay.look(signature.signature + signature.access_key.encode(), at.monotonic):
            case Sight.FIRST:
                return
            case Sight.AGAIN:
                message = "The same signed request was received a moment ago; sign it anew."
                raise AccessError(Reason.REPLAYED, message)
            case Sight.NO_ROOM:
                raise AccessError(Reason.CROWDED, "Too many signed changes arrive at once; try again.")

    def _refuse_locked(self, at: Moment) -> bytes | None:
        """Before the signature is looked at: whether the next guess was right is not to be learnt. The name of who has
        failed before.
        """
        if self._failures is None:
            return None
        name = _name(at)
        seconds = self._failures.locked_for(name, at.monotonic)
        if seconds:
            error = AccessError(Reason.LOCKED_OUT, "Too many requests from this address failed to authenticate.")
            error.retry_after = seconds
            raise error
        return None if seconds is None else name

    def _count_failure(self, error: AccessError, at: Moment) -> None:
        if error.reason not in GUESSES:
            return
        if self._failures is not None:
            standing = self._failures.failed(_name(at), at.monotonic)
            event = "brute_force_lockout" if standing.locked else "repeated_auth_failure"
            self._note(event, standing, error, at)
        guessed = error.details.get("AWSAccessKeyId")
        if self._accounts is not None and guessed is not None and error.reason is Reason.BAD_SIGNATURE:
            standing = self._accounts.failed(b"s3:" + guessed.encode(), at.monotonic)
            self._note("repeated_account_failure", standing, error, at)

    def _note(self, event: str, standing: Standing, error: AccessError, at: Moment) -> None:
        error.delay = max(error.delay, standing.delay)
        if standing.failures >= _NOTEWORTHY:
            attempts, reason = standing.failures, str(error.reason)
            _log.warning(f"SECURITY | event={event}", ip=str(at.address), attempts=attempts, reason=reason)

    def _forgive(self, suspect: bytes | None) -> None:
        if self._failures is not None and suspect is not None:
            self._failures.succeeded(suspect)


def _credentials(state: AccessState) -> Credentials:
    """Raises AccessError while the database is locked: then nobody is served, not even those who need not be known."""
    if state.credentials is None:
        raise AccessError(Reason.LOCKED_DATABASE, "The users of this server cannot be read. Try again later.")
    return state.credentials


def _name(at: Moment) -> bytes:
    """Under what failures are counted; those without an address share one."""
    return customer(at.address) if at.address is not None else b""
