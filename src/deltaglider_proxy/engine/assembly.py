"""Making one container of the records of others, which keep their bytes: only numbers and offsets change."""

from dataclasses import replace

from deltaglider_proxy.codecs import container
from deltaglider_proxy.codecs.container import FRAME_SIZE, HEADER_SIZE, Codec, Frame, Index, Reference, digest
from deltaglider_proxy.engine.decoder import Layout
from deltaglider_proxy.storage.backend import Reader, Writer


class Assembly:
    """Writes a container to `writer`, which the caller commits or aborts."""

    def __init__(self, writer: Writer, object_id: str) -> None:
        self._writer = writer
        self._object_id = object_id
        self._references: list[Reference] = []
        self._frames: list[Frame] = []
        self._size = 0

    async def begin(self) -> None:
        await self._write(container.header(self._object_id))

    async def add_container(self, reader: Reader, layout: Layout) -> None:
        """All records of a container, as they are."""
        shift = self._size - HEADER_SIZE
        first = len(self._references)
        self._references += layout.index.references
        for frame in layout.index.frames:
            number = frame.reference + first if frame.reference is not None else None
            self._frames.append(replace(frame, reference=number, offset=frame.offset + shift))
        async for chunk in reader.chunks(HEADER_SIZE, layout.records_end):
            await self._write(chunk)

    async def add_plain(self, reader: Reader) -> None:
        """An object that is stored as it is, as raw frames."""
        for start in range(0, reader.stored.size, FRAME_SIZE):
            data = await reader.read(start, min(start + FRAME_SIZE, reader.stored.size))
            frame = Frame(Codec.RAW, len(data), len(data), digest(data))
            head = container.frame_head(frame)
            self._frames.append(replace(frame, offset=self._size + len(head)))
            await self._write(head)
            await self._write(data)

    async def finish(self) -> int:
        """Write the index; returns the size of the whole."""
        index = Index(self._object_id, tuple(self._references), tuple(self._frames))
        await self._write(container.closing(index, self._size))
        return self._size

    async def _write(self, data: bytes) -> None:
        await self._writer.write(data)
        self._size += len(data)
