"""What everyone may read: keys below the public prefixes of a bucket, and listings that show nothing else."""

from collections.abc import Mapping, Sequence


class PublicPrefixes:
    def __init__(self, prefixes: Mapping[str, Sequence[str]] | None = None) -> None:
        """By bucket. Each ends with `/`; the empty one means all of the bucket."""
        self._prefixes = {bucket: tuple(found) for bucket, found in (prefixes or {}).items() if found}

    def cover(self, bucket: str, beginning: str) -> bool:
        """Whether all keys that begin so, or are this very key, are public."""
        return beginning.startswith(self._prefixes.get(bucket, ()))

    def is_public(self, bucket: str) -> bool:
        """Whether all of the bucket is."""
        return "" in self._prefixes.get(bucket, ())
