"""`s3 sync`: the target holds what the source holds. Both are known wholly before anything is changed."""

from dataclasses import dataclass
from pathlib import Path

from deltaglider_proxy.cli.output import result
from deltaglider_proxy.cli.s3.lanes import Lanes
from deltaglider_proxy.cli.s3.locations import BadArgument, Location, Remote
from deltaglider_proxy.cli.s3.progress import Meter
from deltaglider_proxy.cli.s3.rm import remove
from deltaglider_proxy.cli.s3.stores import Store
from deltaglider_proxy.cli.s3.transfer import Entry, Mover, Options, entries_of, named


@dataclass(frozen=True, slots=True)
class Comparison:
    size_only: bool = False
    exact_timestamps: bool = False


def differs(source: Entry, target: Entry | None, how: Comparison) -> bool:
    """Whether the source has to be transferred. An unknown time is no reason."""
    if target is None or source.size != target.size:
        return True
    if how.size_only or source.modified is None or target.modified is None:
        return False
    # In milliseconds: both are kept so, and differences of seconds as fractions are not exact.
    newer_by = round(source.modified * 1000) - round(target.modified * 1000)
    return newer_by > (0 if how.exact_timestamps else 1000)


def check(source: Location, target: Location) -> None:
    """Raises BadArgument."""
    if isinstance(source, Path) and isinstance(target, Path):
        raise BadArgument("one of the two must be an s3:// URL")
    if isinstance(source, Path) and not source.is_dir():
        raise BadArgument(f"{source} is no folder")
    if isinstance(target, Path) and target.exists() and not target.is_dir():
        raise BadArgument(f"{target} is a file")


async def run(
    store: Store, source: Location, target: Location, options: Options, how: Comparison, *, delete: bool
) -> int:
    """After `check`. Raises what listing either side raises; then nothing was changed."""
    wanted = {entry.relative: entry async for entry in entries_of(store, source, options.filters)}
    present: dict[str, Entry] = {}
    if isinstance(target, Remote) or target.is_dir():
        present = {entry.relative: entry async for entry in entries_of(store, target, options.filters)}
    meter = Meter(quiet=options.quiet)
    mover = Mover(store, options, meter)
    tally = mover.tally
    with meter.running():
        async with Lanes(options.concurrency) as lanes:
            for relative, entry in wanted.items():
                if differs(entry, present.get(relative), how):
                    await mover.start(lanes, source, target, entry)
    transferred = tally.done
    if delete:
        for relative in present:
            if relative not in wanted:
                await remove(store, named(target, relative), options, tally)
    if not options.quiet:
        result(_summary(transferred, tally.done - transferred, len(tally.failed), dry_run=options.dry_run))
    return tally.code


def _summary(transferred: int, deleted: int, failed: int, *, dry_run: bool) -> str:
    if dry_run:
        return f"Sync (dryrun): would transfer {transferred}, delete {deleted}\n"
    if not transferred and not deleted and not failed:
        return "Sync complete: already up to date\n"
    return f"Sync complete: {transferred} transferred, {deleted} deleted, {failed} failed\n"
