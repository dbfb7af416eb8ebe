"""A service that refuses, or sends us elsewhere: told clearly, never repeated; no credentials go to another host."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from deltaglider_proxy.config.load import load
from deltaglider_proxy.server.from_config import settings_of
from deltaglider_proxy.server.services import Services, read_verdicts
from deltaglider_proxy.storage.backend import IfMatch, Piece
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict
from deltaglider_proxy.storage.errors import Denied, Unavailable, Uncertain
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.objects import get, put
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import Refuse, Rule
from tests.support.storage.services.service import Service

LARGE = bytes(9 << 20)
"""Goes up and comes down as a stream."""

_CONFIG = """\
access: {{authentication: none}}
advanced: {{cache_dir: cache}}
storage:
  backends:
{far}
  buckets: {{shown: {{backend: far, alias: {bucket}}}}}
"""

Action = Callable[[S3Backend, str], Awaitable[object]]


async def copy(backend: S3Backend, bucket: str) -> object:
    stored = await backend.head(bucket, "there")
    return await backend.compose(bucket, "key", [Piece("there", 0, stored.size)], {}, None, IfMatch(stored.etag))


async def read_on(backend: S3Backend, bucket: str) -> object:
    """The head and the first bytes are answered; what follows is a request of its own."""
    reader = await backend.open(bucket, "large")
    try:
        return await reader.read(1 << 20, 2 << 20)
    finally:
        await reader.close()


ACTIONS: dict[str, Action] = {
    "bucket": lambda b, bucket: b.bucket(bucket),
    "list": lambda b, bucket: b.list(bucket),
    "head": lambda b, bucket: b.head(bucket, "there"),
    "get": lambda b, bucket: get(b, "there", bucket),
    "put": lambda b, bucket: put(b, "key", b"new", bucket=bucket),
    "stream": lambda b, bucket: put(b, "key", LARGE, bucket=bucket),
    "delete": lambda b, bucket: b.delete(bucket, "there"),
    "copy": copy,
    "read on": read_on,
}


@pytest.fixture
async def there(service: Service, bucket: str) -> str:
    """A bucket with something in it."""
    service.write(bucket, {"there": b"old", "large": LARGE})
    return bucket


@pytest.fixture
async def elsewhere(service: Service) -> AsyncIterator[FaultProxy]:
    """Another host, which would understand our requests."""
    async with FaultProxy(service) as running:
        yield running


async def failure(action: Action, backend: S3Backend, bucket: str) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await action(backend, bucket)
    assert not isinstance(caught.value, Uncertain)
    return caught.value


def was_asked_once(proxy: FaultProxy) -> bool:
    refused = [(p.request.method, p.request.head.target) for p in proxy.passed if not p.forwarded]
    return 0 < len(refused) == len(set(refused))


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_bucket_that_is_denied_leaves_the_others_alone(
    service: Service, backend: S3Backend, proxy: FaultProxy, there: str, action: str
) -> None:
    rule = proxy.add(Rule(Refuse(403, "AccessDenied"), path=f"^/{there}(/|$)", times=None))
    error = await failure(ACTIONS[action], backend, there)
    assert isinstance(error, Denied)
    assert there in str(error)
    assert "what it is allowed to do" in str(error)
    assert was_asked_once(proxy)
    other = service.new_bucket()
    await put(backend, "key", b"data", bucket=other)
    assert await get(backend, "key", other) == b"data"
    proxy.rules.remove(rule)
    await ACTIONS[action](backend, there)


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize("action", ACTIONS)
async def test_no_redirect_is_followed(
    backend: S3Backend, proxy: FaultProxy, elsewhere: FaultProxy, there: str, action: str, status: int
) -> None:
    fields = (("Location", f"{elsewhere.endpoint}/{there}"), ("x-amz-bucket-region", "eu-north-1"))
    rule = proxy.add(Rule(Refuse(status, "PermanentRedirect", fields), path=f"^/{there}(/|$)", times=None))
    error = await failure(ACTIONS[action], backend, there)
    assert "'eu-north-1'" in str(error)
    assert f"'{elsewhere.endpoint}" in str(error)
    assert elsewhere.passed == []
    assert was_asked_once(proxy)
    proxy.rules.remove(rule)
    await ACTIONS[action](backend, there)


async def test_a_redirect_in_the_middle_of_an_object_is_not_followed_either(
    backend: S3Backend, proxy: FaultProxy, elsewhere: FaultProxy, there: str
) -> None:
    fields = (("Location", f"{elsewhere.endpoint}/{there}/large"),)
    proxy.add(Rule(Refuse(307, "TemporaryRedirect", fields), "GET", "/large$", skip=1, times=None))
    error = await failure(read_on, backend, there)
    assert "not followed" in str(error)
    assert elsewhere.passed == []


@pytest.mark.parametrize("action", ["list", "get", "put", "stream"])
async def test_a_clock_that_differs_is_told_once_with_the_time_of_the_service(
    backend: S3Backend, proxy: FaultProxy, there: str, action: str
) -> None:
    moment = "Mon, 01 Jan 2029 00:00:00 GMT"
    await backend.bucket(there)
    proxy.passed.clear()
    proxy.add(Rule(Refuse(403, "RequestTimeTooSkewed", (("Date", moment),)), times=None))
    error = await failure(ACTIONS[action], backend, there)
    assert isinstance(error, Denied)
    assert f"set the clock of this host: the time of the service is {moment}" in str(error)
    assert was_asked_once(proxy)


async def test_a_service_is_probed_in_a_bucket_that_may_be_written(
    service: Service, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied, _ = sorted([service.new_bucket(), service.new_bucket()])
    config = tmp_path / "config.yaml"
    config.write_text(_CONFIG.format(far=service.as_backend("far", proxy.endpoint), bucket=denied))
    monkeypatch.chdir(tmp_path)
    settings = settings_of(load(str(config), None, {}, tmp_path), verbose=False)
    settings.run_dir.mkdir(parents=True)
    proxy.add(Rule(Refuse(403, "AccessDenied"), "PUT", f"^/{denied}/", times=None))
    pool = Pool(2)
    services = Services(settings, pool, SystemClock())
    try:
        assert await services.boot() == []
    finally:
        await services.close()
        pool.close()
    assert read_verdicts(settings.run_dir, "far").create_if_absent is Verdict.WORKS
    assert service.client().list_objects_v2(Bucket=denied)["KeyCount"] == 0
