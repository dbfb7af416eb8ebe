"""The documents that S3 answers with, as formatted strings: a tree builder takes four times as long for a full page.

Every text that a client or a backend chose goes through `escape`. A test reads each document back with botocore's own
parser, which holds them to the AWS service model. Element order is that of the S3 API Reference.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from deltaglider_proxy.s3.protocol.dates import iso_date
from deltaglider_proxy.s3.protocol.escape import escape, url_encode
from deltaglider_proxy.s3.protocol.listing import (
    BucketsQuery,
    ListQuery,
    PartsQuery,
    UploadsQuery,
    VersionsQuery,
    encode_token,
)

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
"""Begins every document. A long operation sends it first and spaces after it, to keep the connection alive, and at the
end the document without it.
"""

_NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

OWNER_ID = "deltaglider_proxy"
OWNER_NAME = "DeltaGlider Proxy"
REGION = "us-east-1"
_ACCOUNT = f"<ID>{OWNER_ID}</ID><DisplayName>{OWNER_NAME}</DisplayName>"
_OWNER = f"<Owner>{_ACCOUNT}</Owner>"
_STORAGE_CLASS = "<StorageClass>STANDARD</StorageClass>"


class ChecksumValue(Protocol):
    @property
    def algorithm(self) -> str:
        """`CRC32`, `CRC32C`, `CRC64NVME`, `SHA1` or `SHA256`."""
        ...

    @property
    def value(self) -> str:
        """Base64."""
        ...

    @property
    def type(self) -> str:
        """`FULL_OBJECT` or `COMPOSITE`."""
        ...


class ListedObject(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def modified(self) -> float: ...
    @property
    def checksum(self) -> ChecksumValue | None: ...


class ListedUpload(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def upload_id(self) -> str: ...
    @property
    def initiated(self) -> float: ...
    @property
    def checksum_algorithm(self) -> str | None: ...
    @property
    def checksum_type(self) -> str | None: ...


class ListedPart(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def modified(self) -> float: ...
    @property
    def checksum(self) -> ChecksumValue | None: ...


@dataclass(frozen=True, slots=True)
class DeleteFailure:
    key: str
    code: str
    message: str
    version: str | None = None


def _document(root: str, inner: str, namespace: str = _NAMESPACE) -> bytes:
    return DECLARATION + f"<{root}{namespace}>{inner}</{root}>".encode()


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _optional(name: str, value: str | None) -> str:
    return "" if value is None else f"<{name}>{escape(value)}</{name}>"


def _checksum(checksum: ChecksumValue | None, with_type: bool = True) -> str:
    if checksum is None:
        return ""
    name = f"Checksum{checksum.algorithm!s}"
    kind = f"<ChecksumType>{checksum.type!s}</ChecksumType>" if with_type else ""
    return f"<{name}>{escape(checksum.value)}</{name}>{kind}"


def _name(text: str, url_encoded: bool) -> str:
    return url_encode(text) if url_encoded else escape(text)


def _prefixes(entries: Iterable[object], url_encoded: bool) -> str:
    return "".join(
        f"<CommonPrefixes><Prefix>{_name(entry, url_encoded)}</Prefix></CommonPrefixes>"
        for entry in entries
        if isinstance(entry, str)
    )


def _user_metadata(items: Mapping[str, str] | None) -> str:
    if items is None:
        return ""
    rows = "".join(f"<Key>{escape(name)}</Key><Value>{escape(value)}</Value>" for name, value in items.items())
    return f"<UserMetadata><Items>{rows}</Items></UserMetadata>"


def _contents(
    entries: Iterable[ListedObject | str],
    url_encoded: bool,
    owner: str,
    metadata: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> str:
    name = url_encode if url_encoded else escape
    rows = []
    for entry in entries:
        if isinstance(entry, str):
            continue
        checksum = entry.checksum
        algorithm = (
            ""
            if checksum is None
            else f"<ChecksumAlgorithm>{checksum.algorithm!s}</ChecksumAlgorithm>"
            f"<ChecksumType>{checksum.type!s}</ChecksumType>"
        )
        rows.append(
            f"<Contents><Key>{name(entry.key)}</Key><LastModified>{iso_date(entry.modified)}</LastModified>"
            f"<ETag>&quot;{escape(entry.etag)}&quot;</ETag>{algorithm}<Size>{entry.size}</Size>{owner}{_STORAGE_CLASS}"
            f"{_user_metadata(metadata.get(entry.key))}</Contents>"
        )
    return "".join(rows)


def _last(entries: Sequence[ListedObject | str]) -> str:
    entry = entries[-1]
    return entry if isinstance(entry, str) else entry.key


def _encoding(url_encoded: bool) -> str:
    return "<EncodingType>url</EncodingType>" if url_encoded else ""


def _delimiter(delimiter: str, url_encoded: bool) -> str:
    return f"<Delimiter>{_name(delimiter, url_encoded)}</Delimiter>" if delimiter else ""


def list_objects(bucket: str, query: ListQuery, entries: Sequence[ListedObject | str], truncated: bool) -> bytes:
    """`entries` are objects and common prefixes in byte order."""
    url = query.url_encoded
    next_marker = f"<NextMarker>{_name(_last(entries), url)}</NextMarker>" if truncated and entries else ""
    return _document(
        "ListBucketResult",
        f"<Name>{escape(bucket)}</Name><Prefix>{_name(query.prefix, url)}</Prefix>"
        f"<Marker>{_name(query.marker, url)}</Marker>{next_marker}<MaxKeys>{query.limit}</MaxKeys>"
        f"{_delimiter(query.delimiter, url)}{_encoding(url)}<IsTruncated>{_boolean(truncated)}</IsTruncated>"
        f"{_contents(entries, url, _OWNER)}{_prefixes(entries, url)}",
    )


def list_objects_v2(
    bucket: str,
    query: ListQuery,
    entries: Sequence[ListedObject | str],
    truncated: bool,
    metadata: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> bytes:
    """`entries` are objects and common prefixes in byte order; `metadata` is by key, for objects that show it."""
    url = query.url_encoded
    token = encode_token(_last(entries)) if truncated and entries else None
    start_after = "" if query.start_after is None else f"<StartAfter>{_name(query.start_after, url)}</StartAfter>"
    owner = _OWNER if query.fetch_owner else ""
    return _document(
        "ListBucketResult",
        f"<Name>{escape(bucket)}</Name><Prefix>{_name(query.prefix, url)}</Prefix>"
        f"{_optional('ContinuationToken', query.token)}{_optional('NextContinuationToken', token)}{start_after}"
        f"<KeyCount>{len(entries)}</KeyCount><MaxKeys>{query.limit}</MaxKeys>{_delimiter(query.delimiter, url)}"
        f"{_encoding(url)}<IsTruncated>{_boolean(truncated)}</IsTruncated>"
        f"{_contents(entries, url, owner, metadata)}{_prefixes(entries, url)}",
    )


def list_object_versions(
    bucket: str, query: VersionsQuery, entries: Sequence[ListedObject | str], truncated: bool
) -> bytes:
    """Each object is its only version, `null`, as in a bucket where versioning was never on."""
    url = query.url_encoded
    markers = ""
    if truncated and entries:
        markers = f"<NextKeyMarker>{_name(_last(entries), url)}</NextKeyMarker>"
        if not isinstance(entries[-1], str):
            markers += "<NextVersionIdMarker>null</NextVersionIdMarker>"
    versions = "".join(
        f"<Version><Key>{_name(entry.key, url)}</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>"
        f"<LastModified>{iso_date(entry.modified)}</LastModified><ETag>&quot;{escape(entry.etag)}&quot;</ETag>"
        f"<Size>{entry.size}</Size>{_OWNER}{_STORAGE_CLASS}</Version>"
        for entry in entries
        if not isinstance(entry, str)
    )
    return _document(
        "ListVersionsResult",
        f"<Name>{escape(bucket)}</Name><Prefix>{_name(query.prefix, url)}</Prefix>"
        f"<KeyMarker>{_name(query.key_marker, url)}</KeyMarker>"
        f"<VersionIdMarker>{escape(query.version_marker)}</VersionIdMarker>{markers}<MaxKeys>{query.limit}</MaxKeys>"
        f"{_delimiter(query.delimiter, url)}{_encoding(url)}<IsTruncated>{_boolean(truncated)}</IsTruncated>"
        f"{versions}{_prefixes(entries, url)}",
    )


def list_multipart_uploads(
    bucket: str, query: UploadsQuery, entries: Sequence[ListedUpload | str], truncated: bool
) -> bytes:
    """`entries` are uploads and common prefixes in byte order of their keys."""
    url = query.url_encoded
    markers = ""
    if truncated and entries:
        last = entries[-1]
        key, upload = (last, "") if isinstance(last, str) else (last.key, last.upload_id)
        markers = f"<NextKeyMarker>{_name(key, url)}</NextKeyMarker>"
        markers += f"<NextUploadIdMarker>{escape(upload)}</NextUploadIdMarker>"
    uploads = "".join(
        f"<Upload><Key>{_name(entry.key, url)}</Key><UploadId>{escape(entry.upload_id)}</UploadId>"
        f"<Initiator>{_ACCOUNT}</Initiator>{_OWNER}{_STORAGE_CLASS}<Initiated>{iso_date(entry.initiated)}</Initiated>"
        f"{_optional('ChecksumAlgorithm', entry.checksum_algorithm)}{_optional('ChecksumType', entry.checksum_type)}"
        "</Upload>"
        for entry in entries
        if not isinstance(entry, str)
    )
    return _document(
        "ListMultipartUploadsResult",
        f"<Bucket>{escape(bucket)}</Bucket><KeyMarker>{_name(query.key_marker, url)}</KeyMarker>"
        f"<UploadIdMarker>{escape(query.upload_marker)}</UploadIdMarker>{markers}"
        f"<Prefix>{_name(query.prefix, url)}</Prefix>{_delimiter(query.delimiter, url)}{_encoding(url)}"
        f"<MaxUploads>{query.limit}</MaxUploads><IsTruncated>{_boolean(truncated)}</IsTruncated>"
        f"{uploads}{_prefixes(entries, url)}",
    )


def list_parts(
    bucket: str, upload: ListedUpload, query: PartsQuery, parts: Sequence[ListedPart], truncated: bool
) -> bytes:
    next_marker = f"<NextPartNumberMarker>{parts[-1].number}</NextPartNumberMarker>" if parts else ""
    rows = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{iso_date(part.modified)}</LastModified>"
        f"<ETag>&quot;{escape(part.etag)}&quot;</ETag><Size>{part.size}</Size>{_checksum(part.checksum, False)}</Part>"
        for part in parts
    )
    return _document(
        "ListPartsResult",
        f"<Bucket>{escape(bucket)}</Bucket><Key>{escape(upload.key)}</Key><UploadId>{escape(upload.upload_id)}"
        f"</UploadId><Initiator>{_ACCOUNT}</Initiator>{_OWNER}{_STORAGE_CLASS}"
        f"<PartNumberMarker>{query.after}</PartNumberMarker>{next_marker}<MaxParts>{query.limit}</MaxParts>"
        f"<IsTruncated>{_boolean(truncated)}</IsTruncated>{_optional('ChecksumAlgorithm', upload.checksum_algorithm)}"
        f"{_optional('ChecksumType', upload.checksum_type)}{rows}",
    )


def list_buckets(buckets: Iterable[tuple[str, float]], query: BucketsQuery, next_after: str | None = None) -> bytes:
    """`next_after` is the last name of a page that is followed by another."""
    rows = "".join(
        f"<Bucket><Name>{escape(name)}</Name><CreationDate>{iso_date(created)}</CreationDate>"
        f"<BucketRegion>{REGION}</BucketRegion></Bucket>"
        for name, created in buckets
    )
    return _document(
        "ListAllMyBucketsResult",
        f"{_OWNER}<Buckets>{rows}</Buckets>{_optional('Prefix', query.prefix or None)}"
        f"{_optional('ContinuationToken', next_after)}",
    )


def initiate_multipart_upload(bucket: str, key: str, upload_id: str) -> bytes:
    return _document(
        "InitiateMultipartUploadResult",
        f"<Bucket>{escape(bucket)}</Bucket><Key>{escape(key)}</Key><UploadId>{escape(upload_id)}</UploadId>",
    )


def complete_multipart_upload(
    location: str, bucket: str, key: str, etag: str, checksum: ChecksumValue | None = None
) -> bytes:
    """`location` is the URL of the object."""
    return _document(
        "CompleteMultipartUploadResult",
        f"<Location>{escape(location)}</Location><Bucket>{escape(bucket)}</Bucket><Key>{escape(key)}</Key>"
        f"<ETag>&quot;{escape(etag)}&quot;</ETag>{_checksum(checksum)}",
    )


def copy_object(etag: str, modified: float, checksum: ChecksumValue | None = None) -> bytes:
    return _document("CopyObjectResult", _copied(etag, modified) + _checksum(checksum))


def copy_part(etag: str, modified: float, checksum: ChecksumValue | None = None) -> bytes:
    return _document("CopyPartResult", _copied(etag, modified) + _checksum(checksum, False))


def _copied(etag: str, modified: float) -> str:
    return f"<LastModified>{iso_date(modified)}</LastModified><ETag>&quot;{escape(etag)}&quot;</ETag>"


def delete_result(deleted: Iterable[tuple[str, str | None]], failures: Iterable[DeleteFailure]) -> bytes:
    """`deleted`: keys with the version that was asked for; leave it empty for a quiet request."""
    rows = [f"<Deleted><Key>{escape(key)}</Key>{_optional('VersionId', version)}</Deleted>" for key, version in deleted]
    rows += [
        f"<Error><Key>{escape(failure.key)}</Key>{_optional('VersionId', failure.version)}"
        f"<Code>{escape(failure.code)}</Code><Message>{escape(failure.message)}</Message></Error>"
        for failure in failures
    ]
    return _document("DeleteResult", "".join(rows))


def tagging(tags: Mapping[str, str]) -> bytes:
    rows = "".join(f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>" for key, value in tags.items())
    return _document("Tagging", f"<TagSet>{rows}</TagSet>")


def access_control_policy() -> bytes:
    """The only list there is: everything for the owner."""
    return _document(
        "AccessControlPolicy",
        f'{_OWNER}<AccessControlList><Grant><Grantee {_XSI} xsi:type="CanonicalUser">{_ACCOUNT}</Grantee>'
        "<Permission>FULL_CONTROL</Permission></Grant></AccessControlList>",
    )


def object_attributes(
    asked: frozenset[str],
    size: int,
    etag: str,
    checksum: ChecksumValue | None,
    part_sizes: Sequence[int],
    after: int = 0,
    limit: int = 1000,
) -> bytes:
    """`asked` holds names of the header `x-amz-object-attributes`; here, unlike elsewhere, the ETag has no quotes."""
    inner = _optional("ETag", etag) if "ETag" in asked else ""
    if "Checksum" in asked and checksum is not None:
        inner += f"<Checksum>{_checksum(checksum)}</Checksum>"
    if "ObjectParts" in asked and part_sizes:
        shown = part_sizes[after : after + limit]
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><Size>{part}</Size></Part>"
            for number, part in enumerate(shown, after + 1)
        )
        inner += (
            f"<ObjectParts><PartsCount>{len(part_sizes)}</PartsCount><PartNumberMarker>{after}</PartNumberMarker>"
            f"<NextPartNumberMarker>{after + len(shown)}</NextPartNumberMarker><MaxParts>{limit}</MaxParts>"
            f"<IsTruncated>{_boolean(after + len(shown) < len(part_sizes))}</IsTruncated>{rows}</ObjectParts>"
        )
    if "StorageClass" in asked:
        inner += _STORAGE_CLASS
    if "ObjectSize" in asked:
        inner += f"<ObjectSize>{size}</ObjectSize>"
    return _document("GetObjectAttributesResponse", inner)


def location_constraint() -> bytes:
    """Empty: that is how S3 writes us-east-1."""
    return _document("LocationConstraint", "")


def versioning(status: str | None) -> bytes:
    return _document("VersioningConfiguration", _optional("Status", status))


def policy_status(is_public: bool) -> bytes:
    return _document("PolicyStatus", f"<IsPublic>{_boolean(is_public)}</IsPublic>")


def configuration(root: str) -> bytes:
    """A configuration at its default; for the lists among them, one without items."""
    inner = ""
    if root == "RequestPaymentConfiguration":
        inner = "<Payer>BucketOwner</Payer>"
    elif root.startswith("List"):
        inner = "<IsTruncated>false</IsTruncated>"
    return _document(root, inner)


def post_response(location: str, bucket: str, key: str, etag: str) -> bytes:
    """For a form with `success_action_status` 201; the one document without a namespace."""
    return _document(
        "PostResponse",
        f"<Location>{escape(location)}</Location><Bucket>{escape(bucket)}</Bucket><Key>{escape(key)}</Key>"
        f"<ETag>&quot;{escape(etag)}&quot;</ETag>",
        namespace="",
    )
