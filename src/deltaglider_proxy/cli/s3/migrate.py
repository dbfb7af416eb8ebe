"""`s3 migrate`: a prefix is copied through here, so that the target makes deltas of its own. It may be run again.

What is at the target already is compared by size and, where both sides have one, by MD5; what differs is copied again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result
from deltaglider_proxy.cli.s3.failures import Tally
from deltaglider_proxy.cli.s3.filters import Filters
from deltaglider_proxy.cli.s3.lanes import Lanes
from deltaglider_proxy.cli.s3.locations import Remote
from deltaglider_proxy.cli.s3.progress import Meter
from deltaglider_proxy.cli.s3.stores import Store
from deltaglider_proxy.cli.s3.transfer import Entry, Mover, Options, entries_of, stream

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Side:
    store: Store
    place: Remote

    def object(self, relative: str) -> Remote:
        return self.place.named(self.place.folder + relative)


def destination(source: Remote, target: Remote, *, keep_prefix: bool) -> Remote:
    """The target with the last folder of the source below it."""
    last = source.folder.rstrip("/").rpartition("/")[2]
    return target.named(target.folder + (f"{last}/" if keep_prefix and last else ""))


def is_there(source: Entry, target: Entry | None) -> bool:
    if target is None or source.size != target.size:
        return False
    # The ETag of a multipart upload says nothing about equality with what was uploaded otherwise.
    comparable = "-" not in source.etag and "-" not in target.etag
    return not comparable or source.etag == target.etag


async def run(source: Side, target: Side, options: Options, proceed: Callable[[], None]) -> int:
    """`proceed` raises if the user does not want to. Raises what listing either side raises."""
    present = {entry.relative: entry async for entry in entries_of(target.store, target.place, Filters())}
    wanted = [entry async for entry in entries_of(source.store, source.place, options.filters)]
    missing = [entry for entry in wanted if not is_there(entry, present.get(entry.relative))]
    result(
        f"{len(missing)} objects to copy, {len(wanted) - len(missing)} already there\n"
        f"from: {source.place}\nto: {target.place}\n"
    )
    if not missing:
        result("Nothing to migrate\n")
        return ExitCode.OK
    if options.dry_run:
        for entry in missing[:_SHOWN]:
            result(f"(dryrun) copy: {source.object(entry.relative)} to {target.object(entry.relative)}\n")
        if len(missing) > _SHOWN:
            result(f"... and {len(missing) - _SHOWN} more\n")
        return ExitCode.OK
    proceed()
    tally, meter = Tally(), Meter(quiet=options.quiet)

    async def move(entry: Entry) -> None:
        here, there = source.object(entry.relative), target.object(entry.relative)
        if not options.quiet:
            result(f"copy: {here} to {there}\n")
        with tally.item(str(here)):
            await stream(source.store, here, target.store, there, options, meter)

    with meter.running():
        async with Lanes(options.concurrency) as lanes:
            for entry in missing:
                await lanes.start(Mover.lane(target.object(entry.relative)), partial(move, entry))
    result(f"Migration complete: {tally.done} ok, {len(tally.failed)} failed\n")
    return tally.code
