"""Whether some order of the operations explains every answer and what is there at the end.

The order must respect real time: an operation that was answered before another began comes before it. An operation
whose answer was lost, or whose process died, may have happened at any time after it began, or never.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

from deltaglider_proxy.engine import errors
from tests.support.engine.stage import Answer


@dataclass(frozen=True, slots=True)
class Value:
    """What a client sees of an object."""

    data: bytes
    user: tuple[tuple[str, str], ...] = ()

    @override
    def __repr__(self) -> str:
        return f"<{len(self.data)} bytes {self.data[:3].hex()} {dict(self.user)}>"


State = Mapping[str, Value] | None
"""By key; None when the bucket is gone."""


@dataclass(frozen=True, slots=True)
class Put:
    key: str
    value: Value
    only_if_absent: bool = False


@dataclass(frozen=True, slots=True)
class Complete:
    """Joins the parts of an upload; may be repeated."""

    key: str
    value: Value


@dataclass(frozen=True, slots=True)
class Delete:
    key: str


@dataclass(frozen=True, slots=True)
class Get:
    key: str


@dataclass(frozen=True, slots=True)
class Copy:
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class DeleteBucket:
    pass


@dataclass(frozen=True, slots=True)
class Nothing:
    """An operation that clients cannot see: garbage collection."""


Operation = Put | Complete | Delete | Get | Copy | DeleteBucket | Nothing


@dataclass(frozen=True, slots=True)
class Entry:
    operation: Operation
    answer: Answer

    @property
    def certain(self) -> bool:
        """The client knows whether it happened."""
        return self.answer.ended is not None and not isinstance(self.answer.error, errors.Uncertain)

    def precedes(self, other: "Entry") -> bool:
        return self.certain and self.answer.ended is not None and self.answer.ended < other.answer.began


def explains(entries: Sequence[Entry], before: State, after: State) -> bool:
    """Whether an order exists that leads from `before` to `after` with these answers."""
    return _search(tuple(entries), before, after)


def _search(left: tuple[Entry, ...], state: State, after: State) -> bool:
    if state == after and not any(e.certain for e in left):
        return True
    for entry in left:
        if any(other.precedes(entry) for other in left):
            continue
        following = _apply(entry, state)
        rest = tuple(e for e in left if e is not entry)
        if not isinstance(following, _No) and _search(rest, following, after):
            return True
    return False


class _No:
    """The operation cannot have been answered so in that state."""


def _apply(entry: Entry, state: State) -> State | _No:
    operation, error = entry.operation, entry.answer.error
    if isinstance(operation, Nothing):
        return state if error is None or not entry.certain else _No()
    if isinstance(error, errors.NoSuchBucket):
        return state if state is None else _No()
    if isinstance(error, errors.Unavailable):
        return state
    if error is not None and not isinstance(
        error,
        errors.Uncertain | errors.PreconditionFailed | errors.NoSuchKey | errors.BucketNotEmpty | errors.NoSuchUpload,
    ):
        return _No()
    if isinstance(operation, DeleteBucket):
        if isinstance(error, errors.BucketNotEmpty):
            return state if state else _No()
        return None if state == {} else _No()
    if state is None:
        return _No() if entry.certain else state
    return _on_objects(operation, entry, state)


def _on_objects(
    operation: Put | Complete | Delete | Get | Copy, entry: Entry, state: Mapping[str, Value]
) -> State | _No:
    error = entry.answer.error
    match operation:
        case Put(key, value, only_if_absent):
            if isinstance(error, errors.PreconditionFailed):
                return state if only_if_absent and key in state else _No()
            allowed = not isinstance(error, errors.NoSuchKey | errors.NoSuchUpload) and not (
                only_if_absent and key in state
            )
            return {**state, key: value} if allowed else _No()
        case Complete(key, value):
            return state if isinstance(error, errors.NoSuchUpload) else {**state, key: value}
        case Delete(key):
            if entry.certain and entry.answer.value is not (key in state):
                return _No()
            return {k: v for k, v in state.items() if k != key}
        case Get(key):
            if isinstance(error, errors.NoSuchKey):
                return state if key not in state else _No()
            return state if not entry.certain or state.get(key) == entry.answer.value else _No()
        case Copy(source, target):
            if isinstance(error, errors.NoSuchKey):
                return state if source not in state else _No()
            return {**state, target: state[source]} if source in state else _No()
