"""How bodies of more than one buffer go up and are joined, and that nothing of them shows before its time."""

import hashlib
import os

import pytest

from deltaglider_proxy.storage.backend import IfAbsent, IfMatch, Piece
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.errors import ConditionFailed, NoSuchKey, Unsupported
from tests.support.storage.objects import get, put
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.service import Service

MIB = 1 << 20
BODY = os.urandom(21 * MIB + 5)
METADATA = {"content-type": "text/x", "x-amz-meta-a": "é  b"}


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


async def test_a_known_size_is_one_put_with_the_md5_as_etag(backend: S3Backend, proxy: FaultProxy, bucket: str) -> None:
    stored = await put(backend, "key", BODY, METADATA, bucket=bucket)
    assert stored.etag == md5(BODY)
    assert stored.metadata == METADATA == (await backend.head(bucket, "key")).metadata
    assert len(proxy.forwarded("PUT")) == 1
    assert await get(backend, "key", bucket) == BODY


@pytest.mark.parametrize("written", [8 * MIB, 8 * MIB + 1, len(BODY)])
async def test_a_known_size_is_not_visible_before_the_commit(
    backend: S3Backend, proxy: FaultProxy, bucket: str, written: int
) -> None:
    writer = await backend.write(bucket, "key", {}, len(BODY) if written == len(BODY) else len(BODY) - 1)
    await writer.write(BODY[:written])
    with pytest.raises(NoSuchKey):
        await backend.head(bucket, "key")
    await writer.abort()
    with pytest.raises(NoSuchKey):
        await backend.head(bucket, "key")
    assert [passed.status for passed in proxy.passed if passed.request.method == "PUT"] == [None]


async def test_an_unknown_size_goes_up_in_parts(backend: S3Backend, bucket: str) -> None:
    writer = await backend.write(bucket, "key", METADATA)
    for start in range(0, len(BODY), 300_007):
        await writer.write(BODY[start : start + 300_007])
    stored = await writer.commit()
    digests = b"".join(hashlib.md5(BODY[start : start + 8 * MIB]).digest() for start in range(0, len(BODY), 8 * MIB))
    assert stored.etag == f"{md5(digests)}-3"
    assert (await backend.head(bucket, "key")).metadata == METADATA
    assert await get(backend, "key", bucket) == BODY


async def test_an_aborted_upload_leaves_no_parts(backend: S3Backend, service: Service, bucket: str) -> None:
    writer = await backend.write(bucket, "key", {})
    await writer.write(BODY)
    assert service.client().list_multipart_uploads(Bucket=bucket).get("Uploads")
    await writer.abort()
    assert not service.client().list_multipart_uploads(Bucket=bucket).get("Uploads")


async def test_a_condition_is_honoured_at_the_end_of_a_large_body(backend: S3Backend, bucket: str) -> None:
    old = await put(backend, "key", b"old", bucket=bucket)
    writer = await backend.write(bucket, "key", {}, len(BODY), conditional=True)
    await writer.write(BODY)
    with pytest.raises(ConditionFailed):
        await writer.commit(IfAbsent())
    assert await get(backend, "key", bucket) == b"old"
    await writer.commit(IfMatch(old.etag))
    await writer.abort()
    assert await get(backend, "key", bucket) == BODY


async def test_a_condition_that_was_not_announced_is_refused(backend: S3Backend, bucket: str) -> None:
    await put(backend, "key", b"old", bucket=bucket)
    writer = await backend.write(bucket, "key", {}, len(BODY))
    await writer.write(BODY)
    with pytest.raises(Unsupported, match="announced"):
        await writer.commit(IfAbsent())
    assert await get(backend, "key", bucket) == b"old"


async def test_parts_keep_their_boundaries(backend: S3Backend, proxy: FaultProxy, bucket: str) -> None:
    bodies = [BODY[: 6 * MIB], BODY[6 * MIB : 11 * MIB], BODY[11 * MIB : 11 * MIB + 9]]
    for number, body in enumerate(bodies):
        await put(backend, f"part-{number}", body, bucket=bucket)
    sent = sum(passed.body for passed in proxy.passed)
    pieces = [Piece(f"part-{number}", 0, len(body)) for number, body in enumerate(bodies)]
    stored = await backend.compose(bucket, "key", pieces, METADATA)
    assert stored.etag == f"{md5(b''.join(hashlib.md5(body).digest() for body in bodies))}-3"
    assert stored.metadata == METADATA == (await backend.head(bucket, "key")).metadata
    assert await get(backend, "key", bucket) == b"".join(bodies)
    assert sum(passed.body for passed in proxy.passed) - sent < 10_000, "the service copies the bytes itself"


async def test_pieces_too_small_for_parts_are_joined(backend: S3Backend, bucket: str) -> None:
    await put(backend, "source", BODY, bucket=bucket)
    spans = [(3, 9), (MIB, 4 * MIB), (0, 12 * MIB), (5, 6), (0, len(BODY)), (7, 7), (1, 3)]
    await backend.compose(bucket, "key", [Piece("source", *span) for span in spans], {})
    assert await get(backend, "key", bucket) == b"".join(BODY[start:stop] for start, stop in spans)


async def test_a_large_copy_under_a_condition(backend: S3Backend, bucket: str) -> None:
    source = await put(backend, "source", BODY, bucket=bucket)
    old = await put(backend, "key", b"old", bucket=bucket)
    piece = [Piece("source", 0, len(BODY))]
    with pytest.raises(ConditionFailed):
        await backend.compose(bucket, "key", piece, {}, IfAbsent(), IfMatch(source.etag))
    await backend.compose(bucket, "key", piece, {}, IfMatch(old.etag), IfMatch(source.etag))
    assert await get(backend, "key", bucket) == BODY
