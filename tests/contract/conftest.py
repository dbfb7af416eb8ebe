from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backend import Backend
from tests.support.storage.kinds import KINDS, Kind
from tests.support.storage.objects import BUCKET


@pytest.fixture(params=KINDS, ids=[kind.name for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    found = request.param
    assert isinstance(found, Kind)
    return found


@pytest.fixture
async def backend(kind: Kind, tmp_path: Path) -> AsyncIterator[Backend]:
    async with kind.make(tmp_path / "root") as made:
        await made.create_bucket(BUCKET)
        yield made
