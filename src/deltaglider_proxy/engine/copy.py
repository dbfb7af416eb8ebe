"""Copying an object: within a bucket as it is stored where that is allowed, else decoded and stored anew.

A container may move only where its references are, and only while a fresh choice shows them unmarked; otherwise
garbage collection could miss the copy.
"""

import base64
from dataclasses import replace

from deltaglider_proxy.engine import errors, marks, names, references
from deltaglider_proxy.engine.assembly import Assembly
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.decoder import Layout
from deltaglider_proxy.engine.get import Getter, OpenObject
from deltaglider_proxy.engine.marks import Mark
from deltaglider_proxy.engine.model import (
    Attributes,
    Body,
    Checksum,
    ChecksumAlgorithm,
    Digests,
    ObjectInfo,
    Precondition,
)
from deltaglider_proxy.engine.put import Putter, Target
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import IfMatch, Piece, Stored, Writer

Location = tuple[str, str]
"""Bucket and key."""

_ATTEMPTS = 5


class Copier:
    def __init__(self, ctx: Context, getter: Getter, putter: Putter) -> None:
        self._ctx = ctx
        self._getter = getter
        self._putter = putter

    async def copy(
        self,
        source: Location,
        target: Location,
        attributes: Attributes | None,
        source_precondition: Precondition | None,
        precondition: Precondition | None,
        checksum: ChecksumAlgorithm | None,
    ) -> ObjectInfo:
        for _ in range(_ATTEMPTS):
            opened = await self._getter.open(*source)
            try:
                info = opened.info
                if source_precondition is not None:
                    source_precondition(info)
                if info.size > self._ctx.settings.max_object_size:
                    raise errors.TooLarge(info.size, self._ctx.settings.max_object_size)
                kept = attributes or Attributes(info.headers, info.user_metadata)
                if source[0] == target[0] and info.object_id and checksum is None and "-" not in info.etag:
                    try:
                        done = await self._as_stored(opened, source, target, kept, precondition)
                    except storage.Changed:
                        continue
                    if done is not None:
                        return done
                return await self._anew(opened, target, kept, precondition, checksum)
            finally:
                await opened.close()
        raise errors.Unavailable("the source changes faster than it can be copied")

    async def _as_stored(
        self,
        opened: OpenObject,
        source: Location,
        target: Location,
        attributes: Attributes,
        precondition: Precondition | None,
    ) -> ObjectInfo | None:
        """None if the container must not move. Raises storage.Changed if the source is another object meanwhile."""
        ctx = self._ctx
        info = opened.info
        try:
            permit = await references.Permit.ask(ctx, source[0], opened.reference_names)
        except references.Condemned:
            return None
        now = round(ctx.clock.now() * 1000)
        mark = Mark(names.random_id(), info.kind, info.size, info.etag, now, info.checksum)
        place = Target(target[0], names.to_storage(target[1]), attributes, precondition, mark.object_id)
        if opened.layout is not None:
            try:
                stored = await self._move_container(opened, opened.layout, place, mark, permit)
            except references.Condemned:
                return None
        else:
            stored = await self._compose(source, place, info, mark)
        ctx.events.decision(mark.kind, info.size, stored.size)
        return replace(marks.describe(stored, target[1]), checksum=info.checksum)

    async def _move_container(
        self, opened: OpenObject, layout: Layout, place: Target, mark: Mark, permit: references.Permit
    ) -> Stored:
        """The same records under a new object id."""

        async def fill(writer: Writer) -> None:
            assembly = Assembly(writer, place.object_id)
            await assembly.begin()
            await assembly.add_container(opened.reader, layout)
            await assembly.finish()

        return await self._putter.write(place, mark, opened.info.stored_size, fill, permit)

    async def _compose(self, source: Location, place: Target, info: ObjectInfo, mark: Mark) -> Stored:
        pieces = [Piece(names.to_storage(source[1]), 0, info.stored_size)]
        return await self._putter.compose(place, mark, pieces, IfMatch(info.generation))

    async def _anew(
        self,
        opened: OpenObject,
        target: Location,
        attributes: Attributes,
        precondition: Precondition | None,
        algorithm: ChecksumAlgorithm | None,
    ) -> ObjectInfo:
        wanted = algorithm.value.lower() if algorithm is not None else None

        def keep(digests: Digests, size: int) -> Checksum | None:
            if size != opened.info.size:
                raise errors.Corrupt("the source ended early")
            if algorithm is None or wanted is None:
                return None
            return Checksum(algorithm, base64.b64encode(digests[wanted]).decode())

        body = Body(
            opened.stream(0, opened.info.size),
            opened.info.size,
            frozenset({wanted} if wanted is not None else ()),
            keep,
            trailing=wanted is not None,
        )
        return await self._putter.put(target[0], target[1], body, attributes, precondition)
