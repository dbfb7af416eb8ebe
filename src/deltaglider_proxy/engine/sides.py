"""Side objects: what does not fit beside the bytes of an object, or is known only after them. See `engine.marks`."""

from deltaglider_proxy.engine import errors, internal, marks
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.marks import Mark
from deltaglider_proxy.storage import errors as storage


async def read(ctx: Context, bucket: str, mark: Mark | None) -> bytes | None:
    """The content of the side object that the mark names, if it names one. Raises Corrupt if that is gone."""
    if mark is None or mark.side is None:
        return None
    try:
        return await internal.read(ctx, bucket, marks.side_key(mark.side))
    except storage.NoSuchKey as error:
        raise errors.Corrupt("the metadata beside an object is missing") from error
