"""Which resources a rule is about: `*`, `bucket`, `bucket/key`, and anything that begins so, with `*` at the end.

A key is compared as it is, decoded once. `?` stands for itself.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

USERNAME, ACCESS_KEY_ID = "${iam:username}", "${iam:access_key_id}"
TEMPLATES = (USERNAME, ACCESS_KEY_ID)

_TEMPLATE = re.compile(r"\$\{[^}]*\}?")
_BAD = re.compile(r"[\s\x00-\x1f\x7f\ud800-\udfff]|\*.", re.DOTALL)
_UNSAFE = re.compile(r"[/*?$%\x00-\x1f\x7f]")


class UnknownTemplate(ValueError):
    """Names what cannot be filled in."""


def problem_of(resource: str) -> str | None:
    """What is wrong with a resource as written."""
    if not resource:
        return "must not be empty"
    if resource.startswith(("arn:", "/")):
        return "must be `bucket`, `bucket/key` or `*`: nothing begins so"
    if (problem := unknown_template(resource)) is not None:
        return problem
    if _BAD.search(resource):
        return "must hold no spaces, control characters or lone surrogates, and `*` only at its end"
    return None


def unknown_template(text: str) -> str | None:
    """What is wrong with the templates in a text."""
    unknown = [found for found in _TEMPLATE.findall(text) if found not in TEMPLATES]
    return f"holds {unknown[0]}, which nothing fills in; use {' or '.join(TEMPLATES)}" if unknown else None


def expand(text: str, username: str, access_key_id: str) -> str:
    """Fill in templates. What could change the meaning of a pattern is percent-encoded. Raises UnknownTemplate."""
    if "${" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        match match[0]:
            case "${iam:username}":
                return _literal(username)
            case "${iam:access_key_id}":
                return _literal(access_key_id)
            case unknown:
                raise UnknownTemplate(f"{unknown} cannot be filled in")

    return _TEMPLATE.sub(value, text)


def _literal(value: str) -> str:
    return quote(value, safe="") if _UNSAFE.search(value) else value


@dataclass(frozen=True, slots=True)
class Patterns:
    """Any of several. Bucket-level requests are about `bucket`, others about `bucket/key`."""

    exact: frozenset[str]
    stems: tuple[str, ...]
    """What stands before the `*`; the empty one is everything."""

    @classmethod
    def of(cls, resources: Iterable[str]) -> "Patterns":
        listed = list(resources)
        return cls(
            frozenset(item for item in listed if not item.endswith("*")),
            tuple(sorted({item[:-1] for item in listed if item.endswith("*")})),
        )

    @classmethod
    def union(cls, several: Iterable["Patterns"]) -> "Patterns":
        listed = list(several)
        exact = frozenset(item for patterns in listed for item in patterns.exact)
        return cls(exact, tuple(sorted({stem for patterns in listed for stem in patterns.stems})))

    def intersection(self, other: "Patterns") -> "Patterns":
        """What matches both."""
        exact = {item for item in self.exact if other.match(item)} | {item for item in other.exact if self.match(item)}
        both = ((ours, theirs) for ours in self.stems for theirs in other.stems)
        stems = {max(pair, key=len) for pair in both if pair[0].startswith(pair[1]) or pair[1].startswith(pair[0])}
        return Patterns(frozenset(exact), tuple(sorted(stems)))

    def below(self, beginning: str) -> "Patterns":
        """The same about what stands behind `beginning`."""
        return Patterns(
            frozenset(beginning + item for item in self.exact), tuple(beginning + stem for stem in self.stems)
        )

    def match(self, resource: str) -> bool:
        return resource in self.exact or resource.startswith(self.stems)

    @property
    def everything(self) -> bool:
        return "" in self.stems

    def cover(self, beginning: str) -> bool:
        """Whether everything that begins so matches."""
        return beginning.startswith(self.stems)

    def touch(self, beginning: str) -> bool:
        """Whether anything that begins so can match."""
        return self.cover(beginning) or self.name_below(beginning)

    def name_below(self, beginning: str) -> bool:
        """Whether a pattern as written begins so."""
        return any(stem.startswith(beginning) for stem in self.stems) or any(
            item.startswith(beginning) for item in self.exact
        )

    def name_bucket(self, bucket: str) -> bool:
        """Whether the bucket or anything in it matches."""
        return bucket in self.exact or bucket.startswith(self.stems) or self.touch(bucket + "/")
