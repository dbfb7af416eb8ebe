"""The S3 backend in front of services of others, with what the probe found out about each."""

import atexit
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path

from deltaglider_proxy.storage.backend import Backend
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.client import Client
from deltaglider_proxy.storage.backends.s3.probe import probe
from deltaglider_proxy.storage.backends.s3.settings import KeyPair, S3Settings
from deltaglider_proxy.storage.backends.s3.verdicts import Verdicts
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server
from tests.support.storage.services.service import Service
from tests.support.storage.services.versitygw import versitygw as versitygw_service


def fits_a_path(key: str) -> bool:
    """Whether a service that keeps objects as plain files holds the key, beside all others that it holds."""
    parts = key.split("/")
    return (
        not {"", ".", ".."} & set(parts)
        and key not in ("a", "a/b", ".deltaglider.fs")  # folders beside others of the odd keys
        and all(len(part.encode()) <= 240 for part in parts)
        and len(key.encode()) < 1000
        and not {"\\", "\n", "\x01", "\uffff"} & set(key)  # refused where no probe has seen that they are held
    )


Make = Callable[[Path], AbstractAsyncContextManager[Backend]]

_verdicts: dict[str, Verdicts] = {}


def settings_for(service: Service, root: Path, endpoint: str | None = None) -> S3Settings:
    """`endpoint` leads through a proxy."""
    return S3Settings(
        lock_dir=root / "locks",
        endpoint=endpoint or service.endpoint,
        region=service.region,
        key_pair=KeyPair(service.access_key, service.secret_key),
        allow_local=True,
        deadline=20.0,
        idle_timeout=5.0,
    )


@asynccontextmanager
async def opened(settings: S3Settings, verdicts: Verdicts) -> AsyncIterator[S3Backend]:
    pool = Pool(4)
    backend = S3Backend(settings, pool, SystemClock(), verdicts)
    try:
        yield backend
    finally:
        await backend.close()
        pool.close()


async def verdicts_of(service: Service, root: Path) -> Verdicts:
    """Each kind of service is probed once."""
    if service.name not in _verdicts:
        bucket = service.new_bucket()
        pool = Pool(2)
        client = Client(settings_for(service, root), pool, SystemClock())
        try:
            _verdicts[service.name] = (await probe(client, bucket)).verdicts
        finally:
            await client.close()
            pool.close()
        service.client().delete_bucket(Bucket=bucket)
    return _verdicts[service.name]


_running: dict[str, Service] = {}


def shared(name: str, start: Callable[[Path], AbstractContextManager[Service]]) -> Make:
    """A service that takes seconds to start: one for all tests of a process, without buckets for each."""

    @asynccontextmanager
    async def make(root: Path) -> AsyncIterator[Backend]:
        if name not in _running:
            stack = ExitStack()
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=name, ignore_cleanup_errors=True))
            _running[name] = stack.enter_context(start(Path(folder)))
            atexit.register(stack.close)
        service = _running[name]
        _empty(service)
        async with opened(settings_for(service, root), await verdicts_of(service, root)) as backend:
            yield backend

    return make


def _empty(service: Service) -> None:
    client = service.client()
    for bucket in client.list_buckets()["Buckets"]:
        while found := client.list_objects_v2(Bucket=bucket["Name"]).get("Contents"):
            for each in found:
                client.delete_object(Bucket=bucket["Name"], Key=each["Key"])
        client.delete_bucket(Bucket=bucket["Name"])


@contextmanager
def own_server(root: Path) -> Iterator[Service]:
    """Ours on a directory: the one S3 service at hand that holds every key."""
    with Server(root, environment={"DGP_REPLAY_WINDOW_SECS": "0"}) as server:
        yield Service("deltaglider_proxy", f"http://127.0.0.1:{server.port}", ACCESS_KEY, SECRET_KEY)


@asynccontextmanager
async def versitygw(root: Path) -> AsyncIterator[Backend]:
    with versitygw_service(root) as service:
        async with opened(settings_for(service, root), await verdicts_of(service, root)) as backend:
            yield backend


@asynccontextmanager
async def versitygw_untested(root: Path) -> AsyncIterator[Backend]:
    """With the most pessimistic verdicts: nothing is asked of the service that it might not have."""
    with versitygw_service(root) as service:
        async with opened(settings_for(service, root), Verdicts()) as backend:
            yield backend
