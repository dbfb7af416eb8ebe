"""Turns a request into an identity: signatures, the replay window and open mode behind one call."""

from dataclasses import dataclass

from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.identity import ANONYMOUS, OPEN, Credentials, Identity
from deltaglider_proxy.access.replay import ReplayWindow
from deltaglider_proxy.access.sigv4 import Headers, Verified, verify_form, verify_request


@dataclass(frozen=True, slots=True)
class Caller:
    identity: Identity
    signature: Verified | None = None
    """None: nothing was signed, or, in open mode, nothing was checked."""


_ANONYMOUS = Caller(ANONYMOUS)
_OPEN = Caller(OPEN)
_REPEATABLE = frozenset({"GET", "HEAD"})


class Authenticator:
    """Without credentials the door is open: everyone is administrator and signatures are not looked at, for every SDK
    signs with some key. `skew` in seconds.
    """

    def __init__(
        self, credentials: Credentials | None, skew: float = 300.0, replay: ReplayWindow | None = None
    ) -> None:
        self._credentials = credentials
        self._skew = skew
        self._replay = replay if replay is not None else ReplayWindow(2.0)

    @property
    def is_open(self) -> bool:
        return self._credentials is None

    def request(
        self, method: str, raw_path: bytes, query: bytes, headers: Headers, now: float, monotonic: float
    ) -> Caller:
        """Who sent it; anonymous if it is unsigned. Raises AccessError.

        A presigned URL may be used again as often as its owner likes; another signed change counts once.
        """
        if self._credentials is None:
            return _OPEN
        signature = verify_request(method, raw_path, query, headers, self._credentials, now, self._skew)
        if signature is None:
            return _ANONYMOUS
        if method not in _REPEATABLE and not signature.presigned:
            mark = signature.signature + signature.access_key.encode()
            if not self._replay.is_first(mark, monotonic):
                raise AccessError(Reason.REPLAYED, "The same signed request was received a moment ago; sign it anew.")
        return Caller(self._credentials.identity_for(signature.access_key), signature)

    def form(self, fields: dict[str, str]) -> Caller:
        """Who signed the policy of a browser form. Raises AccessError."""
        if self._credentials is None:
            return _OPEN
        signature = verify_form(fields, self._credentials)
        return Caller(self._credentials.identity_for(signature.access_key), signature)
