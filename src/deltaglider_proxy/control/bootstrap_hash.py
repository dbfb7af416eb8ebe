"""Where the hash of the bootstrap password comes from. It opens the database too, so there must always be one."""

import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deltaglider_proxy.crypto.passwords import NotAHash, generate_password, hash_password, parse_hash

FILE_NAME = ".deltaglider_bootstrap_hash"
LEGACY_FILE_NAME = ".deltaglider_admin_hash"


class Source(StrEnum):
    CONFIGURED = "configured"
    """By the environment or the configuration file, which a new password does not change."""
    FILE = "file"
    GENERATED = "generated"


@dataclass(frozen=True, slots=True)
class BootstrapHash:
    value: str = field(repr=False)
    source: Source
    generated_password: str | None = field(default=None, repr=False)
    """Known only at this moment."""


def resolve(configured: str | None, directory: Path) -> BootstrapHash:
    """`configured` comes first, then files in `directory`; else one is made and written. Raises NotAHash, OSError."""
    if (found := known(configured, directory)) is not None:
        return found
    password = generate_password()
    hashed = hash_password(password)
    replace_file(hashed, directory)
    return BootstrapHash(hashed, Source.GENERATED, password)


def known(configured: str | None, directory: Path) -> BootstrapHash | None:
    """The same, where there is one already. Raises NotAHash, OSError."""
    if configured:
        return BootstrapHash(parse_hash(configured, "the configured bootstrap password hash"), Source.CONFIGURED)
    for name in (FILE_NAME, LEGACY_FILE_NAME):
        path = directory / name
        if path.exists():
            return BootstrapHash(parse_hash(path.read_text("ascii", "replace"), str(path)), Source.FILE)
    return None


def kept_in(directory: Path) -> str | None:
    """The hash of the file, if there is one and it is one."""
    try:
        return parse_hash((directory / FILE_NAME).read_text("ascii", "replace"), FILE_NAME)
    except (FileNotFoundError, NotAHash):
        return None


def replace_file(hashed: str, directory: Path) -> Path:
    """Write the hash where the next start finds it: wholly or not at all, readable by its owner only."""
    path = directory / FILE_NAME
    draft = directory / f"{FILE_NAME}.draft"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, hashed.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path
