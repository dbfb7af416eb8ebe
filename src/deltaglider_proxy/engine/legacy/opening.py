"""Opening what a key holds in a bucket that may have objects of the older layout."""

from dataclasses import dataclass

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.legacy import resolve
from deltaglider_proxy.engine.legacy.kept import Kept
from deltaglider_proxy.engine.legacy.metadata import Record, Role
from deltaglider_proxy.engine.legacy.reader import Delta, Plain
from deltaglider_proxy.engine.legacy.resolve import Found
from deltaglider_proxy.engine.model import ObjectInfo
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Reader

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Opened:
    """One generation of an object of the older layout; the caller closes both."""

    reader: Reader
    info: ObjectInfo
    source: Plain | Delta | None
    """None: the reader itself."""


class Legacy:
    """What older proxies left, for readers."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._kept = Kept(ctx)

    async def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """None if the key holds an object in our own layout. Raises NoSuchKey if it holds nothing."""
        found = await self._find(bucket, key)
        return None if found.ours else found.describe()

    async def open(self, bucket: str, key: str) -> Opened | None:
        """As `head`. Raises Unsupported, too, if the object is encrypted."""
        for _ in range(_ATTEMPTS):
            found = await self._find(bucket, key)
            if found.ours:
                return None
            try:
                reader = await self._ctx.backend.open(bucket, found.stored.key)
            except storage.NoSuchKey:
                continue  # deleted, or replaced by an object in our own layout
            try:
                # Bytes and metadata of one generation: those of what is open now.
                now = resolve.place(self._ctx, bucket, reader.stored, resolve.attribute_of(reader))
                if now.key == key and not now.ours:
                    return Opened(reader, now.describe(), self._source(bucket, reader, now.record))
            except BaseException:
                await reader.close()
                raise
            await reader.close()
        raise errors.Unavailable("the object changes faster than it can be opened")

    async def _find(self, bucket: str, key: str) -> Found:
        found = await resolve.find(self._ctx, bucket, key)
        if found is None:
            await self._ctx.backend.bucket(bucket)
            raise errors.NoSuchKey(key)
        return found

    def _source(self, bucket: str, reader: Reader, record: Record | None) -> Plain | Delta | None:
        if record is None:
            return None
        if record.encryption:
            raise errors.Unsupported(
                f"{reader.stored.key} is encrypted ({record.encryption}) with the key "
                f"{record.key_id or '(not named)'}, and this release cannot decrypt the older layout"
            )
        if record.role is Role.DELTA:
            return Delta(self._ctx, self._kept, bucket, reader, record)
        return Plain(self._ctx, reader, record)
