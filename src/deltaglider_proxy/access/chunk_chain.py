"""The chain of signatures over the chunks of one `aws-chunked` body: each covers its chunk and the signature before.

Source: AWS documentation, "Signature calculations for the authorization header: transferring payload in multiple
chunks", and the page on trailing checksums.
"""

import hashlib
import hmac

from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.sigv4 import Verified

_EMPTY = hashlib.sha256(b"").hexdigest().encode()


class ChunkChain:
    """Feed a chunk by `update`, then check it by `finish_chunk`; bytes handed on earlier are unverified until then."""

    def __init__(self, seed: Verified) -> None:
        self._previous = seed.signature
        self._key = seed.signing_key
        self._scope = seed.timestamp + b"\n" + seed.scope + b"\n"
        self._hash = hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)

    def finish_chunk(self, signature: bytes) -> None:
        """Raises AccessError(BAD_SIGNATURE)."""
        digest = self._hash.hexdigest().encode()
        self._hash = hashlib.sha256()
        self._check(b"AWS4-HMAC-SHA256-PAYLOAD\n", _EMPTY + b"\n" + digest, signature)

    def finish_trailer(self, canonical: bytes, signature: bytes) -> None:
        """`canonical`: a line `name:value` with LF for each trailer. Raises AccessError(BAD_SIGNATURE)."""
        digest = hashlib.sha256(canonical).hexdigest().encode()
        self._check(b"AWS4-HMAC-SHA256-TRAILER\n", digest, signature)

    def _check(self, algorithm: bytes, digests: bytes, signature: bytes) -> None:
        to_sign = algorithm + self._scope + self._previous + b"\n" + digests
        expected = hmac.digest(self._key, to_sign, "sha256").hex().encode()
        if not hmac.compare_digest(expected, signature):
            raise AccessError(
                Reason.BAD_SIGNATURE,
                "The signature of a chunk does not match.",
                {"StringToSign": to_sign.decode("latin-1")},
            )
        self._previous = expected
