from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from tests.support.storage.s3 import opened, settings_for, verdicts_of
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.service import Service
from tests.support.storage.services.versitygw import versitygw


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with versitygw(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture
def bucket(service: Service) -> str:
    return service.new_bucket()


@pytest.fixture
async def proxy(service: Service) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(service) as running:
        yield running


@pytest.fixture
async def backend(service: Service, proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[S3Backend]:
    """Reaches the service through the proxy."""
    settings = settings_for(service, tmp_path, proxy.endpoint)
    async with opened(settings, await verdicts_of(service, tmp_path)) as made:
        yield made
