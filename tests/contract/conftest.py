from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backend import Backend
from tests.support.programs import BUILD_SECONDS
from tests.support.storage.kinds import KINDS, Kind
from tests.support.storage.objects import BUCKET


def _parameter(kind: Kind) -> object:
    # What is missing may have to be built first, once.
    marks = [pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS + 300)] if kind.slow else []
    return pytest.param(kind, id=kind.name, marks=marks)


@pytest.fixture(params=map(_parameter, KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    found = request.param
    assert isinstance(found, Kind)
    return found


@pytest.fixture
async def backend(kind: Kind, tmp_path: Path) -> AsyncIterator[Backend]:
    async with kind.make(tmp_path / "root") as made:
        await made.create_bucket(BUCKET)
        yield made
