"""`admission`: rules that decide before any credential is looked at; the first block that matches wins."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from deltaglider_proxy.config.address import IpText, NetworkText
from deltaglider_proxy.config.findings import Finding, Keys, error, warning
from deltaglider_proxy.config.glob import GlobError, compile_glob
from deltaglider_proxy.config.model import Many, Model

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
RESERVED_PREFIX = "public-prefix:"
MAX_SOURCES = 4096
_NAME = re.compile(r"[A-Za-z0-9_:.-]{1,128}")
_FLAGS = ("maintenance_mode",)


class Match(Model):
    """All predicates that are set must hold; without any, every request matches."""

    method: Many[str] | None = None
    """HTTP methods, in any case."""
    source_ip: IpText | None = None
    """The client's address; not together with source_ip_list."""
    source_ip_list: Many[NetworkText] | None = None
    """Addresses and networks, at most 4096."""
    bucket: str | None = None
    """Compared in lower case."""
    path_glob: str | None = None
    """A glob on the key; requests on a bucket have the empty key."""
    authenticated: bool | None = None
    """Whether the request carries credentials."""
    config_flag: str | None = None
    """A named flag that must be set; only maintenance_mode is known."""


class Reject(Model):
    type: Literal["reject"]
    """Answer with a status of the operator's choice."""
    status: Annotated[int, Field(json_schema_extra={"minimum": 400, "maximum": 599})]
    """400 to 599."""
    message: str | None = None
    """Text of the answer."""


def _tag(value: object) -> str:
    return "reject" if isinstance(value, Mapping | Reject) else "name"


Action = Annotated[
    Annotated[Literal["allow-anonymous", "deny", "continue"], Tag("name")] | Annotated[Reject, Tag("reject")],
    Discriminator(_tag),
]


class Block(Model):
    name: Annotated[str, Field(json_schema_extra={"pattern": f"^{_NAME.pattern}$"})]
    """Unique; 1 to 128 letters, digits, `_`, `:`, `.` or `-`."""
    match: Match = Match()
    """Which requests the block is about."""
    action: Action
    """allow-anonymous, deny, continue, or a mapping of type reject."""


class Admission(Model):
    blocks: Many[Block] = ()
    """In the order of evaluation."""


def check(admission: Admission) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, block in enumerate(admission.blocks):
        keys: Keys = ("admission", "blocks", index)
        if not _NAME.fullmatch(block.name):
            yield error((*keys, "name"), "is no block name", "use 1-128 of A-Z a-z 0-9 _ : . -", value=block.name)
        if block.name.startswith(RESERVED_PREFIX):
            yield error((*keys, "name"), f"names that begin with {RESERVED_PREFIX} are reserved", value=block.name)
        if block.name in seen:
            yield error((*keys, "name"), "another block has this name", "rename one of them", value=block.name)
        seen.add(block.name)
        if isinstance(block.action, Reject) and not 400 <= block.action.status <= 599:
            yield error((*keys, "action", "status"), "must be 400 to 599", value=block.action.status)
        yield from _check_match(block.match, (*keys, "match"))


def _check_match(match: Match, keys: Keys) -> Iterator[Finding]:
    if match.method is not None:
        if not match.method:
            yield error((*keys, "method"), "matches no request when it is empty", "delete it, or name a method")
        for index, method in enumerate(match.method):
            if method.upper() not in METHODS:
                yield error((*keys, "method", index), "is no method", f"use one of {', '.join(METHODS)}", value=method)
    if match.source_ip is not None and match.source_ip_list is not None:
        yield error((*keys, "source_ip"), "cannot stand beside source_ip_list", "move the address into the list")
    if match.source_ip_list is not None and len(match.source_ip_list) > MAX_SOURCES:
        yield error((*keys, "source_ip_list"), f"holds more than {MAX_SOURCES} entries", "use larger networks")
    if match.path_glob is not None:
        try:
            compile_glob(match.path_glob)
        except GlobError as problem:
            yield error((*keys, "path_glob"), f"is no glob: it {problem}", value=match.path_glob)
    if match.config_flag is not None and match.config_flag not in _FLAGS:
        yield warning((*keys, "config_flag"), "is no known flag, so the block never matches", value=match.config_flag)
