from collections.abc import Iterator

import pytest

from tests.support.storage.services.catalogue import Kind, Services, parameters
from tests.support.storage.services.service import Service


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with Services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture(params=parameters())
def service(request: pytest.FixtureRequest, services: Services) -> Service:
    kind = request.param
    assert isinstance(kind, Kind)
    return services.get(kind)
