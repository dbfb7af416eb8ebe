"""The error codes of S3 and the document that carries them.

A code fixes its status, so that no caller can pair them wrongly. Messages of 5xx codes stay generic: what went wrong
inside belongs in the log, beside the request id. Source: Amazon S3 API Reference, "Error responses".
"""

from collections.abc import Mapping
from enum import StrEnum

from deltaglider_proxy.s3.protocol.escape import escape


class Code(StrEnum):
    """An error code with its HTTP status and the message that goes with it when there is nothing more to say."""

    status: int
    message: str

    def __new__(cls, code: str, status: int, message: str) -> "Code":
        member = str.__new__(cls, code)
        member._value_ = code
        member.status = status
        member.message = message
        return member

    AccessControlListNotSupported = (
        "AccessControlListNotSupported",
        400,
        "The bucket does not allow ACLs: use private or bucket-owner-full-control.",
    )
    AuthorizationHeaderMalformed = "AuthorizationHeaderMalformed", 400, "The authorization header is malformed."
    AuthorizationQueryParametersError = (
        "AuthorizationQueryParametersError",
        400,
        "The query parameters that carry the signature are malformed.",
    )
    BadDigest = "BadDigest", 400, "The digest you specified did not match what we received."
    EntityTooLarge = "EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed object size."
    EntityTooSmall = "EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size"
    ExpiredToken = "ExpiredToken", 400, "The provided token has expired."
    IncompleteBody = "IncompleteBody", 400, "The request body ended before the length that was announced."
    InvalidArgument = "InvalidArgument", 400, "Invalid argument."
    InvalidBucketName = "InvalidBucketName", 400, "The specified bucket is not valid."
    InvalidDigest = "InvalidDigest", 400, "The Content-Md5 you specified is not valid."
    InvalidPart = (
        "InvalidPart",
        400,
        (
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
            "specified entity tag may not match the part's entity tag."
        ),
    )
    InvalidPartOrder = (
        "InvalidPartOrder",
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    )
    InvalidPolicyDocument = "InvalidPolicyDocument", 400, "The policy of the form is not valid."
    InvalidRedirectLocation = (
        "InvalidRedirectLocation",
        400,
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    )
    InvalidRequest = "InvalidRequest", 400, "Invalid request."
    InvalidTag = "InvalidTag", 400, "The tag provided was not a valid tag."
    InvalidToken = "InvalidToken", 400, "The provided token is malformed or otherwise invalid."
    InvalidURI = "InvalidURI", 400, "Couldn't parse the specified URI."
    KeyTooLongError = "KeyTooLongError", 400, "Your key is too long."
    MalformedPOSTRequest = "MalformedPOSTRequest", 400, "The body of your POST request is not well-formed form data."
    MalformedXML = (
        "MalformedXML",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema.",
    )
    MaxPostPreDataLengthExceededError = (
        "MaxPostPreDataLengthExceededError",
        400,
        "Your POST request fields preceding the upload file were too large.",
    )
    MetadataTooLarge = "MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size"
    RequestTimeout = "RequestTimeout", 400, "The connection was idle for too long before the request was complete."
    XAmzContentSHA256Mismatch = (
        "XAmzContentSHA256Mismatch",
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )
    AccessDenied = "AccessDenied", 403, "Access Denied."
    InvalidAccessKeyId = "InvalidAccessKeyId", 403, "The access key id you provided does not exist in our records."
    QuotaExceeded = "QuotaExceeded", 403, "The quota of the bucket does not allow this write."
    RequestTimeTooSkewed = (
        "RequestTimeTooSkewed",
        403,
        "The difference between the request time and the current time is too large.",
    )
    SignatureDoesNotMatch = (
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and method.",
    )
    NoSuchBucket = "NoSuchBucket", 404, "The specified bucket does not exist."
    NoSuchBucketPolicy = "NoSuchBucketPolicy", 404, "The bucket policy does not exist."
    NoSuchCORSConfiguration = "NoSuchCORSConfiguration", 404, "The CORS configuration does not exist"
    NoSuchKey = "NoSuchKey", 404, "The specified key does not exist."
    NoSuchLifecycleConfiguration = "NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist"
    NoSuchPublicAccessBlockConfiguration = (
        "NoSuchPublicAccessBlockConfiguration",
        404,
        "The public access block configuration was not found",
    )
    NoSuchTagSet = "NoSuchTagSet", 404, "The TagSet does not exist."
    NoSuchUpload = (
        "NoSuchUpload",
        404,
        (
            "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been "
            "aborted or completed."
        ),
    )
    NoSuchVersion = "NoSuchVersion", 404, "The specified version does not exist."
    NoSuchWebsiteConfiguration = (
        "NoSuchWebsiteConfiguration",
        404,
        "The specified bucket does not have a website configuration",
    )
    ObjectLockConfigurationNotFoundError = (
        "ObjectLockConfigurationNotFoundError",
        404,
        "Object Lock configuration does not exist for this bucket.",
    )
    OwnershipControlsNotFoundError = (
        "OwnershipControlsNotFoundError",
        404,
        "The bucket ownership controls were not found",
    )
    ReplicationConfigurationNotFoundError = (
        "ReplicationConfigurationNotFoundError",
        404,
        "The replication configuration was not found",
    )
    ServerSideEncryptionConfigurationNotFoundError = (
        "ServerSideEncryptionConfigurationNotFoundError",
        404,
        "The server side encryption configuration was not found",
    )
    MethodNotAllowed = "MethodNotAllowed", 405, "The specified method is not allowed against this resource."
    BucketAlreadyExists = "BucketAlreadyExists", 409, "The requested bucket name is not available."
    BucketAlreadyOwnedByYou = (
        "BucketAlreadyOwnedByYou",
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    )
    BucketNotEmpty = "BucketNotEmpty", 409, "The bucket you tried to delete is not empty"
    ConditionalRequestConflict = (
        "ConditionalRequestConflict",
        409,
        "A conflicting operation occurred during this conditional request. Repeat it.",
    )
    OperationAborted = (
        "OperationAborted",
        409,
        "A conflicting operation is in progress against this resource. Try again.",
    )
    MissingContentLength = "MissingContentLength", 411, "You must provide the Content-Length HTTP header."
    PreconditionFailed = "PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold."
    InvalidPartNumber = "InvalidPartNumber", 416, "The requested partnumber is not satisfiable"
    InvalidRange = "InvalidRange", 416, "The requested range is not satisfiable"
    InternalError = "InternalError", 500, "We encountered an internal error. Please try again."
    NotImplemented = "NotImplemented", 501, "A part of the request implies functionality that is not implemented."
    ServiceUnavailable = "ServiceUnavailable", 503, "The service is unable to handle the request. Try again."
    SlowDown = "SlowDown", 503, "Please reduce your request rate."
    InsufficientStorage = "InsufficientStorage", 507, "There is not enough storage to carry out the request."


_RETRY_AFTER = {Code.SlowDown: {"retry-after": "1"}, Code.ServiceUnavailable: {"retry-after": "1"}}


class S3Error(Exception):
    """An answer of S3 other than success. `fields` become elements of the document, in order, after Code and Message;
    `headers` (names in lower case) go on the response.
    """

    def __init__(
        self,
        code: Code,
        message: str = "",
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message or code.message}")
        self.code = code
        self.message = message or code.message
        self.fields: Mapping[str, str] = fields or {}
        self.headers: Mapping[str, str] = {**_RETRY_AFTER.get(code, {}), **(headers or {})}

    @property
    def status(self) -> int:
        return self.code.status


def error_xml(error: S3Error, resource: str, request_id: str, host_id: str = "") -> bytes:
    """The document for an error; `resource` is the path as the client wrote it."""
    fields = {**error.fields, "Resource": resource, "RequestId": request_id}
    if host_id:
        fields["HostId"] = host_id
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{error.code.value}</Code>'
        f"<Message>{escape(error.message)}</Message>{inner}</Error>"
    ).encode()
