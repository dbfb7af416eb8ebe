"""The values that callers of the engine pass and receive; no S3 words beyond the names of headers."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ChecksumAlgorithm(StrEnum):
    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"


class ChecksumType(StrEnum):
    FULL_OBJECT = "FULL_OBJECT"
    COMPOSITE = "COMPOSITE"


@dataclass(frozen=True, slots=True)
class Checksum:
    """A client's checksum of an object; `value` is base64, with a `-<parts>` suffix when COMPOSITE."""

    algorithm: ChecksumAlgorithm
    value: str
    type: ChecksumType = ChecksumType.FULL_OBJECT


class Kind(StrEnum):
    """How an object is stored."""

    IDENTITY = "passthrough"
    DELTA = "delta"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a client may know about an object, and a little about how it is stored."""

    key: str
    size: int
    etag: str
    """Without quotes."""
    modified: float
    """Seconds since the epoch; logical, so promotion and re-encoding do not change it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """`content-type`, `cache-control`, `content-disposition`, `content-encoding`, `content-language`, `expires`,
    `x-amz-website-redirect-location`: what the client set, names in lower case."""
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    """Names without `x-amz-meta-`."""
    checksum: Checksum | None = None
    part_sizes: tuple[int, ...] = ()
    """Sizes of the parts of a multipart upload; empty for any other object."""
    tag_count: int = 0
    """Filled in by HEAD and GET only."""
    kind: Kind = Kind.IDENTITY
    stored_size: int = 0
    object_id: str = ""
    """128 random bits in hex that name this very object; empty for objects that we did not write."""
    origin: str = ""
    """The id that it was written under: promotion gives another id and keeps this."""
    generation: str = ""
    """The backend's ETag."""


Precondition = Callable[[ObjectInfo | None], None]
"""Is given what the key holds at the moment of the change (None: nothing); raises PreconditionFailed or NoSuchKey."""

Digests = Mapping[str, bytes]
"""Raw digests by name: `md5`, `sha256`, `sha1`, `crc32`, `crc32c`, `crc64nvme` (the CRCs big-endian)."""


@dataclass(frozen=True, slots=True)
class Body:
    """The plain bytes of an upload as they arrive.

    `chunks` yields buffers of any size; a buffer may be reused after the next one was asked for. It raises when the
    client breaks off. `digests` names what must be computed beside md5. `verify` is called once, after the last byte
    and before anything becomes visible, and raises to refuse; it returns the checksum to keep, if any. That is
    `claimed` where it was known before the body; `trailing` says that one will be known only then.
    """

    chunks: AsyncIterator[bytes | bytearray | memoryview]
    size: int | None
    digests: frozenset[str] = frozenset()
    verify: Callable[[Digests, int], Checksum | None] = lambda _digests, _size: None
    claimed: Checksum | None = None
    trailing: bool = False


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a client says about an object beside its bytes."""

    headers: Mapping[str, str] = field(default_factory=dict)
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    entries: tuple[ObjectInfo | str, ...]
    """Objects, and common prefixes as plain strings, merged in byte order."""
    truncated: bool
    """There is more; the last entry is where the next page goes on."""


@dataclass(frozen=True, slots=True)
class UploadInfo:
    key: str
    upload_id: str
    initiated: float
    attributes: Attributes = field(default_factory=Attributes)
    checksum_algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None


@dataclass(frozen=True, slots=True)
class UploadListing:
    entries: tuple[UploadInfo | str, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class PartInfo:
    number: int
    size: int
    etag: str
    modified: float
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class CompletedPart:
    number: int
    etag: str
    checksum: str | None = None


@dataclass(frozen=True, slots=True)
class BucketPolicy:
    """What the operator decided for one bucket."""

    compression: bool = True
    max_delta_ratio: float | None = None
    by_prefix: bool = False
    """Deltaspaces are folders instead of families of names."""
    quota_bytes: int | None = None
    """Logical bytes that the bucket may hold; 0: nothing may be written."""
    legacy: bool = False
    """It may hold objects in the layout of earlier proxies, which are read and never written."""
