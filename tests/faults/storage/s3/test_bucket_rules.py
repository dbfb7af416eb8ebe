"""Rules of the service that would remove references keep deltas out of their bucket, and are looked at once."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deltaglider_proxy.engine.context import Context, Events
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.engine.model import Attributes, Kind
from deltaglider_proxy.engine.settings import EngineSettings
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background
from tests.support.engine.bodies import body, edited, noise
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import LoseAnswer, Refuse, Rule
from tests.support.storage.services.service import Service

FIRST = noise(1, 100_000)
EXPIRES = (
    "<LifecycleConfiguration><Rule><ID>tidy</ID><Filter/><Status>Enabled</Status>"
    "<Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>"
)


@pytest.fixture
async def engine(backend: S3Backend, tmp_path: Path) -> AsyncIterator[Engine]:
    pool, codecs = Pool(2), Pool(1)
    settings = EngineSettings(tmp_path / "cache", tmp_path / "spool")
    made = Engine(Context(backend, settings, SystemClock(), pool, codecs, Events(), Background()))
    yield made
    await made.close()
    codecs.close()
    pool.close()


async def releases(engine: Engine, bucket: str) -> list[Kind]:
    kinds = []
    for number in (1, 2, 3):
        data = edited(FIRST, number)
        kinds.append((await engine.put(bucket, f"v{number}", body(data), Attributes())).kind)
        await engine.ctx.background.drain()
    return kinds


def looks(proxy: FaultProxy) -> Counter[str]:
    """How often the rules of each bucket were asked for."""
    return Counter(p.request.path for p in proxy.passed if "lifecycle" in p.request.query)


async def test_only_the_bucket_that_has_the_rule_goes_without_deltas(
    service: Service, proxy: FaultProxy, engine: Engine, bucket: str
) -> None:
    other = service.new_bucket()
    proxy.add(Rule(Refuse(200, "OK", text=EXPIRES), "GET", bucket, ["lifecycle"], times=None))
    assert await releases(engine, bucket) == [Kind.IDENTITY] * 3
    assert await releases(engine, other) == [Kind.IDENTITY, Kind.DELTA, Kind.DELTA]
    assert looks(proxy) == {f"/{bucket}": 1, f"/{other}": 1}
    listed = service.client().list_objects_v2(Bucket=bucket)
    assert [each["Key"] for each in listed["Contents"]] == ["v1", "v2", "v3"]


async def test_rules_that_may_not_be_looked_at_are_the_operators_business(
    proxy: FaultProxy, engine: Engine, bucket: str
) -> None:
    proxy.add(Rule(Refuse(403, "AccessDenied"), "GET", query=["lifecycle"], times=None))
    assert await releases(engine, bucket) == [Kind.IDENTITY, Kind.DELTA, Kind.DELTA]
    assert looks(proxy) == {f"/{bucket}": 1}


async def test_no_delta_is_made_while_no_answer_comes(proxy: FaultProxy, engine: Engine, bucket: str) -> None:
    proxy.add(Rule(LoseAnswer(), "GET", query=["lifecycle"], times=None))
    assert await releases(engine, bucket) == [Kind.IDENTITY] * 3


async def test_a_bucket_that_is_made_again_is_looked_at_again(
    proxy: FaultProxy, engine: Engine, backend: S3Backend, bucket: str
) -> None:
    rule = proxy.add(Rule(Refuse(200, "OK", text=EXPIRES), "GET", bucket, ["lifecycle"], times=None))
    assert await releases(engine, bucket) == [Kind.IDENTITY] * 3
    for number in (1, 2, 3):
        await engine.delete(bucket, f"v{number}")
    await engine.delete_bucket(bucket)
    proxy.rules.remove(rule)
    await engine.create_bucket(bucket)
    assert backend.capabilities(bucket).permanent
    assert await releases(engine, bucket) == [Kind.IDENTITY, Kind.DELTA, Kind.DELTA]
