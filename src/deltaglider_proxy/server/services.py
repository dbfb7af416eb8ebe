"""What S3 services can do is found out by a probe, once per host, and learnt by all workers from a file.

Until then nothing is expected of a service: everything works, some of it slower, and nothing is rewritten. The server
probes before it starts its workers; one of those probes again soon what could not be probed, and all once a day.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson
import structlog

from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.server.storage import Service
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.client import Client
from deltaglider_proxy.storage.backends.s3.probe import Report, probe
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts, findings
from deltaglider_proxy.storage.errors import Denied, StorageError, Unavailable
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool

_log = structlog.get_logger("deltaglider_proxy.backends")

_BOOT_ATTEMPTS, _BOOT_PAUSE, _BOOT_PATIENCE = 2, 0.5, 5.0
_LOOK = 1.0
_AGAIN, _DAILY = 15.0, 24 * 3600.0
_MOST_BUCKETS = 5


class Services:
    """The services of one worker."""

    def __init__(self, settings: ServerSettings, pool: Pool, clock: Clock) -> None:
        """Raises ValueError for an endpoint that cannot be."""
        self._services = settings.storage.services
        self._routes = settings.storage.routes
        self._run_dir = settings.run_dir
        self._pool = pool
        self._clock = clock
        self._known = {service.name: read_verdicts(self._run_dir, service.name) for service in self._services}
        self._due = {name: _due(clock, probed=known != Verdicts()) for name, known in self._known.items()}
        self.backends: Mapping[str, S3Backend] = {
            service.name: S3Backend(service.settings, pool, clock, self._known[service.name])
            for service in self._services
        }

    async def follow(self, *, leads: bool) -> None:
        """Until cancelled: learn what was found out; whoever `leads` finds it out."""
        while True:
            for service in self._services:
                if leads and self._clock.monotonic() >= self._due[service.name]:
                    self._due[service.name] = _due(self._clock, probed=await self._probe(service))
                self._learn(service.name)
            await asyncio.sleep(_LOOK)

    def _learn(self, name: str) -> None:
        verdicts = read_verdicts(self._run_dir, name)
        if verdicts != self._known[name]:
            self._known[name] = verdicts
            self.backends[name].learn(verdicts)

    async def _probe(self, service: Service) -> bool:
        """False if that was not possible yet."""
        try:
            for bucket in (await self._candidates(service.name))[:_MOST_BUCKETS]:
                try:
                    report = await probe_service(service, bucket, self._pool, self._clock)
                except Denied as error:  # what the service can do is the same in a bucket that is ours to write
                    _log.warning("a bucket may not be written", backend=service.name, bucket=bucket, reason=str(error))
                    continue
                _write_verdicts(self._run_dir, service.name, report.verdicts)
                _say(service.name, report)
                return True
        except StorageError as error:
            _log.warning("a backend cannot be probed yet", backend=service.name, reason=str(error))
        return False

    async def _candidates(self, name: str) -> list[str]:
        """Buckets to probe in: those with routes first. Whoever may not list buckets has the routes' for all."""
        routed = [route.bucket for route in self._routes.values() if route.backend == name]
        try:
            there = [info.name for info in await self.backends[name].buckets()]
        except Unavailable:
            if not routed:
                raise
            await self.backends[name].bucket(routed[0])
            return routed
        return sorted(there, key=lambda bucket: bucket not in routed)

    async def boot(self) -> list[str]:
        """Probe all, for the first time; the names of those that do not answer."""
        answering = await asyncio.gather(*map(self._answers, self._services))
        for service, answers in zip(self._services, answering, strict=True):
            if answers:
                await self._probe(service)
        return [service.name for service, answers in zip(self._services, answering, strict=True) if not answers]

    async def _answers(self, service: Service) -> bool:
        for attempt in range(_BOOT_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_BOOT_PAUSE)
            try:
                async with asyncio.timeout(_BOOT_PATIENCE):
                    await self._candidates(service.name)
            except (StorageError, TimeoutError) as error:
                _log.warning(
                    "a backend does not answer", backend=service.name, reason=str(error) or "no answer in time"
                )
            else:
                return True
        return False

    async def close(self) -> None:
        for backend in self.backends.values():
            await backend.close()


def _due(clock: Clock, *, probed: bool) -> float:
    return clock.monotonic() + (_DAILY if probed else _AGAIN)


async def probe_service(service: Service, bucket: str, pool: Pool, clock: Clock) -> Report:
    """Raises NoSuchBucket, Unavailable."""
    client = Client(service.settings, pool, clock)
    try:
        return await probe(client, bucket)
    finally:
        await client.close()


def _say(name: str, report: Report) -> None:
    lacking = {finding.name: finding.consequence for finding in findings(report.verdicts) if finding.consequence}
    _log.info("probed a backend", backend=name, bucket=report.bucket, lacking=", ".join(lacking) or "nothing")
    for rule in report.rules.lifecycle:
        _log.error("a lifecycle rule would remove what deltas need", backend=name, bucket=report.bucket, rule=rule)


def read_verdicts(run_dir: Path, name: str) -> Verdicts:
    """Those of the last probe; untested if there was none."""
    try:
        known = orjson.loads(_path(run_dir, name).read_bytes())
    except FileNotFoundError:
        return Verdicts()
    return Verdicts(**{what: Verdict(text) for what, text in known.items()})


def _write_verdicts(run_dir: Path, name: str, verdicts: Verdicts) -> None:
    path = _path(run_dir, name)
    draft = path.with_suffix(".draft")
    draft.write_bytes(orjson.dumps(asdict(verdicts)))
    draft.replace(path)


def forget_verdicts(run_dir: Path, services: Sequence[Service]) -> None:
    for service in services:
        _path(run_dir, service.name).unlink(missing_ok=True)


def _path(run_dir: Path, name: str) -> Path:
    return run_dir / f"verdicts.{name.encode().hex()}.json"
