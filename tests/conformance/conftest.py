"""A server for each module of tests, and buckets named after the tests."""

import hashlib
from collections.abc import Iterator

import pytest
from mypy_boto3_s3 import S3Client

from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), environment={"DGP_DEBUG_HEADERS": "true"}) as running:
        yield running


@pytest.fixture
def s3(server: Server) -> S3Client:
    return server.client()


@pytest.fixture
def bucket(s3: S3Client, request: pytest.FixtureRequest) -> str:
    name = f"t-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]}"
    s3.create_bucket(Bucket=name)
    return name
