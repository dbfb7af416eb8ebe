"""The example of a chunked upload in the documentation of AWS."""

import pytest

from deltaglider_proxy.access.chunk_chain import ChunkChain
from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.sigv4 import Verified, signing_key

SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def chain(seed: bytes) -> ChunkChain:
    key = signing_key(SECRET, b"20130524", b"us-east-1")
    scope = b"20130524/us-east-1/s3/aws4_request"
    return ChunkChain(Verified("AKIAIOSFODNN7EXAMPLE", seed, b"20130524T000000Z", scope, False, key))


SEED = b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKS = [
    (65536, b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]


def test_published_chain() -> None:
    verifier = chain(SEED)
    for size, signature in CHUNKS:
        verifier.update(b"a" * size)
        verifier.finish_chunk(signature)


def test_published_chain_with_trailer() -> None:
    verifier = chain(b"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
    signatures = [
        b"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        b"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        b"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]
    for size, signature in zip((65536, 1024, 0), signatures, strict=True):
        verifier.update(b"a" * size)
        verifier.finish_chunk(signature)
    verifier.finish_trailer(
        b"x-amz-checksum-crc32c:sOO8/Q==\n", b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    )


@pytest.mark.parametrize("broken", range(3))
def test_each_chunk_depends_on_those_before(broken: int) -> None:
    verifier = chain(SEED)
    for size, signature in CHUNKS[:broken]:
        verifier.update(b"a" * size)
        verifier.finish_chunk(signature)
    verifier.update(b"b")
    with pytest.raises(AccessError) as caught:
        verifier.finish_chunk(CHUNKS[broken][1])
    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_the_seed_counts() -> None:
    with pytest.raises(AccessError):
        chain(b"0" * 64).finish_chunk(CHUNKS[0][1])
