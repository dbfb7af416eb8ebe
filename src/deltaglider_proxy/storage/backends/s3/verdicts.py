"""What a service was seen to do, per bucket: conditions, copies and orders that "S3 compatible" may or may not mean.

Nothing is assumed of a name or a version: what was not tried counts as lacking, and then a slower way is taken that
needs less of the service.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from deltaglider_proxy.storage.backend import Condition, IfAbsent, IfMatch


class Verdict(StrEnum):
    WORKS = "works"
    LACKING = "lacking"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True)
class Verdicts:
    create_if_absent: Verdict = Verdict.UNTESTED
    """PutObject with If-None-Match: * refuses where there is an object, and only there."""
    replace_if_match: Verdict = Verdict.UNTESTED
    """PutObject with If-Match refuses where there is another generation, or none."""
    delete_if_match: Verdict = Verdict.UNTESTED
    complete_if_absent: Verdict = Verdict.UNTESTED
    """The same for CompleteMultipartUpload."""
    complete_if_match: Verdict = Verdict.UNTESTED
    copy: Verdict = Verdict.UNTESTED
    """CopyObject exists and obeys x-amz-copy-source-if-match."""
    part_copy: Verdict = Verdict.UNTESTED
    """UploadPartCopy with a range exists and obeys the same."""
    streams: Verdict = Verdict.UNTESTED
    """PutObject takes a body that is signed in chunks, and makes nothing of one that is cut off."""
    md5_etags: Verdict = Verdict.UNTESTED
    """The ETag of what was put in one piece is its MD5."""
    byte_order: Verdict = Verdict.UNTESTED
    """ListObjectsV2 lists in the order of bytes, after any `start-after`."""
    common_prefixes: Verdict = Verdict.UNTESTED
    """ListObjectsV2 with a delimiter shows what keys have in common, and nothing when they are gone."""
    odd_keys: Verdict = Verdict.UNTESTED
    """Keys with components that file systems resolve, beside others or long, are objects of their own."""
    backslashes: Verdict = Verdict.UNTESTED
    r"""`\` is not `/`."""
    line_breaks: Verdict = Verdict.UNTESTED
    """Keys with tabs, line feeds and carriage returns are listed as they are."""
    control_characters: Verdict = Verdict.UNTESTED
    """The same for characters that XML cannot say."""
    empty_values: Verdict = Verdict.UNTESTED
    """Metadata may have empty values."""
    utf8_values: Verdict = Verdict.UNTESTED
    """Values of metadata in UTF-8 come back as they were put, plain or as what RFC 2047 makes of them."""

    def put_honours(self, condition: Condition) -> bool:
        match condition:
            case None:
                return True
            case IfAbsent():
                return self.create_if_absent is Verdict.WORKS
            case IfMatch():
                return self.replace_if_match is Verdict.WORKS

    def complete_honours(self, condition: Condition) -> bool:
        match condition:
            case None:
                return True
            case IfAbsent():
                return self.complete_if_absent is Verdict.WORKS
            case IfMatch():
                return self.complete_if_match is Verdict.WORKS

    @property
    def compare_and_swap(self) -> bool:
        """Whatever changes an object can be made to depend on what the key holds, whoever else writes to it."""
        return all(
            verdict is Verdict.WORKS
            for verdict in (
                self.create_if_absent,
                self.replace_if_match,
                self.delete_if_match,
                self.complete_if_absent,
                self.complete_if_match,
            )
        )


_HOST_ONLY: Final = "checked under a lock of this host instead: safe on one host only"
_CONSEQUENCES: Final = {
    "create_if_absent": _HOST_ONLY,
    "replace_if_match": f"{_HOST_ONLY}; no object is rewritten after it was promoted to a reference",
    "delete_if_match": _HOST_ONLY,
    "complete_if_absent": _HOST_ONLY,
    "complete_if_match": _HOST_ONLY,
    "copy": "copies are made by reading and writing",
    "part_copy": "objects are joined by reading and writing",
    "streams": "bodies of more than 8 MiB go up in parts, so their ETags are not their MD5s",
    "md5_etags": "whole reads are not compared with the ETag",
    "byte_order": "listings are collected and sorted, up to a bound",
    "common_prefixes": "folders are found by listing the keys in them",
    "odd_keys": "keys with //, . or .. in them are refused, and the service may refuse others",
    "backslashes": r"keys with \ in them are refused",
    "line_breaks": "keys with tabs or line breaks in them are refused",
    "empty_values": "metadata with empty values goes as RFC 2047 words, which other programs see",
    "utf8_values": "metadata that is not ASCII goes as RFC 2047 words, as AWS itself returns it",
    "control_characters": "keys with control characters, U+FFFD, U+FFFE or U+FFFF in them are refused",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict and, unless it works, what follows."""

    name: str
    verdict: Verdict
    consequence: str


def findings(verdicts: Verdicts) -> tuple[Finding, ...]:
    found = []
    for each in fields(verdicts):
        verdict: Verdict = getattr(verdicts, each.name)
        found.append(Finding(each.name, verdict, "" if verdict is Verdict.WORKS else _CONSEQUENCES[each.name]))
    return tuple(found)
