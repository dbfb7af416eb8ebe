"""The zip of a backup: three parts, and a manifest with the SHA-256 of each.

A zip that is brought back is somebody's file: every limit is checked before anything is unpacked, and everything is
verified before anything of it is looked at. Source: APPNOTE.TXT 6.3.10 of PKWARE.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hmac import compare_digest
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MANIFEST: Final = "manifest.json"
CONFIG: Final = "config.yaml"
IAM: Final = "iam.json"
SECRETS: Final = "secrets.json"
PARTS: Final = (CONFIG, IAM, SECRETS)

MOST_BYTES: Final = 64 << 20
"""Of the archive, and of what is in it."""
MOST_ENTRY_BYTES: Final = MOST_BYTES
"""A hundred thousand access keys are one entry of 40 MiB."""
MOST_ENTRIES: Final = 1024

_END: Final = 22
"""Bytes of the record that ends an archive without a comment."""
_END_MARK: Final = b"PK\x05\x06"
_LOCATOR: Final = 20
_LOCATOR_MARK: Final = b"PK\x06\x07"
_DIRECTORY_BYTES: Final = 1 << 20


class Stage(StrEnum):
    """Where a restore stopped."""

    PARSE_ZIP = "parse_zip"
    PARSE_MANIFEST = "parse_manifest"
    VERIFY_MANIFEST = "verify_manifest"
    PARSE_CONFIG = "parse_config_yaml"
    PARSE_SECRETS = "parse_secrets"
    PARSE_IAM = "parse_iam"
    VALIDATE_SECRETS = "validate_secrets"
    APPLY = "apply"


class BadArchive(ValueError):
    def __init__(self, stage: Stage, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class _File(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    name: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-fA-F]{64}$")


class _Manifest(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    version: Literal[1]
    captured_at: str = ""
    server_version: str = ""
    files: list[_File]


@dataclass(frozen=True, slots=True)
class Archive:
    """Verified, and not understood yet."""

    captured_at: str
    parts: Mapping[str, bytes]


def write(parts: Mapping[str, bytes], now: float, version: str) -> bytes:
    files = [_File(name=name, bytes=len(parts[name]), sha256=hashlib.sha256(parts[name]).hexdigest()) for name in PARTS]
    at = datetime.fromtimestamp(now, UTC)
    manifest = _Manifest(version=1, captured_at=at.strftime("%Y-%m-%dT%H:%M:%SZ"), server_version=version, files=files)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in ((MANIFEST, manifest.model_dump_json(indent=2).encode()), *parts.items()):
            info = zipfile.ZipInfo(name, at.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            archive.writestr(info, data)
    return packed.getvalue()


def read(body: bytes) -> Archive:
    """Raises BadArchive."""
    entries = _unpack(body)
    manifest = _manifest(entries.pop(MANIFEST, None))
    listed = {file.name: file for file in manifest.files}
    for file in manifest.files:
        data = entries.get(file.name)
        if data is None:
            raise BadArchive(Stage.VERIFY_MANIFEST, f"{file.name[:64]!r} is listed in the manifest and not there")
        if len(data) != file.bytes or not compare_digest(hashlib.sha256(data).hexdigest(), file.sha256.lower()):
            raise BadArchive(Stage.VERIFY_MANIFEST, f"{file.name[:64]!r} is not what the manifest says: it was damaged")
    for name in PARTS:
        if name not in listed:
            raise BadArchive(Stage.VERIFY_MANIFEST, f"the manifest does not list {name}")
    return Archive(manifest.captured_at, {name: entries[name] for name in PARTS})


def _manifest(data: bytes | None) -> _Manifest:
    if data is None:
        raise BadArchive(Stage.PARSE_MANIFEST, f"there is no {MANIFEST}: this is no backup of this product")
    try:
        return _Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or MANIFEST
        raise BadArchive(Stage.PARSE_MANIFEST, f"{where}: {first['msg']}") from None


def _unpack(body: bytes) -> dict[str, bytes]:
    if len(body) > MOST_BYTES:
        raise BadArchive(Stage.PARSE_ZIP, f"an archive has at most {MOST_BYTES} bytes")
    # The standard library reads the whole directory before it can be asked how long it is.
    end = body[-_END:]
    if len(end) < _END or not end.startswith(_END_MARK):
        raise BadArchive(Stage.PARSE_ZIP, "this is no zip archive, or its end is missing")
    if int.from_bytes(end[12:16], "little") > _DIRECTORY_BYTES or _is_zip64(body):
        raise BadArchive(Stage.PARSE_ZIP, f"an archive has at most {MOST_ENTRIES} entries")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            _check(archive.infolist())
            return {info.filename: _content(archive, info) for info in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        if isinstance(error, BadArchive):
            raise
        raise BadArchive(
            Stage.PARSE_ZIP, "the archive cannot be unpacked: it was damaged, or is of another kind"
        ) from (error)


def _is_zip64(body: bytes) -> bool:
    return body[-_END - _LOCATOR : -_END].startswith(_LOCATOR_MARK)


def _check(infos: list[zipfile.ZipInfo]) -> None:
    if len(infos) > MOST_ENTRIES:
        raise BadArchive(Stage.PARSE_ZIP, f"an archive has at most {MOST_ENTRIES} entries")
    names = [info.orig_filename for info in infos]
    for name in names:
        if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
            raise BadArchive(Stage.PARSE_ZIP, f"{name[:64]!r} is no name of an entry of a backup")
    if len(set(names)) < len(names):
        raise BadArchive(Stage.PARSE_ZIP, "two entries have the same name")
    if any(info.file_size > MOST_ENTRY_BYTES for info in infos):
        raise BadArchive(Stage.PARSE_ZIP, f"an entry has at most {MOST_ENTRY_BYTES} bytes")
    if sum(info.file_size for info in infos) > MOST_BYTES:
        raise BadArchive(Stage.PARSE_ZIP, f"all entries together have at most {MOST_BYTES} bytes")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The size that an entry declares is a claim; reading also checks its CRC."""
    with archive.open(info) as file:
        data = file.read(MOST_ENTRY_BYTES + 1)
        if len(data) > MOST_ENTRY_BYTES or len(data) != info.file_size:
            raise BadArchive(Stage.PARSE_ZIP, f"{info.filename[:64]!r} has another size than it says")
        return data
