from collections.abc import Iterator

import pytest
from mypy_boto3_s3 import S3Client

from tests.integration.wire import Wire
from tests.support.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that need nothing special of it; each has its own bucket.

    The SDK signs two equal calls within a second equally; that they then count as a replay is not what most tests test.
    Nor is it that somebody whose signatures are wrong so often is locked out.
    """
    environment = {"DGP_DEBUG_HEADERS": "true", "DGP_REPLAY_WINDOW_SECS": "0", "DGP_RATE_LIMIT_MAX_ATTEMPTS": "0"}
    with Server(tmp_path_factory.mktemp("server"), environment=environment) as running:
        yield running


@pytest.fixture
def s3(server: Server) -> S3Client:
    return server.client()


@pytest.fixture
def wire(server: Server) -> Wire:
    return Wire(server)


@pytest.fixture
def bucket(s3: S3Client, request: pytest.FixtureRequest) -> str:
    """A new bucket, named after the test."""
    cleaned = "".join(c if c.isascii() and c.isalnum() else "-" for c in request.node.name.lower())
    name = f"t-{cleaned[:40].strip('-')}-{abs(hash(request.node.nodeid)) % 10**8}"
    s3.create_bucket(Bucket=name)
    return name
