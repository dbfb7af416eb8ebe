import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.chunk_chain import ChunkChain
from deltaglider_proxy.access.errors import AccessError
from deltaglider_proxy.access.sigv4 import Verified, signing_key
from deltaglider_proxy.s3.protocol.chunked import Decoder, Framing, parse_framing
from deltaglider_proxy.s3.protocol.errors import Code, S3Error

SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class BadSignature(Exception):
    pass


class Signatures:
    """Signs as it verifies: the signature of a chunk is a hash of it and of those before."""

    def __init__(self) -> None:
        self.chain = hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        self.chain.update(data)

    def next(self, text: bytes = b"|") -> bytes:
        self.chain.update(text)
        return self.chain.hexdigest().encode()

    def finish_chunk(self, signature: bytes) -> None:
        if self.next() != signature:
            raise BadSignature

    def finish_trailer(self, canonical: bytes, signature: bytes) -> None:
        if self.next(canonical) != signature:
            raise BadSignature


TRAILER = {"x-amz-checksum-crc32": "AAAAAA=="}


def encode(chunks: Sequence[bytes], framing: Framing, end: bytes = b"\r\n", gap: bytes = b"") -> bytes:
    signer = Signatures()
    body = bytearray()
    for chunk in (*chunks, b""):
        signer.update(chunk)
        extension = b";chunk-signature=" + signer.next() if framing.signed else b""
        body += b"%x%s\r\n%s" % (len(chunk), extension, chunk + b"\r\n" if chunk else b"")
    if framing.trailing:
        for name, value in TRAILER.items():
            body += f"{name}:{value}".encode() + end + gap
        if framing.signed:
            canonical = "".join(f"{name}:{value}\n" for name, value in TRAILER.items()).encode()
            body += b"x-amz-trailer-signature:" + signer.next(canonical) + end
    return bytes(body + b"\r\n")


def framing(kind: str, length: int) -> Framing:
    announced = frozenset(TRAILER) if "trailer" in kind else frozenset[str]()
    return Framing(kind.startswith("signed"), "trailer" in kind, length, announced)


KINDS = ["signed", "signed trailer", "unsigned trailer"]


def decode(pieces: Sequence[bytes], how: Framing) -> tuple[bytes, dict[str, str]]:
    decoder = Decoder(how, Signatures())
    out = b"".join(bytes(slice_) for piece in pieces for slice_ in decoder.feed(piece))
    return out, dict(decoder.finish())


CHUNKS = [b"hello ", b"\r\n0\r\n\r\n", b"w" * 300]
DATA = b"".join(CHUNKS)


@pytest.mark.parametrize("kind", KINDS)
def test_at_every_split(kind: str) -> None:
    how = framing(kind, len(DATA))
    body = encode(CHUNKS, how)
    expected = (DATA, TRAILER if how.trailing else {})
    assert decode([body], how) == expected
    assert decode([bytes([byte]) for byte in body], how) == expected
    for cut in range(len(body)):
        assert decode([body[:cut], body[cut:]], how) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_at_every_byte(kind: str) -> None:
    how = framing(kind, len(DATA))
    body = encode(CHUNKS, how)
    for cut in range(len(body)):
        with pytest.raises(S3Error) as caught:
            decode([body[:cut]], how)
        assert caught.value.code is Code.IncompleteBody, cut


@pytest.mark.parametrize("kind", KINDS)
def test_any_byte_changed_or_lost_is_noticed_or_changes_only_data(kind: str) -> None:
    how = framing(kind, len(DATA))
    body = encode(CHUNKS, how)
    for position in range(len(body)):
        for damaged in (
            body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :],
            body[:position] + body[position + 1 :],
            body[:position] + b"x" + body[position:],
        ):
            try:
                out, trailers = decode([damaged], how)
            except (S3Error, BadSignature):
                continue
            # Unsigned data has only its checksum, which others verify; framing never comes out as data.
            assert not how.signed or (out, trailers) == (DATA, TRAILER if how.trailing else {})
            assert len(out) == len(DATA)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.sampled_from(KINDS), st.integers(1, 7))
def test_any_chunks_in_any_steps(chunks: list[bytes], kind: str, step: int) -> None:
    how = framing(kind, sum(map(len, chunks)))
    body = encode(chunks, how)
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    assert decode(pieces, how)[0] == b"".join(chunks)
    assert decode([bytearray(body)], how)[0] == b"".join(chunks)  # type: ignore[list-item]  # any buffer will do


def test_slices_are_not_copies() -> None:
    how = framing("unsigned trailer", 100_000)
    body = encode([b"x" * 100_000], how)
    (slice_,) = Decoder(how).feed(body)
    assert slice_.obj is body


@pytest.mark.parametrize(("end", "gap"), [(b"\n", b""), (b"\n", b"\r\n"), (b"\r\n", b"\r\n")])
def test_spellings_of_trailers(end: bytes, gap: bytes) -> None:
    how = framing("signed trailer", len(DATA))
    assert decode([encode(CHUNKS, how, end, gap)], how) == (DATA, TRAILER)


def test_trailers_with_spaces_and_capitals() -> None:
    how = framing("unsigned trailer", 1)
    body = b"1\r\na\r\n0\r\nX-Amz-Checksum-CRC32 :  AAAAAA== \r\n\r\n"
    assert decode([body], how) == (b"a", TRAILER)


