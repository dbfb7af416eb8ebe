"""What the arguments of a command name: a local path, or a bucket and a key."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from typing_extensions import override

from deltaglider_proxy.cli.exit_codes import ExitCode

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
SCHEME = "s3://"


class BadArgument(Exception):
    """Says what is wrong; `code` is the exit status."""

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Remote:
    bucket: str
    key: str = ""
    """Or a prefix; empty for the bucket."""

    @override
    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def named(self, key: str) -> "Remote":
        return Remote(self.bucket, key)

    @property
    def folder(self) -> str:
        """The prefix of what lies below: `p` and `p/` mean the same, and never `p-other/`."""
        return self.key if not self.key or self.key.endswith("/") else self.key + "/"


Location = Remote | Path


def parse(text: str) -> Location:
    """Raises BadArgument."""
    if "://" not in text:
        return Path(text)
    if not text.startswith(SCHEME):
        raise BadArgument(f"{text}: only s3:// URLs are understood")
    bucket, _, key = text[len(SCHEME) :].partition("/")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket or _is_address(bucket):
        raise BadArgument(f"{text}: {bucket!r} is no bucket name", ExitCode.PARSE)
    return Remote(bucket, key)


def remote(text: str) -> Remote:
    """Raises BadArgument for anything else."""
    found = parse(text)
    if isinstance(found, Path):
        raise BadArgument(f"{text}: an s3:// URL is needed")
    return found


def bucket_only(text: str) -> str:
    """A URL or a bare name. Raises BadArgument."""
    found = remote(text if text.startswith(SCHEME) else SCHEME + text)
    if found.key:
        raise BadArgument(f"{text}: a bucket is needed, without a key")
    return found.bucket


def _is_address(bucket: str) -> bool:
    try:
        IPv4Address(bucket)
    except AddressValueError:
        return False
    return True


def inside(folder: Path, relative: str) -> Path:
    """Where a key lands below a folder. Raises BadArgument for one that would leave it."""
    parts = relative.split("/")
    if not relative or "\0" in relative or "\\" in relative or any(part in ("", ".", "..") for part in parts):
        raise BadArgument(f"the key {relative!r} cannot be a file below {folder}", ExitCode.IO)
    return folder.joinpath(*parts)
