"""`s3 verify`: read objects whole, and compare them with what is known of their bytes.

Of a delta everything is known: each frame carries a digest, and so does the piece of the reference that it needs. What
is stored as it is, is compared with its ETag, by part if it was uploaded in parts, or with the checksum that its
uploader gave. What another program left without any of these cannot be verified.
"""

import base64
import hashlib
from collections.abc import Sequence

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.cli.s3.failures import KNOWN, code_of, said
from deltaglider_proxy.cli.s3.filters import Filters
from deltaglider_proxy.cli.s3.locations import Remote
from deltaglider_proxy.cli.s3.stores import Store
from deltaglider_proxy.cli.s3.transfer import entries_of
from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.digests import BodyDigests
from deltaglider_proxy.engine.model import ChecksumType, Kind, ObjectInfo


async def run(store: Store, place: Remote, *, recursive: bool) -> int:
    """The worst outcome is the command's."""
    if not recursive:
        return await _verify(store, place)
    worst = ExitCode.OK
    async for entry in entries_of(store, place, Filters()):
        worst = max(worst, await _verify(store, place.named(place.folder + entry.relative)))
    return worst


async def _verify(store: Store, place: Remote) -> ExitCode:
    try:
        info = await store.head(place.bucket, place.key)
        checks = _Checks(info)
        async for piece in store.read(place.bucket, place.key):
            checks.add(piece)
        wrong = checks.wrong()
        if wrong is not None:
            raise errors.Corrupt(wrong)
        known = info.kind is Kind.DELTA or checks.any or await store.is_compared(place.bucket, place.key)
    except errors.Corrupt as error:
        say(f"MISMATCH: {place}: {error}")
        return ExitCode.INTEGRITY
    except KNOWN as error:
        say(f"error: {place}: {said(error)}")
        return code_of(error)
    sums = f"(sha256={checks.sha256}, size={checks.size})"
    if not known:
        say(f"UNVERIFIABLE: {place}: the service tells nothing that its bytes could be compared with {sums}")
        return ExitCode.REJECTED
    result(f"OK: {place} {sums}\n")
    return ExitCode.OK


class _Checks:
    """What the description of an object says about its bytes, beside what reading them compares already."""

    def __init__(self, info: ObjectInfo) -> None:
        self._info = info
        self._parts = PartsEtag(info.part_sizes) if info.part_sizes else None
        checksum = info.checksum
        self._checksum = checksum if checksum is not None and checksum.type is ChecksumType.FULL_OBJECT else None
        self._algorithm = self._checksum.algorithm.value.lower() if self._checksum is not None else "sha256"
        self._digests = BodyDigests({"sha256", self._algorithm})
        self.size = 0
        self.sha256 = ""

    def add(self, piece: bytes | memoryview) -> None:
        self._digests.add(piece)
        self.size += len(piece)
        if self._parts is not None:
            self._parts.add(piece)

    @property
    def any(self) -> bool:
        return self._parts is not None or self._checksum is not None

    def wrong(self) -> str | None:
        """What is not as it should be, after the last piece."""
        found = self._digests.results()
        self.sha256 = found["sha256"].hex()
        if self.size != self._info.size:
            return f"expected {self._info.size} bytes, observed {self.size}"
        if self._parts is not None and (etag := self._parts.etag()) != self._info.etag:
            return f"expected ETag {self._info.etag}, observed {etag}, {self.size} bytes"
        if self._checksum is not None:
            observed = base64.b64encode(found[self._algorithm]).decode()
            if observed != self._checksum.value:
                expected = f"{self._checksum.algorithm} {self._checksum.value}"
                return f"expected {expected}, observed {observed}, {self.size} bytes"
        return None


class PartsEtag:
    """The ETag of a multipart upload: the MD5 of the MD5s of its parts."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._left = list(reversed(sizes))
        self._count = len(sizes)
        self._all = hashlib.md5(usedforsecurity=False)
        self._part = hashlib.md5(usedforsecurity=False)

    def add(self, piece: bytes | memoryview) -> None:
        view = memoryview(piece)
        while self._left and view:
            taken = view[: self._left[-1]]
            self._part.update(taken)
            self._left[-1] -= len(taken)
            view = view[len(taken) :]
            self._end_full()

    def _end_full(self) -> None:
        while self._left and self._left[-1] == 0:
            self._left.pop()
            self._all.update(self._part.digest())
            self._part = hashlib.md5(usedforsecurity=False)

    def etag(self) -> str:
        self._end_full()
        return f"{self._all.hexdigest()}-{self._count}"
