"""Signatures agree with those of botocore and with the examples in AWS's documentation."""

from datetime import UTC, datetime

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.storage.backends.s3.signing import (
    CHUNKED,
    EMPTY_SHA256,
    Chunks,
    Credentials,
    Signer,
    encoded_path,
    encoded_query,
    framed_size,
)

KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
MAY_2013 = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


@given(
    key=keys,
    query=st.dictionaries(st.sampled_from(["uploadId", "partNumber", "prefix", "list-type"]), keys, max_size=3),
    headers=st.dictionaries(st.sampled_from(["x-amz-meta-a", "if-match", "content-type"]), printable, max_size=3),
    token=st.sampled_from([None, "session-token"]),
)
def test_as_botocore_signs(key: str, query: dict[str, str], headers: dict[str, str], token: str | None) -> None:
    path, text = encoded_path(f"/bucket/{key}"), encoded_query(query)
    request = AWSRequest("GET", f"https://host.example{path}?{text}", {**headers, "host": "host.example"})
    theirs = S3SigV4Auth(
        BotoCredentials(KEY.access_key_id, KEY.secret_access_key, token),
        "s3",
        "us-east-1",
    )
    theirs.add_auth(request)
    moment = datetime.strptime(str(request.context["timestamp"]), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    mine = Signer("us-east-1").sign(
        Credentials(KEY.access_key_id, KEY.secret_access_key, token),
        moment,
        "GET",
        path,
        text,
        {**headers, "host": "host.example"},
        EMPTY_SHA256,
    )
    assert mine["authorization"] == request.headers["Authorization"]


def test_the_documented_get() -> None:
    headers = {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9"}
    signed = Signer("us-east-1").sign(KEY, MAY_2013, "GET", "/test.txt", "", headers, EMPTY_SHA256)
    assert signed["authorization"].endswith(
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_the_documented_chunks() -> None:
    signer = Signer("us-east-1")
    signed = {
        "x-amz-date": "20130524T000000Z",
        "authorization": "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    }
    chunks = signer.chunks(KEY, signed)
    large = "bf718b6f653bebc184e1479f1935b8da974d701b893afcf49e701f3e2f9f9c5a"
    small = "2edc986847e209b4016e141a6dc8716d3207350f416969382d431539bf292e4a"
    heads = [chunks.head(65536, large), chunks.head(1024, small), chunks.head(0, EMPTY_SHA256)]
    assert heads == [
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n",
    ]
    assert framed_size(66560, 65536) == 66824


@given(st.integers(0, 5000), st.integers(1, 1000))
def test_the_announced_length_is_what_is_framed(size: int, chunk: int) -> None:
    chunks = Chunks(b"key", "start", "seed")
    sizes = [chunk] * (size // chunk) + ([size % chunk] if size % chunk else []) + [0]
    assert framed_size(size, chunk) == sum(len(chunks.head(each, "digest")) + each + 2 for each in sizes)


def test_the_key_of_the_day_follows_the_secret() -> None:
    signer = Signer("us-east-1")
    headers = {"host": "h"}

    def sign(credentials: Credentials, now: float) -> str:
        return signer.sign(credentials, now, "GET", "/", "", headers, CHUNKED)["authorization"]

    other = Credentials(KEY.access_key_id, "another secret")
    first = sign(KEY, MAY_2013)
    assert len({first, sign(other, MAY_2013), sign(KEY, MAY_2013 + 86400)}) == 3
    assert sign(KEY, MAY_2013) == first


def test_secrets_are_not_shown() -> None:
    assert KEY.secret_access_key not in repr(KEY)
    assert "itself" not in repr(Credentials("id", "the-secret-itself", "the-token-itself"))
