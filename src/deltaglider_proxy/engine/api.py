"""What the S3 layer sees of the engine. `engine.engine.Engine` implements it; tests may implement it otherwise."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

from deltaglider_proxy.engine.model import (
    Attributes,
    Body,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    CompletedPart,
    Listing,
    ObjectInfo,
    PartInfo,
    Precondition,
    UploadInfo,
    UploadListing,
)


class OpenObject(Protocol):
    """One generation of an object, open for reading. Close it, also after an error."""

    info: ObjectInfo

    def read_now(self, start: int, stop: int) -> bytes | None:
        """The range as one value if it is small and at hand; else None."""
        ...

    def stream(self, start: int, stop: int) -> AsyncIterator[bytes | memoryview]:
        """Bytes `start` to `stop` (exclusive), verified before they are yielded. Raises Corrupt, Busy, Unavailable;
        before the first chunk a caller may still answer with an error, afterwards it must cut the response short.
        """
        ...

    @property
    def cache_hit(self) -> bool | None:
        """Whether all reference pieces were at hand; known once the first chunk of `stream` was yielded; None for
        objects that need no reference.
        """
        ...

    async def close(self) -> None: ...


class ObjectStore(Protocol):
    """Buckets and objects as clients know them; internal keys do not exist here. Raises `engine.errors` only."""

    async def list_buckets(self) -> Sequence[tuple[str, float]]:
        """Name and creation time (seconds since the epoch) of all buckets, sorted by name."""
        ...

    async def head_bucket(self, bucket: str) -> None: ...

    async def create_bucket(self, bucket: str) -> None:
        """Raises BucketExists."""
        ...

    async def delete_bucket(self, bucket: str) -> None:
        """Raises BucketNotEmpty."""
        ...

    async def head(self, bucket: str, key: str) -> ObjectInfo: ...

    async def open(self, bucket: str, key: str) -> OpenObject: ...

    async def put(
        self, bucket: str, key: str, body: Body, attributes: Attributes, precondition: Precondition | None = None
    ) -> ObjectInfo: ...

    async def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        attributes: Attributes | None,
        source_precondition: Precondition | None = None,
        precondition: Precondition | None = None,
        checksum: ChecksumAlgorithm | None = None,
    ) -> ObjectInfo:
        """Copy (bucket, key) to (bucket, key); `attributes` replaces the source's if not None."""
        ...

    async def delete(self, bucket: str, key: str, precondition: Precondition | None = None) -> bool:
        """False if there was nothing."""
        ...

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = ""
    ) -> Listing: ...

    async def get_tags(self, bucket: str, key: str) -> Mapping[str, str]: ...

    async def set_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> None: ...

    async def create_upload(
        self,
        bucket: str,
        key: str,
        attributes: Attributes,
        checksum_algorithm: ChecksumAlgorithm | None,
        checksum_type: ChecksumType | None,
    ) -> str:
        """Returns the upload id. Raises TooManyUploads."""
        ...

    async def put_part(self, bucket: str, key: str, upload_id: str, number: int, body: Body) -> PartInfo: ...

    async def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[CompletedPart],
        precondition: Precondition | None = None,
        verify: Callable[[Sequence[PartInfo]], Checksum | None] | None = None,
    ) -> ObjectInfo:
        """`verify` is given the parts as they were stored, raises to refuse, and returns the checksum to keep."""
        ...

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None: ...

    async def list_parts(
        self, bucket: str, key: str, upload_id: str, after: int = 0, limit: int = 1000
    ) -> tuple[UploadInfo, Sequence[PartInfo], bool]:
        """The upload, its parts by number after `after`, and whether there are more."""
        ...

    async def list_uploads(
        self, bucket: str, prefix: str, after_key: str, after_upload: str, limit: int, delimiter: str
    ) -> UploadListing: ...
