"""Moving objects between places, one at a time or many. A download appears whole or not at all."""

import mimetypes
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result
from deltaglider_proxy.cli.s3.failures import Tally
from deltaglider_proxy.cli.s3.filters import Filters
from deltaglider_proxy.cli.s3.lanes import Lanes
from deltaglider_proxy.cli.s3.locations import BadArgument, Location, Remote, inside
from deltaglider_proxy.cli.s3.progress import Meter
from deltaglider_proxy.cli.s3.stores import Store
from deltaglider_proxy.engine.family import deltaspace_of
from deltaglider_proxy.engine.model import Attributes, ObjectInfo
from deltaglider_proxy.storage.errors import Changed

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """What the verbs that change something share."""

    filters: Filters = field(default_factory=Filters)
    dry_run: bool = False
    quiet: bool = False
    concurrency: int = 4
    as_stored: bool = True
    """Copies within an endpoint may keep the form in which the source is stored."""
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that can be transferred, by its name below where the walk began."""

    relative: str
    size: int
    modified: float | None
    """Seconds since the epoch; None: unknown."""
    etag: str = ""


async def entries_of(store: Store, place: Location, filters: Filters) -> AsyncIterator[Entry]:
    """Sorted by name, as keys are. Raises OSError where a folder cannot be read."""
    if isinstance(place, Path):
        for entry in _files_below(place, filters):
            yield entry
        return
    prefix, after, more = place.folder, "", True
    while more:
        page = await store.list(place.bucket, prefix, after)
        for found in page.entries:
            assert isinstance(found, ObjectInfo)
            after = found.key
            relative = found.key[len(prefix) :]
            if relative and filters.passes(relative):
                yield Entry(relative, found.size, found.modified, found.etag)
        more = page.truncated


def _files_below(folder: Path, filters: Filters) -> Iterator[Entry]:
    """Regular files; links are not followed."""

    def failed(error: OSError) -> None:
        raise error

    found = []
    for root, _, names in os.walk(folder, onerror=failed):
        for name in names:
            path = Path(root) / name
            relative = path.relative_to(folder).as_posix()
            if not path.is_symlink() and path.is_file() and filters.passes(relative):
                facts = path.stat()
                found.append(Entry(relative, facts.st_size, facts.st_mtime))
    yield from sorted(found, key=lambda entry: entry.relative)


def named(place: Location, relative: str) -> Location:
    """What stands for a name below a place. Raises BadArgument for one that would leave a folder, or is no text."""
    if isinstance(place, Path):
        return inside(place, relative)
    try:
        relative.encode()
    except UnicodeEncodeError:
        raise BadArgument(f"the name {os.fsencode(relative)!r} is no UTF-8, which keys are", ExitCode.IO) from None
    return place.named(place.folder + relative)


class Mover:
    """Moves one thing after another, tells it, and counts what became of it."""

    def __init__(self, store: Store, options: Options, meter: Meter) -> None:
        self._store = store
        self._options = options
        self._meter = meter
        self.tally = Tally()

    @staticmethod
    def lane(target: Location) -> str:
        """Equal for what must not be moved at the same time."""
        return deltaspace_of(target.key, by_prefix=False) if isinstance(target, Remote) else str(target)

    async def start(self, lanes: Lanes, source: Location, target: Location, entry: Entry) -> None:
        """Move what lies below one place to below another, when its turn comes."""
        with self.tally.telling(entry.relative):
            here, there = named(source, entry.relative), named(target, entry.relative)
            await lanes.start(self.lane(there), lambda: self.move(here, there, entry.size))

    async def move(self, source: Location, target: Location, size: int | None = None) -> None:
        what, work = self._way(source, target)
        if not self._options.quiet:
            result(f"{'(dryrun) ' if self._options.dry_run else ''}{what}: {source} to {target}\n")
        with self.tally.item(str(source)):
            if not self._options.dry_run:
                await work(size)

    def _way(self, source: Location, target: Location) -> tuple[str, Callable[[int | None], Awaitable[None]]]:
        match source, target:
            case Path(), Remote():
                return "upload", lambda _: self._upload(source, target)
            case Remote(), Path():
                return "download", lambda size: self._download(source, target, size)
            case Remote(), Remote():
                return "copy", lambda _: self._copy(source, target)
            case _:
                raise BadArgument("one of the two must be an s3:// URL")

    async def _upload(self, source: Path, target: Remote) -> None:
        options = self._options
        guessed = options.content_type or mimetypes.guess_type(source.name)[0]
        attributes = Attributes({"content-type": guessed} if guessed else {}, options.metadata)
        with source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            with self._meter.bar(source.name, size) as advance:
                pieces = pieces_of(file.read, size, str(source), advance)
                await self._store.put(target.bucket, target.key, pieces, size, attributes)

    async def upload_stdin(self, target: Remote) -> None:
        options = self._options
        attributes = Attributes(
            {"content-type": options.content_type} if options.content_type else {}, options.metadata
        )
        with self.tally.item("-"), self._meter.bar("-", None) as advance:
            pieces = pieces_of(sys.stdin.buffer.read, None, "-", advance)
            await self._store.put(target.bucket, target.key, pieces, None, attributes)

    async def _download(self, source: Remote, target: Path, size: int | None) -> None:
        """Raises BadArgument where a folder stands in the way."""
        if target.is_dir():
            raise BadArgument(f"{target} is a folder", ExitCode.IO)
        info = await self._store.head(source.bucket, source.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".deltaglider.{secrets.token_hex(8)}")
        try:
            with draft.open("xb") as file, self._meter.bar(target.name, size or info.size) as advance:
                async for piece in self._store.read(source.bucket, source.key):
                    file.write(piece)
                    advance(len(piece))
            os.utime(draft, (info.modified, info.modified))
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

    async def download_stdout(self, source: Remote) -> None:
        with self.tally.item(str(source)):
            async for piece in self._store.read(source.bucket, source.key):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()

    async def _copy(self, source: Remote, target: Remote) -> None:
        options = self._options
        if options.as_stored and not options.content_type and not options.metadata:
            await self._store.copy((source.bucket, source.key), (target.bucket, target.key))
        else:
            await stream(self._store, source, self._store, target, options, self._meter)


async def stream(
    source_store: Store, source: Remote, target_store: Store, target: Remote, options: Options, meter: Meter
) -> None:
    """Copy an object through here, as it was uploaded; what it says beside its bytes comes along."""
    info = await source_store.head(source.bucket, source.key)
    attributes = Attributes(info.headers, info.user_metadata)
    if options.content_type:
        attributes = replace(attributes, headers={**info.headers, "content-type": options.content_type})
    if options.metadata:
        attributes = replace(attributes, user_metadata=options.metadata)
    with meter.bar(source.key, info.size) as advance:

        async def passing() -> AsyncIterator[bytes | memoryview]:
            left = info.size
            async for piece in source_store.read(source.bucket, source.key):
                left -= len(piece)
                if left < 0:
                    break
                advance(len(piece))
                yield piece
            if left:
                raise Changed(source.key)

        await target_store.put(target.bucket, target.key, passing(), info.size, attributes)


async def pieces_of(
    read: Callable[[int], bytes], size: int | None, name: str, advance: Callable[[int], None]
) -> AsyncIterator[bytes]:
    """Raises OSError if there are not as many bytes as were announced: then nothing becomes visible."""
    came = 0
    while piece := read(_PIECE):
        came += len(piece)
        if size is not None and came > size:
            break
        advance(len(piece))
        yield piece
    if size is not None and came != size:
        raise OSError(f"{name} was changed while it was read")
