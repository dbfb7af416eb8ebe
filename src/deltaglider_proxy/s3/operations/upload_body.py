"""The body of an upload as the engine takes it: framing removed, signatures and checksums verified on the way."""

from collections.abc import AsyncIterator, Mapping

from deltaglider_proxy.access.chunk_chain import ChunkChain
from deltaglider_proxy.engine.digests import BodyDigests
from deltaglider_proxy.engine.model import Body, Checksum, ChecksumAlgorithm, Digests
from deltaglider_proxy.s3.call import Call
from deltaglider_proxy.s3.protocol.checksums import Checked, Expected, UploadChecksum, parse_expected
from deltaglider_proxy.s3.protocol.chunked import Decoder, Framing, parse_framing
from deltaglider_proxy.s3.protocol.errors import Code, S3Error

_BATCH = 512 << 10
"""Signed chunks are hashed in a thread, in batches of this size."""


def upload_body(call: Call, upload: UploadChecksum | None = None) -> Body:
    """`upload`: whose part it is, if that has checksums.

    Raises MissingContentLength, EntityTooLarge, and what bad headers raise, before a byte is read.
    """
    headers = call.request.headers
    framing = _framing(call)
    expected = parse_expected(headers).of_part(upload)
    size = framing.length if framing is not None else call.body.length
    if size is None and b"transfer-encoding" not in headers:
        raise S3Error(Code.MissingContentLength)
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        raise S3Error(Code.MissingContentLength)
    limit = call.settings.max_object_size
    if size is not None and size > limit:
        raise S3Error(Code.EntityTooLarge, fields={"ProposedSize": str(size), "MaxSizeAllowed": str(limit)})
    trailers: dict[str, str] = {}
    if framing is None:
        chunks: AsyncIterator[bytes | memoryview] = call.body.chunks()
    else:
        chunks = _unframed(call, framing, trailers)
    claimed = expected.claimed
    return Body(
        chunks,
        size,
        expected.digests,
        lambda digests, got: _verify(expected, digests, trailers, got, size),
        _checksum(claimed) if claimed is not None else None,
        trailing=claimed is None and expected.algorithm is not None,
    )


async def before_asking(call: Call) -> None:
    """A client that waits to be asked for its body hears first that there is no bucket for it. Raises NoSuchBucket.

    Others send at once, and storing tells them; for them a question to the storage would be wasted.
    """
    if call.body.waits:
        await call.store.head_bucket(call.bucket)


def _framing(call: Call) -> Framing | None:
    """Raises NotImplemented for a transfer coding that the server does not undo: its bytes would be stored."""
    coding = call.request.headers.get(b"transfer-encoding", b"chunked")
    if coding.strip().lower() != b"chunked":
        raise S3Error(Code.NotImplemented, "The only Transfer-Encoding that is implemented is chunked.")
    return parse_framing(call.request.headers)


async def _unframed(call: Call, framing: Framing, trailers: dict[str, str]) -> AsyncIterator[bytes | memoryview]:
    signature = call.caller.signature
    verifier = ChunkChain(signature) if framing.signed and signature is not None else None
    decoder = Decoder(framing, verifier)
    pending = bytearray()
    async for data in call.body.chunks():
        if verifier is None:
            for piece in decoder.feed(data):
                yield piece
            continue
        pending += data
        if len(pending) >= _BATCH:
            batch, pending = bytes(pending), bytearray()
            for piece in await call.pool.run(decoder.feed, batch):
                yield piece
    if pending:
        for piece in decoder.feed(bytes(pending)):
            yield piece
    trailers.update(decoder.finish())


def _verify(
    expected: Expected, digests: Digests, trailers: Mapping[str, str], got: int, size: int | None
) -> Checksum | None:
    if size is not None and got != size:
        raise S3Error(Code.IncompleteBody)
    return kept_checksum(expected, digests, trailers)


def kept_checksum(expected: Expected, digests: Digests, trailers: Mapping[str, str]) -> Checksum | None:
    """Verify a body's digests; the checksum to keep with the object."""
    kept = expected.verify(digests, trailers)
    return _checksum(kept) if kept is not None else None


def _checksum(checked: Checked) -> Checksum:
    return Checksum(ChecksumAlgorithm(checked.algorithm), checked.value)


async def read_document(call: Call) -> bytes:
    """The body of an operation that takes a small document, whole and verified."""
    framing = _framing(call)
    expected = parse_expected(call.request.headers, values_count=not call.operation.checksum_of_result)
    trailers: dict[str, str] = {}
    if framing is None:
        document = await call.body.read(call.operation.body_limit)
    else:
        if framing.length > call.operation.body_limit:
            raise S3Error(Code.MalformedXML, f"The document is larger than {call.operation.body_limit} bytes.")
        document = b"".join([bytes(piece) async for piece in _unframed(call, framing, trailers)])
    digests = BodyDigests(expected.digests)
    digests.add(document)
    expected.verify(digests.results(), trailers)
    return document
