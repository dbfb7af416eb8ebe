"""Conditional requests. Times compare in whole seconds, which is all that `Last-Modified` shows; a date that cannot be
parsed is no condition. Source: RFC 9110 section 13; for copy sources, where the tag decides over the date, the S3 API
Reference on CopyObject.
"""

from dataclasses import dataclass
from enum import Enum

from deltaglider_proxy.s3.protocol.dates import parse_http_date
from deltaglider_proxy.s3.protocol.request import Headers, header_text


class Outcome(Enum):
    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"
    """304 where the request only reads."""
    FAILED = "failed"
    """412."""
    MISSING = "missing"
    """404: the condition names an object that is not there."""


@dataclass(frozen=True, slots=True)
class _Tag:
    value: str
    weak: bool


@dataclass(frozen=True, slots=True)
class _Tags:
    """`*`, or a list."""

    any: bool
    tags: tuple[_Tag, ...] = ()

    def matches(self, etag: str, *, strong: bool) -> bool:
        return self.any or any(tag.value == etag and not (strong and tag.weak) for tag in self.tags)


def parse_tags(text: str) -> _Tags:
    """A list of entity tags; tags without quotes, which many clients send, are taken as they are."""
    if text.strip() == "*":
        return _Tags(any=True)
    tags = []
    rest = text
    while rest := rest.lstrip(" \t,"):
        weak = rest.startswith("W/")
        rest = rest.removeprefix("W/")
        if rest.startswith('"') and '"' in rest[1:]:
            value, _, rest = rest[1:].partition('"')
        else:
            value, _, rest = rest.partition(",")
            value = value.strip().strip('"')
        tags.append(_Tag(value, weak))
    return _Tags(any=False, tags=tuple(tags))


@dataclass(frozen=True, slots=True)
class Conditions:
    match: _Tags | None = None
    none_match: _Tags | None = None
    modified_since: int | None = None
    unmodified_since: int | None = None

    def for_read(self, etag: str, modified: float) -> Outcome:
        """What a GET or HEAD of this object answers."""
        seconds = int(modified)
        if self.match is not None:
            if not self.match.matches(etag, strong=True):
                return Outcome.FAILED
        elif self.unmodified_since is not None and seconds > self.unmodified_since:
            return Outcome.FAILED
        if self.none_match is not None:
            if self.none_match.matches(etag, strong=False):
                return Outcome.NOT_MODIFIED
        elif self.modified_since is not None and seconds <= self.modified_since:
            return Outcome.NOT_MODIFIED
        return Outcome.PROCEED

    def for_copy_source(self, etag: str, modified: float) -> Outcome:
        """As for a read, but all that does not hold is a failure."""
        return Outcome.PROCEED if self.for_read(etag, modified) is Outcome.PROCEED else Outcome.FAILED

    def for_write(self, etag: str | None) -> Outcome:
        """What the key holds now decides whether it may change; None: nothing. S3 knows no dates here."""
        if self.match is not None:
            if etag is None:
                return Outcome.MISSING
            if not self.match.matches(etag, strong=True):
                return Outcome.FAILED
        if self.none_match is not None and etag is not None and self.none_match.matches(etag, strong=False):
            return Outcome.FAILED
        return Outcome.PROCEED


_READ = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
_COPY = tuple(b"x-amz-copy-source-" + name for name in _READ)


def parse_conditions(headers: Headers) -> Conditions | None:
    """None if there are none, which is the common case."""
    return _parse(headers, _READ)


def parse_copy_source_conditions(headers: Headers) -> Conditions | None:
    return _parse(headers, _COPY)


def _parse(headers: Headers, names: tuple[bytes, ...]) -> Conditions | None:
    if headers.keys().isdisjoint(names):
        return None
    match, none_match, modified, unmodified = (
        header_text(name, headers[name]) if name in headers else None for name in names
    )
    return Conditions(
        match=None if match is None else parse_tags(match),
        none_match=None if none_match is None else parse_tags(none_match),
        modified_since=None if modified is None else parse_http_date(modified),
        unmodified_since=None if unmodified is None else parse_http_date(unmodified),
    )


def if_range_holds(text: str | None, etag: str, modified: float) -> bool:
    """Whether `Range` counts: `If-Range` is absent, or names this very state of the object."""
    if text is None:
        return True
    date = None if text.startswith(('"', "W/")) else parse_http_date(text)
    if date is not None:
        return int(modified) == date
    return parse_tags(text).matches(etag, strong=True) and text.strip() != "*"
