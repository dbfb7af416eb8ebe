"""What can go wrong below the engine. Each layer above translates these once; nothing recognises them by their text."""


class StorageError(Exception):
    """Root of everything a backend raises on purpose. The effect of the failed call is known: there is none."""


class NoSuchBucket(StorageError):
    """The bucket does not exist."""


class NoSuchKey(StorageError):
    """The key holds no object."""


class BucketExists(StorageError):
    """The bucket that was to be created is there already."""


class NameTaken(StorageError):
    """A bucket with this name belongs to somebody else, and stays theirs."""


class BucketNotEmpty(StorageError):
    """The bucket that was to be deleted holds an object; `key` names one."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class ConditionFailed(StorageError):
    """The key did not hold what the condition named, so nothing was changed."""


class Changed(StorageError):
    """The generation that was being read is gone, so the rest of it cannot be read."""


class DiskFull(StorageError):
    """No space (or quota of the file system) is left; the old object, if any, is intact."""


class MetadataTooLarge(StorageError):
    """The metadata does not fit beside the object; see `Capabilities.max_metadata`."""


class KeyRejected(StorageError):
    """The backend can never hold this key (longer than 1024 bytes, or NUL in it)."""


class Unavailable(StorageError):
    """The backend refused or did not answer, and surely did nothing; trying again later may work."""


class Denied(Unavailable):
    """The service does not accept who we say we are, or does not let us do this."""


class Away(Unavailable):
    """The backend named `backend` cannot be reached at all; those of other buckets may."""

    def __init__(self, backend: str) -> None:
        super().__init__(f"the storage backend {backend!r} cannot be reached")
        self.backend = backend


class Uncertain(StorageError):
    """The answer to a mutation was lost: it may have taken effect, or may still. Look; never repeat it blindly."""


class NotDurable(Uncertain):
    """It has taken effect, and everybody sees it, but the disk refused to say that it has it: a look proves nothing."""


class Damaged(StorageError):
    """The bytes are not those that were stored. From a mutation: what arrived is damaged and the old object is gone."""


class Unsupported(StorageError):
    """The service behind the backend cannot do this, today or later; nothing was changed."""
