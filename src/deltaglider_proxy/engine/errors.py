"""What the engine raises. The S3 layer maps these to codes once, in `s3/errors.py`."""


class EngineError(Exception):
    """Root of the errors that a caller is expected to handle."""


class NoSuchBucket(EngineError):
    pass


class NoSuchKey(EngineError):
    pass


class NoSuchUpload(EngineError):
    pass


class BucketExists(EngineError):
    pass


class NameTaken(EngineError):
    """The name of a bucket that clients can never have."""


class BucketNotEmpty(EngineError):
    """`key` names an object in it; `uploads` counts open multipart uploads."""

    def __init__(self, key: str, uploads: int = 0) -> None:
        super().__init__(key)
        self.key = key
        self.uploads = uploads


class PreconditionFailed(EngineError):
    """A condition of the request did not hold; nothing was changed."""


class TooLarge(EngineError):
    """The object is larger than allowed; `limit` is the cap in bytes, `size` what was seen or declared."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes, limit {limit}")
        self.size = size
        self.limit = limit


class InvalidPart(EngineError):
    """A part named at completion is missing, or its ETag differs; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(str(number))
        self.number = number


class PartTooSmall(EngineError):
    """A part other than the last is smaller than 5 MiB."""

    def __init__(self, number: int, size: int) -> None:
        super().__init__(f"part {number}: {size} bytes")
        self.number = number
        self.size = size


class TooManyUploads(EngineError):
    """`max_multipart_uploads`, or the bytes that may be staged, are used up."""


class DiskFull(EngineError):
    pass


class Unavailable(EngineError):
    """The backend is busy or away; nothing happened; a later try may work."""


class Away(Unavailable):
    """The storage backend of the bucket cannot be reached; `backend` is its name."""

    def __init__(self, backend: str) -> None:
        super().__init__(f"the storage backend {backend!r} cannot be reached")
        self.backend = backend


class Busy(EngineError):
    """No codec slot or spool room in time, for a request that cannot do without."""


class Uncertain(EngineError):
    """The outcome of a change is unknown; the client must look and decide."""


class Corrupt(EngineError):
    """Stored bytes failed a check twice. Nothing wrong was returned."""


class QuotaExceeded(EngineError):
    """The bucket may hold `limit` bytes and would hold more; 0: it takes no writes at all."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"limit {limit}")
        self.limit = limit


class KeyRejected(EngineError):
    """The storage cannot hold an object under this key."""


class Unsupported(EngineError):
    """The storage service of the bucket lacks what this needs; the text says what."""
