"""Listings: every key once, in byte order, in pages of any size, and with what HEAD says about it."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused, lacks, refused
from tests.integration.wire import Wire
from tests.support.server import Server

BUCKET = "listings"
ALPHABET = ["a", "b", "A", "0", "/", "/", "-", ".", "+", "%", " ", "é", "鍵", "🚀", "<", "&", "\x01", "~", "\\"]


def random_keys(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    keys = {"".join(rng.choices(ALPHABET, k=rng.randrange(1, 9))) for _ in range(count)}
    return sorted(keys, key=lambda key: key.encode())


KEYS = random_keys(11, 260)


@pytest.fixture(scope="module", autouse=True)
def _filled(server: Server) -> None:
    s3 = server.client()
    s3.create_bucket(Bucket=BUCKET)

    def put(key: str) -> None:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, KEYS))


def expected(prefix: str = "", delimiter: str = "", after: str = "") -> list[str]:
    """Keys and common prefixes, merged in byte order, each once."""
    found: dict[str, None] = {}
    for key in KEYS:
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        rest = key[len(prefix) :]
        if delimiter and delimiter in rest:
            rolled = prefix + rest[: rest.index(delimiter) + len(delimiter)]
            if not (after and after.startswith(rolled)):
                found[rolled] = None
        else:
            found[key] = None
    return list(found)


def walk_v2(s3: S3Client, size: int, prefix: str, delimiter: str) -> Iterator[str]:
    token: dict[str, str] = {}
    while True:
        page = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=size, Prefix=prefix, Delimiter=delimiter, **token)  # type: ignore[arg-type]  # a token or nothing
        keys = [entry["Key"] for entry in page.get("Contents", [])]
        prefixes = [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        assert page["KeyCount"] == len(keys) + len(prefixes) <= size
        yield from sorted([*keys, *prefixes], key=lambda name: name.encode())
        assert page["IsTruncated"] == ("NextContinuationToken" in page)
        if not page["IsTruncated"]:
            return
        assert page["KeyCount"] > 0
        token = {"ContinuationToken": page["NextContinuationToken"]}


def walk_v1(s3: S3Client, size: int, prefix: str, delimiter: str) -> Iterator[str]:
    marker = ""
    while True:
        page = s3.list_objects(Bucket=BUCKET, MaxKeys=size, Prefix=prefix, Delimiter=delimiter, Marker=marker)
        names = [entry["Key"] for entry in page.get("Contents", [])]
        names += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        yield from sorted(names, key=lambda name: name.encode())
        if not page["IsTruncated"]:
            return
        marker = page["NextMarker"]


def walk_versions(s3: S3Client, size: int, prefix: str, delimiter: str) -> Iterator[str]:
    marker: dict[str, str] = {}
    while True:
        page = s3.list_object_versions(Bucket=BUCKET, MaxKeys=size, Prefix=prefix, Delimiter=delimiter, **marker)  # type: ignore[arg-type]  # markers or nothing
        names = [entry["Key"] for entry in page.get("Versions", [])]
        names += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        yield from sorted(names, key=lambda name: name.encode())
        if not page["IsTruncated"]:
            return
        marker = {"KeyMarker": page["NextKeyMarker"]}
        if "NextVersionIdMarker" in page:
            marker["VersionIdMarker"] = page["NextVersionIdMarker"]


QUERIES = [
    ("", ""),
    ("", "/"),
    ("a", ""),
    ("a/", "/"),
    ("", "a"),
    ("/", "/"),
    ("é", ""),
    ("a", "/"),
    ("", "🚀"),
    ("%", "/"),
]


@pytest.mark.parametrize("walk", [walk_v2, walk_v1, walk_versions], ids=["v2", "v1", "versions"])
@pytest.mark.parametrize(("prefix", "delimiter"), QUERIES)
def test_pages_of_any_size_are_the_same_walk(
    s3: S3Client, walk: type[Iterator[str]], prefix: str, delimiter: str
) -> None:
    wanted = expected(prefix, delimiter)
    for size in (1000, 37, 7):
        assert list(walk(s3, size, prefix, delimiter)) == wanted, size  # type: ignore[call-arg]  # one of the three above
    few = wanted[:12]
    if len(wanted) <= 12:
        assert list(walk(s3, 1, prefix, delimiter)) == few  # type: ignore[call-arg]  # as above


def test_start_after(s3: S3Client) -> None:
    rng = random.Random(3)
    starts = [*rng.sample(KEYS, 15), "", "a/", "a/~", "\U0010ffff", "é"]
    for start in starts:
        for delimiter in ("", "/"):
            page = s3.list_objects_v2(Bucket=BUCKET, StartAfter=start, Delimiter=delimiter)
            names = [entry["Key"] for entry in page.get("Contents", [])]
            names += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            if not delimiter:
                assert names == expected(after=start), start
            else:
                # A prefix that lies around the start may be told again or not; what lies behind must be told.
                assert set(names) >= set(expected(delimiter="/", after=start)), start
                assert all(name.encode() > start.encode() or start.startswith(name) for name in names)
            assert page["StartAfter"] == start


def test_a_token_comes_before_start_after(s3: S3Client) -> None:
    first = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=5)
    page = s3.list_objects_v2(
        Bucket=BUCKET, MaxKeys=5, ContinuationToken=first["NextContinuationToken"], StartAfter=KEYS[100]
    )
    assert [entry["Key"] for entry in page["Contents"]] == KEYS[5:10]


def test_a_token_of_another_server_is_a_key(s3: S3Client) -> None:
    page = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=3, ContinuationToken=KEYS[20])
    assert [entry["Key"] for entry in page["Contents"]] == KEYS[21:24]


@pytest.mark.parametrize("query", ["list-type=2&", "", "versions&"])
def test_no_keys_at_all(wire: Wire, query: str) -> None:
    answer = wire.request("GET", f"/{BUCKET}", f"{query}max-keys=0")
    assert answer.status == 200
    assert answer.element("MaxKeys") == "0"
    assert answer.element("IsTruncated") == "false"
    assert answer.element("Key") is None
    assert answer.element("Size") is None


def test_more_than_a_thousand_is_a_thousand(wire: Wire) -> None:
    assert wire.request("GET", f"/{BUCKET}", "list-type=2&max-keys=5000&prefix=none").element("MaxKeys") == "1000"


@pytest.mark.parametrize(
    "query",
    [
        "max-keys=-1",
        "max-keys=x",
        "max-keys=99999999999",
        "list-type=2&max-keys=1.5",
        "encoding-type=base64",
        "list-type=3",
        "list-type=2&continuation-token=",
        "prefix=%00",
        "versions&version-id-marker=null",
        "uploads&max-uploads=x",
    ],
)
def test_queries_that_make_no_sense(wire: Wire, query: str) -> None:
    check_refused(wire.request("GET", f"/{BUCKET}", query), "InvalidArgument", 400)


def test_keys_are_encoded_on_request(wire: Wire) -> None:
    answer = wire.request("GET", f"/{BUCKET}", "list-type=2&encoding-type=url&prefix=%2B&delimiter=%2F")
    assert answer.element("EncodingType") == "url"
    assert answer.element("Delimiter") == "/"
    assert answer.element("Prefix") in ("%2B", None)
    keys = [part.split(b"</Key>")[0] for part in answer.body.split(b"<Key>")[1:]]
    assert keys
    assert all(key.startswith(b"%2B") for key in keys)


def test_what_xml_cannot_hold_needs_the_encoding(wire: Wire, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="<&>\"'", Body=b"x")
    answer = wire.request("GET", f"/{bucket}", "list-type=2")
    assert answer.element("Key") == "<&>\"'"
    s3.put_object(Bucket=bucket, Key="\x01", Body=b"x")
    assert b"%01" in wire.request("GET", f"/{bucket}", "list-type=2&encoding-type=url").body


def test_owners(s3: S3Client) -> None:
    (owner,) = {entry["Owner"]["ID"] for entry in s3.list_objects(Bucket=BUCKET)["Contents"]}
    assert owner == s3.list_buckets()["Owner"]["ID"]
    assert lacks(s3.list_objects_v2(Bucket=BUCKET, MaxKeys=1)["Contents"][0], "Owner")
    assert s3.list_objects_v2(Bucket=BUCKET, MaxKeys=1, FetchOwner=True)["Contents"][0]["Owner"]["ID"] == owner


def test_each_object_is_its_only_version(s3: S3Client) -> None:
    page = s3.list_object_versions(Bucket=BUCKET, MaxKeys=20)
    for version in page["Versions"]:
        assert (version["VersionId"], version["IsLatest"]) == ("null", True)
        head = s3.head_object(Bucket=BUCKET, Key=version["Key"])
        assert (version["Size"], version["ETag"]) == (head["ContentLength"], head["ETag"])
    assert lacks(page, "DeleteMarkers")


def test_a_listing_says_what_head_says(s3: S3Client, bucket: str) -> None:
    similar = random.Random(5).randbytes(150_000)
    for number in range(4):
        s3.put_object(Bucket=bucket, Key=f"v{number}.bin", Body=similar + bytes([number]) * number)
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    s3.copy_object(Bucket=bucket, Key="copied", CopySource={"Bucket": bucket, "Key": "v3.bin"})
    for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        head = s3.head_object(Bucket=bucket, Key=entry["Key"])
        assert (entry["Size"], entry["ETag"]) == (head["ContentLength"], head["ETag"])
        assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
        assert entry["StorageClass"] == "STANDARD"


def test_absent_buckets(s3: S3Client) -> None:
    for call in (s3.list_objects, s3.list_objects_v2, s3.list_object_versions, s3.list_multipart_uploads):
        with refused("NoSuchBucket", 404):
            call(Bucket="no-such-bucket-here")
