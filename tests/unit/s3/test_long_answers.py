"""Operations that may work long: silent ones have their true status, others send spaces and then the truth."""

from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from deltaglider_proxy.engine.errors import DiskFull, Unavailable
from deltaglider_proxy.s3.app import S3App
from deltaglider_proxy.s3.call import S3Settings
from deltaglider_proxy.s3.protocol.xml_out import DECLARATION
from tests.support.engine.nodes import BUCKET, InlinePool
from tests.support.engine.place import Place
from tests.support.s3_app import NEVER, Exchange, HeldEngine, app, ask, captured_log

SOURCE = [(b"x-amz-copy-source", f"/{BUCKET}/source".encode())]
TARGET = f"/{BUCKET}/target"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    await made.begin()
    yield made
    await made.close()


@pytest.fixture
async def engine(place: Place) -> AsyncIterator[HeldEngine]:
    node = place.process()
    await node.put("source", b"data")
    held = HeldEngine(node.engine.ctx)
    yield held
    await held.close()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with captured_log() as entries:
        yield entries


Started = Callable[[float], S3App]


@pytest.fixture
def started(engine: HeldEngine, tmp_path: Path) -> Started:
    def start(silence: float) -> S3App:
        return app(engine, tmp_path / "run", S3Settings(1 << 20, silence=silence), InlinePool())

    return start


def goes_after(engine: HeldEngine, pieces: int) -> Exchange:
    """The engine works until the client has seen so many pieces of the answer."""

    def look(exchange: Exchange) -> None:
        if len(exchange.pieces) >= pieces:
            engine.go.set()

    return Exchange(on_send=look)


def element(body: bytes, name: str) -> str | None:
    return etree.fromstring(body).findtext(f"{{*}}{name}")


async def test_a_long_copy_says_that_it_lives(started: Started, engine: HeldEngine) -> None:
    answer = await ask(started(0), "PUT", TARGET, headers=SOURCE, exchange=goes_after(engine, 4))
    assert (answer.status, answer.ended) == (200, True)
    assert "content-length" not in answer.headers
    assert answer.headers["content-type"] == "application/xml"
    assert answer.pieces[:4] == [DECLARATION, b" ", b" ", b" "]
    assert answer.body.count(b"<?xml") == 1
    assert etree.fromstring(answer.body).tag.endswith("CopyObjectResult")
    assert (await engine.head(BUCKET, "target")).size == 4


async def test_a_long_failure_is_an_error_within_a_success(
    started: Started, engine: HeldEngine, logs: list[MutableMapping[str, Any]]
) -> None:
    engine.failure = DiskFull("no room")
    answer = await ask(started(0), "PUT", TARGET, headers=SOURCE, exchange=goes_after(engine, 3))
    assert (answer.status, answer.ended) == (200, True)
    assert etree.fromstring(answer.body).tag == "Error"
    assert element(answer.body, "Code") == "InsufficientStorage"
    assert element(answer.body, "RequestId") == answer.headers["x-amz-request-id"]
    assert [line["status"] for line in logs if "begun as a success" in line["event"]] == [507]


async def test_what_nobody_expected_is_told_too(
    started: Started, engine: HeldEngine, logs: list[MutableMapping[str, Any]]
) -> None:
    engine.failure = ZeroDivisionError("secret")
    answer = await ask(started(0), "PUT", TARGET, headers=SOURCE, exchange=goes_after(engine, 3))
    assert element(answer.body, "Code") == "InternalError"
    assert b"secret" not in answer.body
    assert "unexpected error" in [line["event"] for line in logs]


@pytest.mark.parametrize(
    ("failure", "status"), [(None, 200), (Unavailable("gone"), 503), (ZeroDivisionError("bug"), 500)]
)
async def test_what_ends_soon_has_its_true_status(
    started: Started, engine: HeldEngine, failure: Exception | None, status: int
) -> None:
    engine.failure = failure
    engine.go.set()
    answer = await ask(started(NEVER), "PUT", TARGET, headers=SOURCE)
    assert answer.status == status
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.pieces[0].startswith(DECLARATION)


async def test_what_is_refused_at_the_door_has_its_true_status(started: Started) -> None:
    answer = await ask(started(0), "PUT", TARGET, headers=[(b"x-amz-copy-source", b"no-slash")])
    assert (answer.status, element(answer.body, "Code")) == (400, "InvalidArgument")


async def test_the_work_is_done_though_the_client_has_gone(started: Started, engine: HeldEngine) -> None:
    def gone(exchange: Exchange) -> None:
        if len(exchange.pieces) == 2:
            engine.go.set()
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await ask(started(0), "PUT", TARGET, headers=SOURCE, exchange=Exchange(on_send=gone))
    assert (await engine.head(BUCKET, "target")).size == 4


async def test_completions_and_copied_parts_say_that_they_live(started: Started, engine: HeldEngine) -> None:
    target = started(0)
    upload = element((await ask(target, "POST", TARGET, "uploads")).body, "UploadId")
    part = await ask(target, "PUT", TARGET, f"partNumber=1&uploadId={upload}", SOURCE, exchange=goes_after(engine, 2))
    assert (part.status, part.pieces[:2]) == (200, [DECLARATION, b" "])
    engine.go.clear()
    parts = f"<Part><PartNumber>1</PartNumber><ETag>{element(part.body, 'ETag')}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    done = await ask(target, "POST", TARGET, f"uploadId={upload}", body=document, exchange=goes_after(engine, 2))
    assert (done.status, done.pieces[:2]) == (200, [DECLARATION, b" "])
    assert element(done.body, "ETag") == f'"{(await engine.head(BUCKET, "target")).etag}"'


async def test_other_operations_are_not_answered_before_their_end(started: Started, engine: HeldEngine) -> None:
    target = started(0)
    upload = element((await ask(target, "POST", TARGET, "uploads")).body, "UploadId")
    engine.failure = DiskFull("no room")
    engine.go.set()
    part = await ask(target, "PUT", TARGET, f"partNumber=1&uploadId={upload}", body=b"x")
    assert part.status == 507
