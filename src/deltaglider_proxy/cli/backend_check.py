"""`backend check`: try what each S3 service can do, with throw-away objects, and say what follows from it.

A folder needs no trial: what it must be able to do, the server checks when it starts.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.config.findings import ConfigError
from deltaglider_proxy.config.load import load
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from deltaglider_proxy.server.services import probe_service
from deltaglider_proxy.server.storage import Service, StorageSettings
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.probe import Report
from deltaglider_proxy.storage.backends.s3.verdicts import Verdicts, findings
from deltaglider_proxy.storage.errors import NoSuchBucket, StorageError
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool


@dataclass(frozen=True, slots=True)
class Checked:
    """A bucket of a service, and what was found out or why nothing was."""

    backend: str
    bucket: str
    report: Report | None
    failure: str = ""


def run(config: str | None, backends: Sequence[str], buckets: Sequence[str], *, as_json: bool) -> int:
    """Without names, all services and, on each, the buckets that routes name, else the first one there is."""
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
    if any(each.report is None for each in checked):
        return ExitCode.FAILED
    return ExitCode.REJECTED if any(each.report and each.report.lifecycle for each in checked) else ExitCode.OK


async def _check(settings: StorageSettings, services: Sequence[Service], buckets: Sequence[str]) -> list[Checked]:
    pool = Pool(4)
    try:
        return [each for service in services for each in await _check_service(settings, service, buckets, pool)]
    finally:
        pool.close()


async def _check_service(
    settings: StorageSettings, service: Service, buckets: Sequence[str], pool: Pool
) -> list[Checked]:
    checked = []
    try:
        chosen = list(buckets) or await _choose(settings, service, pool)
    except (StorageError, ValueError) as failure:
        return [Checked(service.name, "", None, str(failure))]
    if not chosen:
        return [Checked(service.name, "", None, "there is no bucket to try it in; make one, or name one with --bucket")]
    for bucket in chosen:
        try:
            checked.append(Checked(service.name, bucket, await probe_service(service, bucket, pool, SystemClock())))
        except NoSuchBucket:
            checked.append(Checked(service.name, bucket, None, "there is no such bucket"))
        except StorageError as failure:
            checked.append(Checked(service.name, bucket, None, str(failure)))
    return checked


async def _choose(settings: StorageSettings, service: Service, pool: Pool) -> list[str]:
    routed = sorted({route.bucket for route in settings.routes.values() if route.backend == service.name})
    if routed:
        return routed
    backend = S3Backend(service.settings, pool, SystemClock(), Verdicts())
    try:
        return [info.name for info in await backend.buckets()][:1]
    finally:
        await backend.close()


def _plain(checked: Checked) -> dict[str, object]:
    found: dict[str, object] = {"backend": checked.backend, "bucket": checked.bucket}
    report = checked.report
    if report is None:
        return {**found, "ok": False, "error": checked.failure}
    return {
        **found,
        "ok": not report.lifecycle,
        "compare_and_swap": report.verdicts.compare_and_swap,
        "verdicts": {
            finding.name: {"verdict": finding.verdict.value, "consequence": finding.consequence}
            for finding in findings(report.verdicts)
        },
        "refused_keys": list(report.refused_keys),
        "versioned": report.versioned,
        "lifecycle": list(report.lifecycle),
        "notes": list(report.notes),
    }


def _show(checked: Checked) -> None:
    if checked.report is None:
        say(f"error: {checked.backend} {checked.bucket}: {checked.failure}")
        return
    table = Table(title=f"{checked.backend}: bucket {checked.bucket}", title_justify="left")
    for heading in ("capability", "verdict", "what follows"):
        table.add_column(heading)
    for finding in findings(checked.report.verdicts):
        table.add_row(finding.name.replace("_", " "), finding.verdict.value, finding.consequence)
    console = Console(no_color=True, width=110)
    with console.capture() as shown:
        console.print(table)
    result(shown.get())
    for line in _remarks(checked.report):
        say(line)


def _remarks(report: Report) -> Iterator[str]:
    if not report.verdicts.compare_and_swap:
        yield "warning: several servers that share this bucket can overwrite one another's conditional writes"
    for rule in report.lifecycle:
        yield f"error: a lifecycle rule would remove what deltas need, so keep none here: {rule}"
    if report.refused_keys:
        yield f"note: keys that S3 allows and this service refuses: {', '.join(report.refused_keys)}"
    if report.versioned:
        yield "note: the bucket keeps old versions of everything that is overwritten or deleted, internal objects too"
    for note in report.notes:
        yield f"note: {note}"
