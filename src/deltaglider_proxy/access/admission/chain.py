"""The admission chain: the operator's blocks in their order, then the public prefixes. The first that matches decides.

Decided on plain facts, so that a trace asks the very chain that requests meet.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from deltaglider_proxy.access.admission.networks import Networks
from deltaglider_proxy.access.client_address import Address
from deltaglider_proxy.config.admission import Block, Match, Reject
from deltaglider_proxy.config.glob import GlobError, compile_glob
from deltaglider_proxy.config.linear_regex import Compiled

_NO_FLAGS: frozenset[str] = frozenset()


class Verdict(StrEnum):
    ALLOW_ANONYMOUS = "allow-anonymous"
    """Nobody need sign; what everyone may do may be done."""
    CONTINUE = "continue"
    DENY = "deny"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    matched: str | None = None
    """Name of the block; None: no block matched."""
    status: int = 0
    """Of the answer, for REJECT."""
    message: str | None = None


CONTINUE = Decision(Verdict.CONTINUE)


@dataclass(frozen=True, slots=True)
class Facts:
    method: str
    """Upper-case."""
    bucket: str
    key: str
    """Decoded once; empty for requests on a bucket."""
    list_prefix: str
    authenticated: bool
    """It carries credentials, good or bad."""
    address: Address | None
    """None: nobody knows where it comes from."""
    lists: bool = False
    """It asks for a listing of objects."""
    plain: bool = True
    """It asks for an object or a listing, not for something about them."""

    @property
    def path(self) -> str:
        return self.key or self.list_prefix


class BadBlock(ValueError):
    """Names the block and what is wrong."""


class _Compiled:
    __slots__ = ("_authenticated", "_bucket", "_flag", "_glob", "_methods", "_networks", "_refuses", "decision")

    def __init__(self, block: Block) -> None:
        match = block.match
        self.decision = _decision(block)
        self._refuses = self.decision.verdict in (Verdict.DENY, Verdict.REJECT)
        self._methods = frozenset(method.upper() for method in match.method) if match.method is not None else None
        self._networks = _networks(block.name, match)
        self._bucket = match.bucket.lower() if match.bucket is not None else None
        self._glob = _glob(block.name, match)
        self._flag = match.config_flag
        self._authenticated = match.authenticated
        if self.decision.verdict is Verdict.ALLOW_ANONYMOUS and self._authenticated is None:
            self._authenticated = False

    def matches(self, facts: Facts, flags: frozenset[str]) -> bool:
        if self._methods is not None and facts.method not in self._methods:
            return False
        if self._bucket is not None and facts.bucket.lower() != self._bucket:
            return False
        if self._authenticated is not None and facts.authenticated is not self._authenticated:
            return False
        if self._flag is not None and self._flag not in flags:
            return False
        if self._networks is not None:
            # Whoever keeps some addresses out keeps those out that it cannot tell.
            inside = self._refuses if facts.address is None else facts.address in self._networks
            if not inside:
                return False
        return self._glob is None or self._glob.fullmatch(facts.path) is not None


def _decision(block: Block) -> Decision:
    if isinstance(block.action, Reject):
        return Decision(Verdict.REJECT, block.name, block.action.status, block.action.message)
    return Decision(Verdict(block.action), block.name)


def _networks(name: str, match: Match) -> Networks | None:
    texts = match.source_ip_list if match.source_ip_list is not None else None
    if match.source_ip is not None:
        texts = (match.source_ip,)
    if texts is None:
        return None
    try:
        return Networks(texts)
    except ValueError as error:
        raise BadBlock(f"admission block {name!r}: {error}") from error


def _glob(name: str, match: Match) -> Compiled | None:
    if match.path_glob is None:
        return None
    try:
        return compile_glob(match.path_glob)
    except GlobError as error:
        raise BadBlock(f"admission block {name!r}: path_glob {error}") from error


class Chain:
    def __init__(self, blocks: Iterable[Block] = (), public: Mapping[str, Sequence[str]] | None = None) -> None:
        """`public`: prefixes that everyone may read, by bucket. Raises BadBlock: a chain that lacks a block would let
        pass what it refuses.
        """
        self._blocks = tuple(_Compiled(block) for block in blocks)
        self._public = {bucket: tuple(prefixes) for bucket, prefixes in (public or {}).items() if prefixes}

    @property
    def idle(self) -> bool:
        """It lets everything go on, so nobody need ask."""
        return not self._blocks and not self._public

    def decide(self, facts: Facts, flags: frozenset[str] = _NO_FLAGS) -> Decision:
        for block in self._blocks:
            if block.matches(facts, flags):
                return block.decision
        if self._public and not facts.authenticated and facts.plain and facts.method in ("GET", "HEAD"):
            return self._decide_public(facts)
        return CONTINUE

    def _decide_public(self, facts: Facts) -> Decision:
        prefixes = self._public.get(facts.bucket, ())
        if facts.key:
            public = facts.key.startswith(prefixes)
        else:
            wanted = facts.list_prefix
            public = facts.lists and any(wanted.startswith(p) or p.startswith(wanted) for p in prefixes)
        if public:
            return Decision(Verdict.ALLOW_ANONYMOUS, f"public-prefix:{facts.bucket}")
        return CONTINUE


NO_BLOCKS = Chain()