UNSIGNED = Framing(False, True, 5, frozenset())


@pytest.mark.parametrize("head", [b"5\r\n", b"005\r\n", b"5 \r\n", b"5;ext=1\r\n", b"5;chunk-signature=zz\r\n"])
def test_spellings_of_sizes(head: bytes) -> None:
    assert decode([head + b"hello\r\n0\r\n\r\n"], UNSIGNED)[0] == b"hello"


@pytest.mark.parametrize(
    "body",
    [
        b"hello\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhellothere\r\n0\r\n\r\n",
        b"6\r\nhello!\r\n0\r\n\r\n",
        b"3\r\nhel\r\n3\r\nlo!\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\nhello",
        b"00000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\nmore",
        b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        b"5\r\nhello\r\n0\r\na b:c\r\n\r\n",
        b"5\r\nhello\r\n0\r\na:1\r\na:2\r\n\r\n",
        b"5\r\nhello\r\n0\r\na:\xff\r\n\r\n",
        b"5" + b";" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\na:" + b"x" * 20_000 + b"\r\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"".join(b"a%d:%s\r\n" % (n, b"x" * 100) for n in range(200)) + b"\r\n",
    ],
)
def test_deviations(body: bytes) -> None:
    for pieces in ([body], [bytes([byte]) for byte in body]):
        with pytest.raises(S3Error) as caught:
            decode(pieces, UNSIGNED)
        assert caught.value.code is Code.InvalidRequest


def test_shorter_than_announced() -> None:
    with pytest.raises(S3Error) as caught:
        decode([b"4\r\nhell\r\n0\r\n\r\n"], UNSIGNED)
    assert caught.value.code is Code.IncompleteBody


def test_a_signed_chunk_needs_its_signature() -> None:
    with pytest.raises(S3Error, match="no signature"):
        decode([b"5\r\nhello\r\n0\r\n\r\n"], Framing(True, False, 5, frozenset()))


def test_trailers_that_were_not_announced() -> None:
    how = Framing(True, False, 5, frozenset())
    body = encode([b"hello"], how)
    with pytest.raises(S3Error, match="not announced"):
        decode([body[:-2] + b"a:b\r\n\r\n"], how)


def test_announced_trailers_must_come() -> None:
    how = Framing(False, True, 5, frozenset({"x-amz-checksum-crc32"}))
    with pytest.raises(S3Error, match="did not come"):
        decode([b"5\r\nhello\r\n0\r\n\r\n"], how)


def test_without_a_verifier_signatures_are_not_looked_at() -> None:
    how = framing("signed trailer", len(DATA))
    decoder = Decoder(how)
    assert b"".join(map(bytes, decoder.feed(encode(CHUNKS, how)))) == DATA
    assert decoder.done


def test_the_published_upload() -> None:
    """65 536 bytes of `a` and 1 024 more, as AWS documents them, at steps that cut every structure."""
    key = signing_key(SECRET, b"20130524", b"us-east-1")
    seed = b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    scope = b"20130524/us-east-1/s3/aws4_request"
    verified = Verified("AKIAIOSFODNN7EXAMPLE", seed, b"20130524T000000Z", scope, False, key)
    body = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
        + b"a" * 65536
        + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
        + b"a" * 1024
        + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    )
    assert len(body) == 66824
    how = Framing(True, False, 66560, frozenset())
    for step in (len(body), 1000, 77):
        decoder = Decoder(how, ChunkChain(verified))
        out = [bytes(s) for start in range(0, len(body), step) for s in decoder.feed(body[start : start + step])]
        assert b"".join(out) == b"a" * 66560
        assert decoder.finish() == {}
    with pytest.raises(AccessError):
        Decoder(how, ChunkChain(verified)).feed(body.replace(b"aaaa\r\n400", b"aaab\r\n400"))


def test_framing_of_headers() -> None:
    payload = b"x-amz-content-sha256"
    length = {b"x-amz-decoded-content-length": b"5"}
    assert parse_framing({payload: b"UNSIGNED-PAYLOAD"}) is None
    assert parse_framing({}) is None
    signed = parse_framing({payload: b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", **length})
    assert signed == Framing(True, False, 5, frozenset())
    unsigned = parse_framing(
        {payload: b"STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"x-amz-trailer": b"X-Amz-Checksum-CRC32, other", **length}
    )
    assert unsigned == Framing(False, True, 5, frozenset({"x-amz-checksum-crc32", "other"}))
    assert parse_framing({b"content-encoding": b"gzip,aws-chunked", **length}) == UNSIGNED


@pytest.mark.parametrize(
    ("payload", "length", "code"),
    [
        (b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", b"5", Code.NotImplemented),
        (b"STREAMING-SOMETHING", b"5", Code.InvalidRequest),
        (b"STREAMING-UNSIGNED-PAYLOAD-TRAILER", None, Code.MissingContentLength),
        (b"STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"-1", Code.InvalidArgument),
        (b"STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"", Code.InvalidArgument),
    ],
)
def test_refused_framings(payload: bytes, length: bytes | None, code: Code) -> None:
    headers = {b"x-amz-content-sha256": payload}
    if length is not None:
        headers[b"x-amz-decoded-content-length"] = length
    with pytest.raises(S3Error) as caught:
        parse_framing(headers)
    assert caught.value.code is code
