"""`s3 purge`: what an older tool has left under `.deltaglider/tmp/` and declared to be expired by now.

Those are plain objects beside ours, so the service is asked directly and not through the engine, which hides them.
"""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.cli.s3.endpoint import Endpoint
from deltaglider_proxy.storage.backend import IfMatch, Stored
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.verdicts import Verdicts
from deltaglider_proxy.storage.errors import NoSuchKey, StorageError
from deltaglider_proxy.telemetry.clock import Clock, SystemClock
from deltaglider_proxy.telemetry.pool import Pool

PREFIX: Final = ".deltaglider/tmp/"
_EXPIRY: Final = "x-amz-meta-dg-expires-at"
_PARALLEL: Final = 16
_TOLD: Final = 10


@dataclass(slots=True)
class _Report:
    scanned: int = 0
    expired: int = 0
    deleted: int = 0
    freed: int = 0
    errors: list[str] = field(default_factory=list)


def is_expired(text: str | None, now: float) -> bool:
    """`text`: ISO 8601, UTC if it names no zone; None: never. Raises ValueError."""
    if text is None:
        return False
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() <= now


async def run(endpoint: Endpoint, bucket: str, *, dry_run: bool, as_json: bool) -> int:
    """Raises StorageError where not even a listing can be had."""
    pool, clock = Pool(4, "s3"), SystemClock()
    began = clock.monotonic()
    with tempfile.TemporaryDirectory(prefix="deltaglider-s3-") as folder:
        backend = S3Backend(endpoint.settings(Path(folder)), pool, clock, Verdicts())
        try:
            report = await _purge(backend, bucket, clock, dry_run=dry_run)
        finally:
            await backend.close()
            pool.close()
    fields = {
        "bucket": bucket,
        "prefix": PREFIX,
        "scanned_count": report.scanned,
        "expired_count": report.expired,
        "deleted_count": report.deleted,
        "error_count": len(report.errors),
        "total_size_freed": report.freed,
        "duration_seconds": round(clock.monotonic() - began, 3),
        "dry_run": dry_run,
        "errors": report.errors,
    }
    if as_json:
        result(json.dumps(fields, indent=2) + "\n")
    else:
        result("".join(f"{name}: {value}\n" for name, value in fields.items() if name != "errors"))
        for problem in report.errors[:_TOLD]:
            say(f"error: {problem}")
    if not report.errors:
        return ExitCode.OK
    return ExitCode.MIXED if report.deleted else ExitCode.REMOTE


async def _purge(backend: S3Backend, bucket: str, clock: Clock, *, dry_run: bool) -> _Report:
    report, now = _Report(), clock.now()
    limit = asyncio.Semaphore(_PARALLEL)

    async def noted(stored: Stored, work: Callable[[Stored], Awaitable[None]]) -> None:
        async with limit:
            try:
                await work(stored)
            except NoSuchKey:
                return  # gone meanwhile, which is what was wanted
            except (StorageError, ValueError) as error:
                report.errors.append(f"{stored.key}: {error}")

    async def one(stored: Stored) -> None:
        found = await backend.head(bucket, stored.key)
        if not is_expired((found.metadata or {}).get(_EXPIRY), now):
            return
        report.expired += 1
        if not dry_run and await backend.delete(bucket, found.key, IfMatch(found.etag)):
            report.deleted += 1
            report.freed += found.size

    after, more = "", True
    while more:
        page = await backend.list(bucket, PREFIX, after)
        stored = [entry for entry in page.entries if isinstance(entry, Stored)]
        report.scanned += len(stored)
        async with asyncio.TaskGroup() as group:
            for each in stored:
                group.create_task(noted(each, one))
        after, more = stored[-1].key if stored else "", page.truncated
    return report
