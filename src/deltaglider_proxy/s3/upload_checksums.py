"""What multipart uploads were begun with, so that a part need not ask the storage for it.

It is fixed when an upload begins, so a worker keeps what it has seen; the records in the storage remain the truth for
whoever has not.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from deltaglider_proxy.engine.model import PartInfo, UploadInfo
from deltaglider_proxy.s3.protocol.checksums import UploadChecksum

_Upload = tuple[str, str, str]
"""Bucket, key and id."""


class Records(Protocol):
    async def list_parts(
        self, bucket: str, key: str, upload_id: str, after: int = 0, limit: int = 1000
    ) -> tuple[UploadInfo, Sequence[PartInfo], bool]: ...


class UploadChecksums:
    """Of at most `capacity` uploads; those that were asked for least recently are forgotten first."""

    def __init__(self, store: Records, capacity: int = 4096) -> None:
        self._store = store
        self._capacity = capacity
        self._known: OrderedDict[_Upload, UploadChecksum | None] = OrderedDict()

    async def of(self, bucket: str, key: str, upload_id: str) -> UploadChecksum | None:
        """None for an upload without checksums. Raises NoSuchUpload, but not for one that has ended since."""
        upload = (bucket, key, upload_id)
        if upload not in self._known:
            info, _, _ = await self._store.list_parts(bucket, key, upload_id, 0, 0)
            algorithm, kind = info.checksum_algorithm, info.checksum_type
            begun = UploadChecksum(algorithm.value, kind.value) if algorithm is not None and kind is not None else None
            self.note(bucket, key, upload_id, begun)
        self._known.move_to_end(upload)
        return self._known[upload]

    def note(self, bucket: str, key: str, upload_id: str, checksum: UploadChecksum | None) -> None:
        """An upload has begun."""
        self._known[bucket, key, upload_id] = checksum
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
