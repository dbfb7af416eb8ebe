"""`s3 cp`: files to objects, objects to files, objects to objects; `-` is stdin or stdout."""

from pathlib import Path
from typing import Final

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say
from deltaglider_proxy.cli.s3.lanes import Lanes
from deltaglider_proxy.cli.s3.locations import BadArgument, Location, Remote, inside
from deltaglider_proxy.cli.s3.progress import Meter
from deltaglider_proxy.cli.s3.stores import Store
from deltaglider_proxy.cli.s3.transfer import Mover, Options, entries_of, named

_STREAM: Final = Path("-")


def check(source: Location, target: Location, *, recursive: bool) -> None:
    """Before anything is connected to. Raises BadArgument."""
    if isinstance(source, Path) and isinstance(target, Path):
        raise BadArgument("one of the two must be an s3:// URL")
    if _STREAM in (source, target):
        if recursive:
            raise BadArgument("- is one object; it does not go with --recursive")
        if isinstance(target, Remote) and (not target.key or target.key.endswith("/")):
            raise BadArgument(f"{target}: stdin has no name, so a whole key is needed")
    if isinstance(source, Path) and source != _STREAM:
        if not source.exists():
            raise BadArgument(f"{source}: there is no such file", ExitCode.IO)
        if recursive and not source.is_dir():
            raise BadArgument(f"{source} is no folder")
        if not recursive and source.is_dir():
            raise BadArgument(f"{source} is a folder; use --recursive")
    if not recursive and isinstance(source, Remote) and (not source.key or source.key.endswith("/")):
        raise BadArgument(f"{source} is a bucket or a prefix; use --recursive")
    if recursive and isinstance(target, Path) and target.exists() and not target.is_dir():
        raise BadArgument(f"{target} is a file")


async def run(
    store: Store, source: Location, target: Location, options: Options, *, recursive: bool, to_folder: bool
) -> int:
    """After `check`. `to_folder`: the local target was written with a `/` at its end. Raises BadArgument."""
    meter = Meter(quiet=options.quiet)
    mover = Mover(store, options, meter)
    with meter.running():
        if recursive:
            await _tree(store, mover, source, target, options)
            return mover.tally.code
        if source == _STREAM:
            assert isinstance(target, Remote)
            if not options.dry_run:
                await mover.upload_stdin(target)
        elif target == _STREAM:
            assert isinstance(source, Remote)
            if not options.dry_run:
                await mover.download_stdout(source)
        else:
            if options.dry_run and isinstance(source, Remote):
                await store.head(source.bucket, source.key)
            await mover.move(source, _whole(source, target, to_folder=to_folder))
    return mover.tally.only


def _whole(source: Location, target: Location, *, to_folder: bool) -> Location:
    """The target with the name of the source, if only a place for it was named."""
    name = source.name if isinstance(source, Path) else source.key.rpartition("/")[2]
    if isinstance(target, Remote):
        if not target.key or target.key.endswith("/"):
            return named(target, name)
        return target
    return inside(target, name) if to_folder or target.is_dir() else target


async def _tree(store: Store, mover: Mover, source: Location, target: Location, options: Options) -> None:
    found = 0
    async with Lanes(options.concurrency) as lanes:
        async for entry in entries_of(store, source, options.filters):
            found += 1
            await mover.start(lanes, source, target, entry)
    if not found:
        say(f"note: there is nothing to copy in {source}")
