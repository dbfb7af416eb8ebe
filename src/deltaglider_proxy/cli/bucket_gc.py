"""`bucket gc --now`: remove at once what no object needs any more, while no server runs.

A running server collects by itself, in two looks with a day between them, because writers may be about to use what
nothing names. Without writers one look is enough.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from deltaglider_proxy.cli.command_log import logged_on_stderr
from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.config.findings import ConfigError
from deltaglider_proxy.config.load import load
from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.gc import Report
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from deltaglider_proxy.server.offline import engine_alone
from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.storage.backends.filesystem.failures import RootUnusable


def run(config: str | None, buckets: Sequence[str], *, as_json: bool) -> int:
    """Without names, all buckets. One that cannot be collected does not keep the others from it."""
    try:
        settings = settings_of(load(config, None, process_environment(), Path.cwd()), verbose=False)
        with logged_on_stderr():
            reports = asyncio.run(_collect(settings, buckets))
    except (ConfigError, CannotStart, RootUnusable) as failure:
        say(f"error: {failure}")
        return ExitCode.FAILED
    except errors.NoSuchBucket as failure:
        say(f"error: there is no bucket {failure}")
        return ExitCode.NOT_FOUND
    except errors.EngineError as failure:
        say(f"error: {failure}")
        return ExitCode.REMOTE
    if as_json:
        result(json.dumps({name: _plain(report) for name, report in reports.items()}, indent=2) + "\n")
    failed = [name for name, report in reports.items() if isinstance(report, errors.EngineError)]
    if not failed:
        return ExitCode.OK
    return ExitCode.MIXED if len(failed) < len(reports) else ExitCode.REMOTE


async def _collect(settings: ServerSettings, buckets: Sequence[str]) -> dict[str, Report | errors.EngineError]:
    """Raises EngineError if the buckets cannot be listed, NoSuchBucket for a name that is none."""
    reports: dict[str, Report | errors.EngineError] = {}
    async with engine_alone(settings) as engine:
        for name in buckets or [name for name, _ in await engine.list_buckets()]:
            try:
                reports[name] = report = await engine.collect(name, quiescent=True)
            except errors.NoSuchBucket:
                raise
            except errors.EngineError as failure:
                reports[name] = failure
                say(f"error: {name}: {failure}")
                continue
            say(
                f"{name}: looked at {report.objects} objects; removed {report.removed} things nothing needs, "
                f"{report.removed_bytes} bytes, and {report.expired_uploads} abandoned uploads"
            )
    return reports


def _plain(report: Report | errors.EngineError) -> dict[str, object]:
    return {"error": str(report)} if isinstance(report, errors.EngineError) else asdict(report)
