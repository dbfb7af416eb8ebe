"""What earlier proxies and their older client wrote beside an object, read into one value.

Every release had its own spelling (`dg-file-sha256`, `file-sha256`, `dg_file_sha256`, `file_sha256`; a JSON object in a
file's attribute, or one header per field), so a field is the first of its spellings that says anything. What cannot be
understood is None, never a guess: a delta that is taken for plain bytes would be served as the file itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import orjson

from deltaglider_proxy.storage.backend import Metadata

ATTRIBUTE = "user.dg.metadata"
"""Extended attribute of files."""

_USER = "x-amz-meta-"
_CLIENT = "user-"
_NOBODY = "__reference__"
"""Name of a baseline that stands for no object."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FRACTION = re.compile(r"\.(\d{6})\d+")
_INTERNAL = frozenset({"dg-encrypted", "dg-encryption-key-id", "dg-replication-rule", "dg-lifecycle-rule"})
_FIELDS = (
    "tool", "original-name", "source-name", "file-sha256", "file-size", "created-at", "note", "compression",
    "ref-path", "ref-key", "ref-sha256", "delta-size", "delta-cmd",
)  # fmt: skip
_ONE_SPELLING = frozenset({"dg-md5", "dg-multipart-etag", "content-type"})


class Role(StrEnum):
    BASELINE = "reference"
    DELTA = "delta"
    PLAIN = "passthrough"


@dataclass(frozen=True, slots=True)
class Record:
    role: Role
    original_name: str
    sha256: str
    """Of the logical bytes, in hex."""
    size: int | None = None
    """Logical; None where it was not written: that of the stored bytes."""
    md5: str = ""
    """In hex, where it is known."""
    multipart_etag: str = ""
    created: float | None = None
    """Seconds since the epoch; None if it was not written or makes no sense."""
    content_type: str = ""
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""
    """Of a delta: its baseline as it was named, a whole key or only its last part."""
    reference_sha256: str = ""
    encryption: str = ""
    """How the stored bytes are encrypted; empty: not at all."""
    key_id: str = ""

    @property
    def etag(self) -> str:
        """The older client kept no MD5. `-1` keeps other clients from comparing the tag with one."""
        return self.multipart_etag or self.md5 or f"{self.sha256[:32]}-1"

    @property
    def stands_for(self) -> str | None:
        """The file name whose only copy this baseline is, as early proxies left the first object of a folder.

        The older client never did, it always wrote a delta beside; its baselines have no MD5.
        """
        named = self.role is Role.BASELINE and self.md5 and self.original_name != _NOBODY
        return self.original_name if named and "/" not in self.original_name else None


def from_headers(metadata: Metadata) -> Record | None:
    """Of an object with these headers; None if they are nobody's whom we know."""
    return _parse({name[len(_USER) :].lower(): value for name, value in metadata.items() if name.startswith(_USER)})


def from_attribute(text: bytes) -> Record | None:
    """Of a file with this attribute; None if it is none that we know."""
    try:
        document: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    values = {str(n): str(v) for n, v in document.items() if isinstance(v, str | int)}
    for name in ("md5", "multipart_etag"):
        values[f"dg-{name.replace('_', '-')}"] = values.pop(name, "")
    values["content-type"] = values.pop("content_type", "")
    user = document.get("user_metadata")
    if isinstance(user, dict):
        values |= {f"{_CLIENT}{n}": v for n, v in user.items() if isinstance(v, str)}
    return _parse(values)


def _parse(values: Mapping[str, str]) -> Record | None:
    original = _field(values, "original-name") or _field(values, "source-name")
    sha256 = _field(values, "file-sha256").lower()
    size = _number(_field(values, "file-size"))
    role = _role(values)
    if role is Role.DELTA and size is None:
        return None
    if not _field(values, "tool") or not original or not _DIGEST.fullmatch(sha256) or role is None:
        return None
    return Record(
        role,
        original,
        sha256,
        size,
        values.get("dg-md5", "").lower(),
        values.get("dg-multipart-etag", "").strip('"'),
        _moment(_field(values, "created-at")),
        values.get("content-type", ""),
        _user_metadata(values),
        _field(values, "ref-path") or _field(values, "ref-key") if role is Role.DELTA else "",
        _field(values, "ref-sha256").lower() if role is Role.DELTA else "",
        values.get(f"{_CLIENT}dg-encrypted") or values.get("dg-encrypted", ""),
        values.get(f"{_CLIENT}dg-encryption-key-id") or values.get("dg-encryption-key-id", ""),
    )


def _role(values: Mapping[str, str]) -> Role | None:
    """None for a delta that does not say what it is against."""
    note = _field(values, "note")
    if _field(values, "compression") == "none":
        return Role.PLAIN
    if note == "reference":
        return Role.BASELINE
    named = _field(values, "ref-path") or _field(values, "ref-key")
    if not named and note != "delta" and not note.startswith("zero-diff"):
        return Role.PLAIN
    return Role.DELTA if named and _DIGEST.fullmatch(_field(values, "ref-sha256").lower()) else None


def _field(values: Mapping[str, str], name: str) -> str:
    """The first spelling that is not empty; empty if there is none."""
    return next((found for spelling in _spellings(name) if (found := values.get(spelling, ""))), "")


def _spellings(name: str) -> tuple[str, str, str, str]:
    low = name.replace("-", "_")
    return f"dg-{name}", name, f"dg_{low}", low


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None


def _moment(text: str) -> float | None:
    """RFC 3339 to the nanosecond, or without a zone, which then is UTC."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r".\1", text.removesuffix("Z")))
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


_KNOWN = frozenset(spelling for name in _FIELDS for spelling in _spellings(name)) | _ONE_SPELLING


def _user_metadata(values: Mapping[str, str]) -> dict[str, str]:
    """What a client set: what is marked so, and what the older client passed on as it came."""
    marked = {n[len(_CLIENT) :]: v for n, v in values.items() if n.startswith(_CLIENT)}
    plain = {
        n: v for n, v in values.items() if not n.startswith((_CLIENT, "dg-", "dg_")) and n not in _KNOWN
    }  # fmt: skip
    return {n: v for n, v in {**plain, **marked}.items() if n not in _INTERNAL}
