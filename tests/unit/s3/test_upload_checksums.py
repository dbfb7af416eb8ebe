"""What a worker remembers of uploads: asked once, bounded, and never a guess."""

from collections.abc import Sequence

import pytest

from deltaglider_proxy.engine.errors import NoSuchUpload
from deltaglider_proxy.engine.model import ChecksumAlgorithm, ChecksumType, PartInfo, UploadInfo
from deltaglider_proxy.s3.protocol.checksums import UploadChecksum
from deltaglider_proxy.s3.upload_checksums import UploadChecksums

SHA1 = UploadChecksum("SHA1", "COMPOSITE")


class Records:
    """The one question that is asked of a store."""

    def __init__(self) -> None:
        self.uploads: dict[str, UploadInfo] = {}
        self.asked: list[str] = []

    async def list_parts(
        self, bucket: str, key: str, upload_id: str, after: int = 0, limit: int = 1000
    ) -> tuple[UploadInfo, Sequence[PartInfo], bool]:
        self.asked.append(upload_id)
        if upload_id not in self.uploads:
            raise NoSuchUpload(upload_id)
        return self.uploads[upload_id], (), False


@pytest.fixture
def records() -> Records:
    return Records()


def known(records: Records, capacity: int = 4096) -> UploadChecksums:
    return UploadChecksums(records, capacity)


async def test_the_storage_is_asked_once(records: Records) -> None:
    records.uploads["a"] = UploadInfo(
        "k", "a", 0, checksum_algorithm=ChecksumAlgorithm.SHA1, checksum_type=ChecksumType.COMPOSITE
    )
    records.uploads["b"] = UploadInfo("k", "b", 0)
    uploads = known(records)
    for _ in range(2):
        assert await uploads.of("bucket", "k", "a") == SHA1
        assert await uploads.of("bucket", "k", "b") is None
    assert records.asked == ["a", "b"]


async def test_what_was_noted_is_not_asked(records: Records) -> None:
    uploads = known(records)
    uploads.note("bucket", "k", "a", SHA1)
    assert await uploads.of("bucket", "k", "a") == SHA1
    assert records.asked == []
    with pytest.raises(NoSuchUpload):
        await uploads.of("bucket", "another", "a")


async def test_what_is_not_there_is_asked_again(records: Records) -> None:
    uploads = known(records)
    with pytest.raises(NoSuchUpload):
        await uploads.of("bucket", "k", "a")
    records.uploads["a"] = UploadInfo("k", "a", 0)
    assert await uploads.of("bucket", "k", "a") is None


async def test_memory_is_bounded(records: Records) -> None:
    uploads = known(records, capacity=2)
    for name in "abc":
        records.uploads[name] = UploadInfo("k", name, 0)
    for name in "abacab":  # `a` stays, `b` makes room for `c` and is asked for again
        await uploads.of("bucket", "k", name)
    assert records.asked == ["a", "b", "c", "b"]
