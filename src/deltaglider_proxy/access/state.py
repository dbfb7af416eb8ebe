"""What decides about requests, as one immutable value: a request that has begun keeps the one it began with."""

from dataclasses import dataclass, field
from enum import StrEnum

from deltaglider_proxy.access.admission.chain import NO_BLOCKS, Chain
from deltaglider_proxy.access.identity import ANONYMOUS, Credentials, Identity


class Mode(StrEnum):
    OPEN = "open"
    """Everyone is administrator; signatures are not looked at."""
    BOOTSTRAP = "bootstrap"
    """One key pair, an administrator's."""
    IAM = "iam"
    """The keys of users."""
    LOCKED = "locked"
    """The database of users cannot be opened: nobody may do anything."""


@dataclass(frozen=True, slots=True)
class AccessState:
    mode: Mode
    credentials: Credentials | None
    """None in the modes OPEN and LOCKED."""
    admission: Chain = NO_BLOCKS
    anonymous: Identity = ANONYMOUS
    """With the rights that public prefixes give to everyone."""
    flags: frozenset[str] = field(default_factory=frozenset)
    """Switches that are on, such as `maintenance_mode`."""

    @property
    def maintenance(self) -> bool:
        """Nothing may be changed."""
        return "maintenance_mode" in self.flags


OPEN_STATE = AccessState(Mode.OPEN, None)


def decide_mode(*, locked: bool, users: int, has_pair: bool, is_open: bool) -> Mode | None:
    """None: nothing says who may sign, so whatever held before must go on to hold. Never open by accident."""
    if locked:
        return Mode.LOCKED
    if users:
        return Mode.IAM
    if has_pair:
        return Mode.BOOTSTRAP
    return Mode.OPEN if is_open else None
