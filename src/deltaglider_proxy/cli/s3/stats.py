"""`s3 stats`: what a bucket holds, what it takes, and how well its deltas do.

A count is kept in the bucket, below our internal prefix, with what the listing showed: while that stays the same,
nothing is asked again. A proxy counts for itself and is asked instead.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import orjson

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.cli.s3.counting import STATS, Count, Counter, Found, Mode, listed
from deltaglider_proxy.cli.s3.endpoint import Endpoint, operational
from deltaglider_proxy.cli.s3.engine_store import EngineStore
from deltaglider_proxy.cli.s3.filters import Filters
from deltaglider_proxy.cli.s3.locations import Remote
from deltaglider_proxy.cli.s3.plain_store import PlainStore
from deltaglider_proxy.cli.s3.transfer import entries_of
from deltaglider_proxy.engine import internal
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.storage.errors import Denied, NoSuchKey, StorageError

_VERSION = "2.0"


@dataclass(frozen=True, slots=True)
class Cache:
    reads: bool = True
    writes: bool = True


async def run(
    endpoint: Endpoint, store: EngineStore | PlainStore, bucket: str, mode: Mode, cache: Cache, *, as_json: bool
) -> int:
    """Raises StorageError, EngineError."""
    hit = False
    if isinstance(store, PlainStore):
        count = await _of_proxy(endpoint, store, bucket)
    else:
        count, hit = await _counted(store, bucket, mode, cache)
    fields: dict[str, object] = {
        "bucket": bucket,
        "total_objects": count.objects,
        "total_original_bytes": count.original,
        "total_stored_bytes": count.stored,
        "savings_percentage": round(count.savings, 2),
        "deltaspace_health": dict(count.health),
    }
    if as_json:
        result(json.dumps(fields, indent=2) + "\n")
    else:
        fields["deltaspace_health"] = (
            ", ".join(f"{name} {number}" for name, number in count.health.items()) or "unknown"
        )
        fields["mode"] = f"{mode.value}{' (cache hit)' if hit else ''}"
        result("".join(f"{name.replace('_', ' ') + ':':24}{value}\n" for name, value in fields.items()))
    return ExitCode.OK


async def _counted(store: EngineStore, bucket: str, mode: Mode, cache: Cache) -> tuple[Count, bool]:
    """The count, and whether it is one that was kept."""
    ctx = store.engine.ctx
    found = await listed(ctx, bucket)
    if cache.reads and (kept := await _recall(ctx, bucket, mode, found)) is not None:
        return kept, True
    count = await Counter(store.engine, bucket, mode).count(found)
    if cache.writes:
        await _keep(ctx, bucket, mode, found, count)
    return count, False


async def _of_proxy(endpoint: Endpoint, store: PlainStore, bucket: str) -> Count:
    entries = [entry async for entry in entries_of(store, Remote(bucket), Filters())]
    original = sum(entry.size for entry in entries)
    told = await operational(endpoint, f"/_/stats?bucket={quote(bucket)}")
    stored = told.get("total_stored_size") if told is not None else None
    if not isinstance(stored, int):
        say("note: the proxy does not tell what is stored, so it is taken to be what was uploaded")
        stored = original
    say("note: how single deltas do is known to the service behind the proxy only; ask that")
    return Count(len(entries), original, stored, {})


def _validation(found: Found) -> dict[str, int]:
    return {"object_count": found.objects, "compressed_size": found.stored}


async def _recall(ctx: Context, bucket: str, mode: Mode, found: Found) -> Count | None:
    try:
        kept = orjson.loads(await internal.read(ctx, bucket, _key(mode)))
        if (kept["version"], kept["mode"], kept["validation"]) != (_VERSION, mode.value, _validation(found)):
            return None
        stats = kept["stats"]
        return Count(stats["objects"], stats["original"], stats["stored"], stats["health"])
    except (NoSuchKey, ValueError, TypeError, KeyError):
        return None


async def _keep(ctx: Context, bucket: str, mode: Mode, found: Found, count: Count) -> None:
    document = {
        "version": _VERSION,
        "mode": mode.value,
        "computed_at": datetime.fromtimestamp(ctx.clock.now(), UTC).isoformat(),
        "validation": _validation(found),
        "stats": {
            "objects": count.objects,
            "original": count.original,
            "stored": count.stored,
            "health": dict(count.health),
        },
    }
    try:
        await internal.put(ctx, bucket, _key(mode), orjson.dumps(document), attempts=1)
    except Denied:
        return  # whoever may only read counts each time
    except StorageError as error:
        say(f"warning: the count could not be kept: {error}")


def _key(mode: Mode) -> str:
    return f"{STATS}{mode.value}.json"
