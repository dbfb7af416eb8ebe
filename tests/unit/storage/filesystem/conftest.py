from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from tests.support.storage.kinds import filesystem
from tests.support.storage.objects import BUCKET


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture(params=[True, False], ids=["openat2", "walk"])
async def backend(request: pytest.FixtureRequest, root: Path) -> AsyncIterator[FilesystemBackend]:
    async with filesystem(openat2=bool(request.param))(root) as made:
        await made.create_bucket(BUCKET)
        yield made
