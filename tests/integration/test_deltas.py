"""What the product is for: similar objects take little room and come back byte-identical."""

import random
from io import BytesIO

import pytest
from boto3.s3.transfer import TransferConfig
from mypy_boto3_s3 import S3Client

from tests.support.server import Server


def releases(seed: int, size: int, count: int) -> list[bytes]:
    """Versions of one thing: a few edits, insertions and deletions each."""
    rng = random.Random(seed)
    current = bytearray(rng.randbytes(size))
    versions = [bytes(current)]
    for _ in range(count - 1):
        for _ in range(5):
            at = rng.randrange(len(current))
            current[at : at + rng.randrange(200)] = rng.randbytes(rng.randrange(1, 300))
        versions.append(bytes(current))
    return versions


@pytest.mark.parametrize("size", [5_000, 60_000, 700_000, 5_000_000, 40_000_000])
def test_releases_are_stored_as_deltas_and_read_back(s3: S3Client, bucket: str, server: Server, size: int) -> None:
    versions = releases(size, size, 4)
    for number, data in enumerate(versions):
        s3.put_object(Bucket=bucket, Key=f"app-1.{number}.tar", Body=data)
    for number, data in enumerate(versions):
        found = s3.get_object(Bucket=bucket, Key=f"app-1.{number}.tar")
        assert found["Body"].read() == data
        assert found["ContentLength"] == len(data)
    assert server.stats(bucket)["total_original_size"] == sum(map(len, versions))
    if size >= 60_000:
        # The first object becomes a container behind the acknowledgement of the second.
        server.wait_for(lambda: server.stats(bucket)["total_stored_size"] < 1.3 * size)


def test_listing_equals_head_for_deltas(s3: S3Client, bucket: str) -> None:
    for number, data in enumerate(releases(1, 100_000, 5)):
        s3.put_object(Bucket=bucket, Key=f"fw-{number}.bin", Body=data)
    for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        head = s3.head_object(Bucket=bucket, Key=entry["Key"])
        assert (entry["Size"], entry["ETag"]) == (head["ContentLength"], head["ETag"])
        assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]


def test_multipart_uploads_become_deltas(s3: S3Client, bucket: str) -> None:
    config = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20)
    versions = releases(2, 30_000_000, 3)
    for number, data in enumerate(versions):
        s3.upload_fileobj(BytesIO(data), bucket, f"image-{number}.raw", Config=config)
    for number, data in enumerate(versions):
        found = s3.get_object(Bucket=bucket, Key=f"image-{number}.raw")
        assert found["Body"].read() == data
        assert found["ETag"].endswith('-4"')
    headers = s3.head_object(Bucket=bucket, Key="image-2.raw")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-storage-type"] == "delta"
    assert int(headers["x-deltaglider-stored-size"]) < 300_000


def test_ranges_of_deltas(s3: S3Client, bucket: str) -> None:
    versions = releases(3, 20_000_000, 2)
    for number, data in enumerate(versions):
        s3.put_object(Bucket=bucket, Key=f"disk-{number}.img", Body=data)
    data = versions[1]
    rng = random.Random(4)
    for _ in range(10):
        start = rng.randrange(len(data))
        stop = min(start + rng.randrange(1, 3_000_000), len(data))
        found = s3.get_object(Bucket=bucket, Key="disk-1.img", Range=f"bytes={start}-{stop - 1}")
        assert found["Body"].read() == data[start:stop]
        assert found["ContentRange"] == f"bytes {start}-{stop - 1}/{len(data)}"


def test_everything_is_there_after_a_restart(server: Server, s3: S3Client, bucket: str) -> None:
    versions = releases(5, 300_000, 3)
    for number, data in enumerate(versions):
        s3.put_object(Bucket=bucket, Key=f"v{number}", Body=data, Metadata={"n": str(number)})
    server.restart()
    for number, data in enumerate(versions):
        found = s3.get_object(Bucket=bucket, Key=f"v{number}")
        assert found["Body"].read() == data
        assert found["Metadata"] == {"n": str(number)}
