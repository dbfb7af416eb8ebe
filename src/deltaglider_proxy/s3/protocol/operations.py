"""The one table of operations: what a request is, what the caller must be allowed to do, and who answers it.

A row cannot exist without an action, so no handler can be reached without a decision about access. Which row applies
is a lookup by method, level and the sub-resources present, never a chain of tests: an unknown combination is refused,
so `DELETE /bucket/key?acl` cannot become DeleteObject. Names and routes are those of the AWS service model; a test
holds the table to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.request import Request

Action = Literal["read", "write", "delete", "list", "admin", "identified", "public"]
"""`identified`: any identity, the handler filters what it shows; `public`: no identity needed."""


class Level(Enum):
    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class BodyKind(Enum):
    NONE = "none"
    """A body, if any, is drained and ignored."""
    STREAM = "stream"
    SMALL_XML = "small xml"
    """Read whole, at most `body_limit` bytes."""
    FORM = "form"


class Shows(Enum):
    """What a plain read shows, which is all that strangers may ever ask for."""

    OBJECT = "object"
    NAMES = "names"
    """Those that begin with the parameter `prefix`."""


class Lists(Enum):
    """What a listing of keys does for a caller who may see only some of them."""

    FILTERED = "filtered"
    """It leaves the others out."""
    WHOLE = "whole"
    """It is refused."""


_SMALL = 64 << 10
_DELETE_LIMIT = 2 << 20
_COMPLETE_LIMIT = 4 << 20
"""10 000 parts, each with a checksum."""


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    method: str
    level: Level
    action: Action
    handler: str
    """What the registry of handlers calls it."""
    query: tuple[str, ...] = ()
    """Parameters that must be there."""
    headers: tuple[bytes, ...] = ()
    """Headers that must be there."""
    body: BodyKind = BodyKind.NONE
    body_limit: int = 0
    checksum_of_result: bool = False
    """The checksum headers are about the object that comes of it, not about the body."""
    source_action: Action | None = None
    """What the caller must be allowed to do with the object that `x-amz-copy-source` names."""
    or_action: Action | None = None
    """Who may do this instead of `action` may do it too."""
    lists: Lists | None = None
    """For listings of keys: what happens where the caller may see only some."""
    by_key: bool = False
    """Each key in the body is decided about alone."""
    long: bool = False
    """It may work for minutes, and clients know that its success may turn out to be an error."""
    shows: Shows | None = None
    absent: Code | None = None
    """For configurations that no bucket has: the code that says so."""
    document: str = ""
    """For configurations that every bucket has: the root element of the document."""

    def __post_init__(self) -> None:
        if not self.action:
            raise ValueError(f"operation {self.name}: an action is required")
        if (self.body is BodyKind.SMALL_XML) != (self.body_limit > 0):
            raise ValueError(f"operation {self.name}: body_limit goes with SMALL_XML, and only with it")

    @property
    def changes(self) -> bool:
        """It would change something."""
        return self.method not in ("GET", "HEAD")

    @property
    def changes_objects(self) -> bool:
        """It would change what a bucket holds."""
        return self.action in ("write", "delete") or self.name == "DeleteBucket"


_ACTION: Mapping[tuple[Level, str], Action] = {
    (Level.BUCKET, "GET"): "list",
    (Level.BUCKET, "HEAD"): "list",
    (Level.BUCKET, "PUT"): "admin",
    (Level.BUCKET, "POST"): "admin",
    (Level.BUCKET, "DELETE"): "admin",
    (Level.OBJECT, "GET"): "read",
    (Level.OBJECT, "HEAD"): "read",
    (Level.OBJECT, "PUT"): "write",
    (Level.OBJECT, "POST"): "write",
    (Level.OBJECT, "DELETE"): "delete",
}


def _unsupported(level: Level, rows: str) -> list[Operation]:
    """Operations that exist in S3 and not here; each line: name, method, parameters."""
    operations = []
    for line in rows.strip().splitlines():
        name, method, *query = line.split()
        operations.append(Operation(name, method, level, _ACTION[level, method], "not_implemented", tuple(query)))
    return operations


def _absent(name: str, query: str, code: Code) -> Operation:
    return Operation(name, "GET", Level.BUCKET, "list", "absent_configuration", (query,), absent=code)


def _document(name: str, query: str, root: str) -> Operation:
    return Operation(name, "GET", Level.BUCKET, "list", "empty_configuration", (query,), document=root)


_XML = BodyKind.SMALL_XML
_STREAM = BodyKind.STREAM
_COPY = (b"x-amz-copy-source",)
_PART = ("partNumber", "uploadId")

_SERVICE = [
    Operation("ListBuckets", "GET", Level.SERVICE, "identified", "list_buckets"),
    Operation("HeadService", "HEAD", Level.SERVICE, "public", "head_service"),
]

_BUCKET = [
    Operation("ListObjects", "GET", Level.BUCKET, "list", "list_objects", lists=Lists.FILTERED, shows=Shows.NAMES),
    Operation(
        "ListObjectsV2",
        "GET",
        Level.BUCKET,
        "list",
        "list_objects_v2",
        ("list-type",),
        lists=Lists.FILTERED,
        shows=Shows.NAMES,
    ),
    Operation(
        "ListObjectVersions", "GET", Level.BUCKET, "list", "list_object_versions", ("versions",), lists=Lists.FILTERED
    ),
    Operation(
        "ListMultipartUploads", "GET", Level.BUCKET, "list", "list_multipart_uploads", ("uploads",), lists=Lists.WHOLE
    ),
    Operation("HeadBucket", "HEAD", Level.BUCKET, "list", "head_bucket"),
    Operation("CreateBucket", "PUT", Level.BUCKET, "admin", "create_bucket", body=_XML, body_limit=_SMALL),
    Operation("DeleteBucket", "DELETE", Level.BUCKET, "admin", "delete_bucket"),
    Operation("GetBucketLocation", "GET", Level.BUCKET, "list", "get_bucket_location", ("location",)),
    Operation(
        "DeleteObjects",
        "POST",
        Level.BUCKET,
        "delete",
        "delete_objects",
        ("delete",),
        (),
        _XML,
        _DELETE_LIMIT,
        by_key=True,
    ),
    Operation("PostObject", "POST", Level.BUCKET, "write", "post_object", body=BodyKind.FORM),
    Operation("GetBucketVersioning", "GET", Level.BUCKET, "list", "get_bucket_versioning", ("versioning",)),
    Operation(
        "PutBucketVersioning", "PUT", Level.BUCKET, "admin", "put_bucket_versioning", ("versioning",), (), _XML, _SMALL
    ),
    Operation("GetBucketAcl", "GET", Level.BUCKET, "list", "get_bucket_acl", ("acl",)),
    Operation("PutBucketAcl", "PUT", Level.BUCKET, "admin", "put_bucket_acl", ("acl",), (), _XML, _SMALL),
    Operation("GetBucketTagging", "GET", Level.BUCKET, "list", "get_bucket_tagging", ("tagging",)),
    Operation("PutBucketTagging", "PUT", Level.BUCKET, "admin", "put_bucket_tagging", ("tagging",), (), _XML, _SMALL),
    Operation("DeleteBucketTagging", "DELETE", Level.BUCKET, "admin", "delete_bucket_tagging", ("tagging",)),
    Operation("GetBucketPolicyStatus", "GET", Level.BUCKET, "list", "get_bucket_policy_status", ("policyStatus",)),
    _document("GetBucketRequestPayment", "requestPayment", "RequestPaymentConfiguration"),
    _document("GetBucketLogging", "logging", "BucketLoggingStatus"),
    _document("GetBucketNotificationConfiguration", "notification", "NotificationConfiguration"),
    _document("GetBucketAccelerateConfiguration", "accelerate", "AccelerateConfiguration"),
    _document("ListBucketAnalyticsConfigurations", "analytics", "ListBucketAnalyticsConfigurationResult"),
    _document(
        "ListBucketIntelligentTieringConfigurations",
        "intelligent-tiering",
        "ListBucketIntelligentTieringConfigurationsResult",
    ),
    _document("ListBucketInventoryConfigurations", "inventory", "ListInventoryConfigurationsResult"),
    _document("ListBucketMetricsConfigurations", "metrics", "ListMetricsConfigurationsResult"),
    _absent("GetBucketPolicy", "policy", Code.NoSuchBucketPolicy),
    _absent("GetBucketCors", "cors", Code.NoSuchCORSConfiguration),
    _absent("GetBucketLifecycleConfiguration", "lifecycle", Code.NoSuchLifecycleConfiguration),
    _absent("GetBucketWebsite", "website", Code.NoSuchWebsiteConfiguration),
    _absent("GetBucketEncryption", "encryption", Code.ServerSideEncryptionConfigurationNotFoundError),
    _absent("GetBucketReplication", "replication", Code.ReplicationConfigurationNotFoundError),
    _absent("GetPublicAccessBlock", "publicAccessBlock", Code.NoSuchPublicAccessBlockConfiguration),
    _absent("GetBucketOwnershipControls", "ownershipControls", Code.OwnershipControlsNotFoundError),
    _absent("GetObjectLockConfiguration", "object-lock", Code.ObjectLockConfigurationNotFoundError),
    *_unsupported(
        Level.BUCKET,
        """
        CreateBucketMetadataConfiguration POST metadataConfiguration
        CreateBucketMetadataTableConfiguration POST metadataTable
        CreateSession GET session
        DeleteBucketAnalyticsConfiguration DELETE analytics
        DeleteBucketCors DELETE cors
        DeleteBucketEncryption DELETE encryption
        DeleteBucketIntelligentTieringConfiguration DELETE intelligent-tiering
        DeleteBucketInventoryConfiguration DELETE inventory
        DeleteBucketLifecycle DELETE lifecycle
        DeleteBucketMetadataConfiguration DELETE metadataConfiguration
        DeleteBucketMetadataTableConfiguration DELETE metadataTable
        DeleteBucketMetricsConfiguration DELETE metrics
        DeleteBucketOwnershipControls DELETE ownershipControls
        DeleteBucketPolicy DELETE policy
        DeleteBucketReplication DELETE replication
        DeleteBucketWebsite DELETE website
        DeletePublicAccessBlock DELETE publicAccessBlock
        GetBucketAbac GET abac
        GetBucketAnalyticsConfiguration GET analytics id
        GetBucketIntelligentTieringConfiguration GET intelligent-tiering id
        GetBucketInventoryConfiguration GET inventory id
        GetBucketMetadataConfiguration GET metadataConfiguration
        GetBucketMetadataTableConfiguration GET metadataTable
        GetBucketMetricsConfiguration GET metrics id
        PutBucketAbac PUT abac
        PutBucketAccelerateConfiguration PUT accelerate
        PutBucketAnalyticsConfiguration PUT analytics
        PutBucketCors PUT cors
        PutBucketEncryption PUT encryption
        PutBucketIntelligentTieringConfiguration PUT intelligent-tiering
        PutBucketInventoryConfiguration PUT inventory
        PutBucketLifecycleConfiguration PUT lifecycle
        PutBucketLogging PUT logging
        PutBucketMetricsConfiguration PUT metrics
        PutBucketNotificationConfiguration PUT notification
        PutBucketOwnershipControls PUT ownershipControls
        PutBucketPolicy PUT policy
        PutBucketReplication PUT replication
        PutBucketRequestPayment PUT requestPayment
        PutBucketWebsite PUT website
        PutObjectLockConfiguration PUT object-lock
        PutPublicAccessBlock PUT publicAccessBlock
        UpdateBucketMetadataAnnotationTableConfiguration PUT metadataAnnotationTable
        UpdateBucketMetadataInventoryTableConfiguration PUT metadataInventoryTable
        UpdateBucketMetadataJournalTableConfiguration PUT metadataJournalTable
        """,
    ),
]

_OBJECT = [
    Operation("GetObject", "GET", Level.OBJECT, "read", "get_object", shows=Shows.OBJECT),
    Operation("HeadObject", "HEAD", Level.OBJECT, "read", "head_object", shows=Shows.OBJECT),
    Operation("PutObject", "PUT", Level.OBJECT, "write", "put_object", body=_STREAM),
    Operation("CopyObject", "PUT", Level.OBJECT, "write", "copy_object", (), _COPY, source_action="read", long=True),
    Operation("DeleteObject", "DELETE", Level.OBJECT, "delete", "delete_object"),
    Operation("CreateMultipartUpload", "POST", Level.OBJECT, "write", "create_multipart_upload", ("uploads",)),
    Operation("UploadPart", "PUT", Level.OBJECT, "write", "upload_part", _PART, (), _STREAM),
    Operation(
        "UploadPartCopy",
        "PUT",
        Level.OBJECT,
        "write",
        "upload_part_copy",
        _PART,
        _COPY,
        source_action="read",
        long=True,
    ),
    Operation(
        "CompleteMultipartUpload",
        "POST",
        Level.OBJECT,
        "write",
        "complete_multipart_upload",
        ("uploadId",),
        (),
        _XML,
        _COMPLETE_LIMIT,
        checksum_of_result=True,
        long=True,
    ),
    Operation(
        "AbortMultipartUpload",
        "DELETE",
        Level.OBJECT,
        "delete",
        "abort_multipart_upload",
        ("uploadId",),
        or_action="write",
    ),
    Operation("ListParts", "GET", Level.OBJECT, "read", "list_parts", ("uploadId",)),
    Operation("GetObjectAttributes", "GET", Level.OBJECT, "read", "get_object_attributes", ("attributes",)),
    Operation("GetObjectAcl", "GET", Level.OBJECT, "read", "get_object_acl", ("acl",)),
    Operation("PutObjectAcl", "PUT", Level.OBJECT, "write", "put_object_acl", ("acl",), (), _XML, _SMALL),
    Operation("GetObjectTagging", "GET", Level.OBJECT, "read", "get_object_tagging", ("tagging",)),
    Operation("PutObjectTagging", "PUT", Level.OBJECT, "write", "put_object_tagging", ("tagging",), (), _XML, _SMALL),
    Operation("DeleteObjectTagging", "DELETE", Level.OBJECT, "delete", "delete_object_tagging", ("tagging",)),
    *_unsupported(
        Level.OBJECT,
        """
        DeleteObjectAnnotation DELETE annotation
        GetObjectAnnotation GET annotation
        GetObjectLegalHold GET legal-hold
        GetObjectRetention GET retention
        GetObjectTorrent GET torrent
        PutObjectAnnotation PUT annotation
        PutObjectLegalHold PUT legal-hold
        PutObjectRetention PUT retention
        RenameObject PUT renameObject
        RestoreObject POST restore
        SelectObjectContent POST select
        UpdateObjectEncryption PUT encryption
        """,
    ),
]

OPERATIONS: tuple[Operation, ...] = (*_SERVICE, *_BUCKET, *_OBJECT)

_SECONDARY = frozenset({"id"})
"""Parameters that choose between rows of one sub-resource; alone they mean nothing and are ignored."""

_SUBRESOURCES = frozenset(name for row in OPERATIONS for name in row.query) - _SECONDARY
_READ_SUBRESOURCES = _SUBRESOURCES - {"partNumber"}
"""GET and HEAD take `partNumber` as an option of the object itself."""

_Rows = dict[tuple[str, Level, frozenset[str]], tuple[Operation, ...]]


def _by_route(operations: tuple[Operation, ...]) -> _Rows:
    rows: _Rows = {}
    for row in operations:
        route = (row.method, row.level, frozenset(row.query) - _SECONDARY)
        rows[route] = (*rows.get(route, ()), row)
    return {
        route: tuple(sorted(found, key=lambda row: -len(row.query) - len(row.headers))) for route, found in rows.items()
    }


_ROUTES = _by_route(OPERATIONS)
_NONE: frozenset[str] = frozenset()
_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")


def match(request: Request) -> Operation:
    """The operation that a request asks for.

    Raises MethodNotAllowed where S3 knows the resource and not this method, InvalidArgument for sub-resources that
    exclude one another or miss a partner, NotImplemented for methods that S3 does not know.
    """
    method = request.method
    level = Level.OBJECT if request.key else Level.BUCKET if request.bucket else Level.SERVICE
    present = _NONE
    if request.parameters and level is not Level.SERVICE:
        known = _READ_SUBRESOURCES if method in ("GET", "HEAD") else _SUBRESOURCES
        present = known.intersection(request.parameters)
    rows = _ROUTES.get((method, level, present))
    if rows is None:
        raise _no_route(method, level, present)
    if len(rows) == 1:
        return rows[0]
    for row in rows:
        if all(name in request.headers for name in row.headers) and all(n in request.parameters for n in row.query):
            return row
    raise S3Error(Code.InvalidArgument)


def _no_route(method: str, level: Level, present: frozenset[str]) -> S3Error:
    allowed = [other for other in _METHODS if (other, level, present) in _ROUTES]
    if method not in _METHODS:
        return S3Error(Code.NotImplemented, f"The method {method[:32]} is not part of S3.")
    if allowed:
        return S3Error(
            Code.MethodNotAllowed,
            fields={"Method": method, "ResourceType": level.name},
            headers={"allow": ", ".join(allowed)},
        )
    names = ", ".join(sorted(present))
    if len(present) > 1:
        return S3Error(Code.InvalidArgument, f"Conflicting query string parameters: {names}")
    if present & {"partNumber", "uploadId"}:
        return S3Error(Code.InvalidArgument, f"{names} does not go with {method} alone.", {"ArgumentName": names})
    return S3Error(Code.MethodNotAllowed, fields={"Method": method, "ResourceType": level.name})


def check_parameters(operation: Operation, request: Request) -> None:
    """Refuse what would change the result if it were ignored; call it once the caller is known to be allowed.

    There are no versions yet: only `null` names one. Raises NoSuchVersion, InvalidArgument.
    """
    if not request.parameters:
        return
    version = request.parameters.get("versionId", "null")
    if operation.level is Level.OBJECT and version != "null":
        if request.method in ("GET", "HEAD"):
            raise S3Error(Code.NoSuchVersion, fields={"Key": request.key, "VersionId": version})
        raise S3Error(Code.InvalidArgument, "Invalid version id specified", {"ArgumentName": "versionId"})
    if operation.name == "ListObjectsV2" and request.parameters["list-type"] != "2":
        raise S3Error(Code.InvalidArgument, "list-type must be 2.", {"ArgumentName": "list-type"})
