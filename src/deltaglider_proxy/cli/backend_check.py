"""`backend check`: try what each S3 service can do, with throw-away objects, and say what follows from it.

A folder needs no trial: what it must be able to do, the server checks when it starts.
"""

import asyncio
import json
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from deltaglider_proxy.cli.command_log import logged_on_stderr
from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.config.findings import ConfigError
from deltaglider_proxy.config.load import load
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from deltaglider_proxy.server.services import probe_service
from deltaglider_proxy.server.storage import Service, StorageSettings
from deltaglider_proxy.storage.backends.s3 import bucket_rules
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.bucket_rules import BucketRules
from deltaglider_proxy.storage.backends.s3.client import Client
from deltaglider_proxy.storage.backends.s3.probe import Report
from deltaglider_proxy.storage.backends.s3.verdicts import Verdicts, findings
from deltaglider_proxy.storage.errors import NoSuchBucket, StorageError, Unavailable
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool

_PARALLEL: Final = 16


@dataclass(frozen=True, slots=True)
class Checked:
    """A bucket of a service, and what was found out or why nothing was: of a bucket that was not tried, its rules."""

    backend: str
    bucket: str
    failure: str = ""
    report: Report | None = None
    rules: BucketRules = field(default_factory=BucketRules)


def run(config: str | None, backends: Sequence[str], buckets: Sequence[str], *, as_json: bool) -> int:
    """Without names, all services and, on each, the buckets that routes name, else the first one there is; the rules of
    all others are looked at.
    """
    with logged_on_stderr():
        return _run(config, backends, buckets, as_json=as_json)


def _run(config: str | None, backends: Sequence[str], buckets: Sequence[str], *, as_json: bool) -> int:
    try:
        settings = settings_of(load(config, None, process_environment(), Path.cwd()), verbose=False).storage
    except (ConfigError, CannotStart) as failure:
        say(f"error: {failure}")
        return ExitCode.FAILED
    services = [service for service in settings.services if not backends or service.name in backends]
    unknown = sorted(set(backends) - {backend.name for backend in settings.backends})
    if unknown:
        say(f"error: there is no backend {', '.join(unknown)} in the configuration")
        return ExitCode.REJECTED
    if not services:
        say("no backend is an S3 service; there is nothing to try")
    checked = asyncio.run(_check(settings, services, buckets))
    if as_json:
        result(json.dumps([_plain(each) for each in checked], indent=2, ensure_ascii=False) + "\n")
    else:
        for each in checked:
            _show(each)
    if any(each.failure for each in checked):
        return ExitCode.FAILED
    return ExitCode.REJECTED if any(each.rules.lifecycle for each in checked) else ExitCode.OK


async def _check(settings: StorageSettings, services: Sequence[Service], buckets: Sequence[str]) -> list[Checked]:
    pool = Pool(4)
    try:
        return [each for service in services for each in await _check_service(settings, service, buckets, pool)]
    finally:
        pool.close()


async def _check_service(
    settings: StorageSettings, service: Service, buckets: Sequence[str], pool: Pool
) -> list[Checked]:
    client = Client(service.settings, pool, SystemClock())
    try:
        tried, others = (list(buckets), []) if buckets else await _choose(settings, service, pool)
        if not tried:
            failure = "there is no bucket to try it in; make one, or name one with --bucket"
            return [Checked(service.name, "", failure)]
        checked = [await _found(service, bucket, _try(service, bucket, pool)) for bucket in tried]
        limit = asyncio.Semaphore(_PARALLEL)
        looks = (_found(service, bucket, _look(client, service, bucket, limit)) for bucket in others)
        return checked + await asyncio.gather(*looks)
    except (StorageError, ValueError) as failure:
        return [Checked(service.name, "", str(failure))]
    finally:
        await client.close()


async def _choose(settings: StorageSettings, service: Service, pool: Pool) -> tuple[list[str], list[str]]:
    """Buckets to try, and the others. Whoever may not list buckets has those that routes name."""
    routed = sorted({route.bucket for route in settings.routes.values() if route.backend == service.name})
    backend = S3Backend(service.settings, pool, SystemClock(), Verdicts())
    try:
        there = [info.name for info in await backend.buckets()]
    except Unavailable:
        if not routed:
            raise
        return routed, []
    finally:
        await backend.close()
    tried = routed or there[:1]
    return tried, [name for name in there if name not in tried]


async def _found(service: Service, bucket: str, work: Awaitable[Checked]) -> Checked:
    try:
        return await work
    except NoSuchBucket:
        return Checked(service.name, bucket, "there is no such bucket")
    except StorageError as failure:
        return Checked(service.name, bucket, str(failure))


async def _try(service: Service, bucket: str, pool: Pool) -> Checked:
    report = await probe_service(service, bucket, pool, SystemClock())
    return Checked(service.name, bucket, report=report, rules=report.rules)


async def _look(client: Client, service: Service, bucket: str, limit: asyncio.Semaphore) -> Checked:
    async with limit:
        return Checked(service.name, bucket, rules=await bucket_rules.look(client, bucket))


def _plain(checked: Checked) -> dict[str, object]:
    found: dict[str, object] = {"backend": checked.backend, "bucket": checked.bucket}
    if checked.failure:
        return {**found, "ok": False, "error": checked.failure}
    report, rules = checked.report, checked.rules
    found |= {"ok": not rules.lifecycle, "deltas": not rules.lifecycle, "tried": report is not None}
    if report is not None:
        found |= {
            "compare_and_swap": report.verdicts.compare_and_swap,
            "verdicts": {
                finding.name: {"verdict": finding.verdict.value, "consequence": finding.consequence}
                for finding in findings(report.verdicts)
            },
            "refused_keys": list(report.refused_keys),
        }
    notes = report.notes if report is not None else rules.notes
    return {**found, "versioned": rules.versioned, "lifecycle": list(rules.lifecycle), "notes": list(notes)}


def _show(checked: Checked) -> None:
    if checked.failure:
        say(f"error: {checked.backend} {checked.bucket}: {checked.failure}")
        return
    if checked.report is not None:
        table = Table(title=f"{checked.backend}: bucket {checked.bucket}", title_justify="left")
        for heading in ("capability", "verdict", "what follows"):
            table.add_column(heading)
        for finding in findings(checked.report.verdicts):
            table.add_row(finding.name.replace("_", " "), finding.verdict.value, finding.consequence)
        console = Console(no_color=True, width=110)
        with console.capture() as shown:
            console.print(table)
        result(shown.get())
    for kind, line in _remarks(checked):
        say(f"{kind}: {checked.backend} {checked.bucket}: {line}")


def _remarks(checked: Checked) -> Iterator[tuple[str, str]]:
    report, rules = checked.report, checked.rules
    if report is not None and not report.verdicts.compare_and_swap:
        yield "warning", "several servers that share this bucket can overwrite one another's conditional writes"
    for rule in rules.lifecycle:
        yield "error", f"no deltas are made here, since a lifecycle rule would remove what they need: {rule}"
    if report is not None and report.refused_keys:
        yield "note", f"keys that S3 allows and this service refuses: {', '.join(report.refused_keys)}"
    if rules.versioned:
        yield "note", "old versions of all that is overwritten or deleted are kept, internal objects too"
    for note in report.notes if report is not None else rules.notes:
        yield "note", note
