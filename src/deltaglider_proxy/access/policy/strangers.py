"""What everyone may do without signing: read below the public prefixes of buckets, and list nothing else."""

from collections.abc import Iterator, Mapping, Sequence

from deltaglider_proxy.access.policy.conditions import Condition
from deltaglider_proxy.access.policy.context import PREFIX_KEY, Fact
from deltaglider_proxy.access.policy.resources import Patterns
from deltaglider_proxy.access.policy.rules import Rules, Statement
from deltaglider_proxy.control.model import Effect


def anonymous_rules(prefixes: Mapping[str, Sequence[str]]) -> Rules:
    """By bucket. Each prefix ends with `/`; the empty one means all of the bucket."""
    return Rules(
        (statement for bucket, found in prefixes.items() for prefix in found for statement in _below(bucket, prefix)),
        shows_by_name=False,
    )


def _below(bucket: str, prefix: str) -> Iterator[Statement]:
    if not prefix:
        yield Statement(Effect.ALLOW, frozenset({"read", "list"}), Patterns.of([bucket, f"{bucket}/*"]))
        return
    folder = prefix.removesuffix("/")

    def inside(fact: Fact) -> bool:
        return isinstance(fact, str) and (fact == folder or fact.startswith(prefix))

    condition = Condition(PREFIX_KEY, (inside,), negated=False, when_missing=False)
    yield Statement(Effect.ALLOW, frozenset({"read"}), Patterns.of([f"{bucket}/{prefix}*"]))
    yield Statement(Effect.ALLOW, frozenset({"list"}), Patterns.of([bucket]), (condition,))
