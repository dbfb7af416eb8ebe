"""Errors of the layers below become S3 errors here, once."""

import math

from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.s3.protocol.errors import Code, S3Error

_REASONS = {
    Reason.SEVERAL_SCHEMES: Code.InvalidArgument,
    Reason.UNSUPPORTED_SCHEME: Code.InvalidRequest,
    Reason.UNSUPPORTED_ALGORITHM: Code.NotImplemented,
    Reason.MALFORMED_HEADER: Code.AuthorizationHeaderMalformed,
    Reason.MALFORMED_QUERY: Code.AuthorizationQueryParametersError,
    Reason.MALFORMED_FORM: Code.InvalidArgument,
    Reason.MISSING_HEADER: Code.InvalidRequest,
    Reason.SECURITY_TOKEN: Code.InvalidToken,
    Reason.UNKNOWN_KEY: Code.InvalidAccessKeyId,
    Reason.DISABLED_KEY: Code.InvalidAccessKeyId,
    Reason.SKEWED: Code.RequestTimeTooSkewed,
    Reason.EXPIRED: Code.AccessDenied,
    Reason.UNSIGNED_HEADER: Code.AccessDenied,
    Reason.BAD_SIGNATURE: Code.SignatureDoesNotMatch,
    Reason.INCOMPLETE_FORM: Code.AccessDenied,
    Reason.REPLAYED: Code.SlowDown,
    Reason.CROWDED: Code.SlowDown,
    Reason.LOCKED_OUT: Code.SlowDown,
    Reason.DENIED: Code.AccessDenied,
    Reason.BLOCKED: Code.AccessDenied,
    Reason.LOCKED_DATABASE: Code.ServiceUnavailable,
    Reason.MAINTENANCE: Code.SlowDown,
}


def from_access(error: AccessError) -> S3Error:
    later = {"retry-after": str(math.ceil(error.retry_after))} if error.retry_after is not None else None
    return S3Error(_REASONS[error.reason], error.message, error.details, later)


def from_engine(error: engine.EngineError, bucket: str, key: str) -> S3Error:
    """What a client is told; the cause belongs in the log."""
    match error:
        case engine.NoSuchBucket():
            return S3Error(Code.NoSuchBucket, fields={"BucketName": bucket})
        case engine.NoSuchKey():
            return S3Error(Code.NoSuchKey, fields={"Key": key})
        case engine.NoSuchUpload():
            return S3Error(Code.NoSuchUpload)
        case engine.BucketExists():
            return S3Error(Code.BucketAlreadyOwnedByYou, fields={"BucketName": bucket})
        case engine.NameTaken():
            return S3Error(Code.BucketAlreadyExists, fields={"BucketName": bucket})
        case engine.BucketNotEmpty():
            left = f"The bucket you tried to delete is not empty: it holds {error.key!r}"
            more = f" and {error.uploads} open multipart uploads." if error.uploads else "."
            return S3Error(Code.BucketNotEmpty, left + more, {"BucketName": bucket})
        case engine.PreconditionFailed():
            return S3Error(Code.PreconditionFailed)
        case engine.TooLarge():
            fields = {"ProposedSize": str(error.size), "MaxSizeAllowed": str(error.limit)}
            return S3Error(Code.EntityTooLarge, fields=fields)
        case engine.InvalidPart():
            return S3Error(Code.InvalidPart, fields={"PartNumber": str(error.number)})
        case engine.PartTooSmall():
            fields = {"PartNumber": str(error.number), "ProposedSize": str(error.size), "MinSizeAllowed": "5242880"}
            return S3Error(Code.EntityTooSmall, fields=fields)
        case engine.TooManyUploads():
            return S3Error(Code.SlowDown, "Too many multipart uploads are open.")
        case engine.DiskFull():
            return S3Error(Code.InsufficientStorage)
        case engine.Busy():
            return S3Error(Code.SlowDown)
        case engine.Away():
            message = f"The storage backend {error.backend!r} of the bucket {bucket!r} cannot be reached. Try again."
            return S3Error(Code.ServiceUnavailable, message)
        case engine.Unavailable():
            return S3Error(Code.ServiceUnavailable)
        case engine.QuotaExceeded():
            if error.limit == 0:
                return S3Error(Code.QuotaExceeded, "The bucket is frozen: it takes no uploads.")
            return S3Error(Code.QuotaExceeded, f"The bucket may hold {error.limit} bytes, and would hold more.")
        case engine.Unsupported():
            return S3Error(Code.NotImplemented, f"The storage of this bucket cannot do this: {error}.")
        case engine.KeyRejected():
            return S3Error(Code.InvalidArgument, "The storage cannot hold this key.", {"ArgumentName": "key"})
        case _:
            return S3Error(Code.InternalError)
