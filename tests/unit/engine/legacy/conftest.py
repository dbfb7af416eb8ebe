from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deltaglider_proxy.engine.model import BucketPolicy
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.engine.explore import Storage
from tests.support.engine.nodes import BUCKET, Node, node, settings
from tests.support.engine.place import Place

POLICIES = {BUCKET: BucketPolicy(legacy=True)}


@pytest.fixture(params=[True, False], ids=["listed-metadata", "bare-listing"])
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """An empty bucket as a service holds it."""
    made = Place(tmp_path, Storage(listing_has_metadata=request.param))
    await made.begin()
    yield made
    await made.close()


@pytest.fixture
def reader(service: Place) -> Node:
    """A process that knows that the bucket may hold older things."""
    return service.process(policies=POLICIES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Of a backend on files."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(2)
    yield made
    made.close()


@pytest.fixture
async def files(root: Path, tmp_path: Path, pool: Pool) -> AsyncIterator[Node]:
    """A process over files."""
    (root / BUCKET).mkdir()
    backend = FilesystemBackend(root, pool, SystemClock())
    made = node(backend, SystemClock(), settings(tmp_path, policies=POLICIES))
    yield made
    await made.engine.close()
    await backend.close()
