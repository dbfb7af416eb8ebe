"""`s3 rm`: an object, or all below a prefix."""

from functools import partial

from deltaglider_proxy.cli.output import result
from deltaglider_proxy.cli.s3.failures import Tally
from deltaglider_proxy.cli.s3.filters import Filters
from deltaglider_proxy.cli.s3.lanes import Lanes
from deltaglider_proxy.cli.s3.locations import Location, Remote
from deltaglider_proxy.cli.s3.stores import Store
from deltaglider_proxy.cli.s3.transfer import Options, entries_of


async def remove(store: Store, place: Location, options: Options, tally: Tally) -> None:
    """An object or a file; tells it and counts it."""
    if not options.quiet:
        result(f"{'(dryrun) ' if options.dry_run else ''}delete: {place}\n")
    with tally.item(str(place)):
        if options.dry_run:
            return
        if isinstance(place, Remote):
            await store.delete(place.bucket, place.key)
        else:
            place.unlink()


async def run(store: Store, place: Remote, options: Options, *, recursive: bool) -> int:
    """Raises NoSuchKey for a single object that is not there."""
    tally = Tally()
    if not recursive:
        await store.head(place.bucket, place.key)
        await remove(store, place, options, tally)
        return tally.only
    async with Lanes(options.concurrency) as lanes:
        # `rm` filters whole keys, so the listing is not filtered by names below the prefix.
        async for entry in entries_of(store, place, Filters()):
            doomed = place.named(place.folder + entry.relative)
            if options.filters.passes(doomed.key):
                await lanes.start(doomed.key, partial(remove, store, doomed, options, tally))
    return tally.code
