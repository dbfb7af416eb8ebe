"""What the admin API needs of the server around it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from deltaglider_proxy.access.accounts import Accounts
from deltaglider_proxy.access.admission.chain import Facts
from deltaglider_proxy.access.auditor import Actor, Auditor
from deltaglider_proxy.access.client_address import Address, ClientAddresses
from deltaglider_proxy.access.failure_limit import FailureLimit
from deltaglider_proxy.access.known_addresses import KnownAddresses
from deltaglider_proxy.access.state import AccessState
from deltaglider_proxy.admin.password_checks import PasswordChecks
from deltaglider_proxy.admin.settings import AdminSettings
from deltaglider_proxy.config.access import Access
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.control.audit.segments import Damage
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.log_ring import LogRing
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tracing import Done

R = TypeVar("R")
Plain = Mapping[str, object]


class Control(Protocol):
    """The database, and what requests live by."""

    accounts: Accounts
    bootstrap_hash: str
    bootstrap_configured: bool
    """The environment or the configuration decides the bootstrap hash."""

    @property
    def iam_version(self) -> int: ...

    @property
    def locked(self) -> bool: ...

    @property
    def state(self) -> AccessState: ...

    @property
    def base(self) -> AccessState: ...

    async def read(self, work: Callable[[Unit], R]) -> R: ...

    async def write(self, work: Callable[[Unit], R], *, quiet: bool = False) -> R: ...

    async def change_bootstrap_hash(self, new_hash: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of a change of the configuration."""

    applied: bool
    persisted: bool = False
    requires_restart: bool = False
    warnings: Sequence[str] = ()
    diff: Plain = field(default_factory=dict)
    path: str | None = None
    error: str | None = None
    revision: int | None = None
    """In the history."""


@dataclass(frozen=True, slots=True)
class Former:
    """A configuration of the history."""

    text: str
    """YAML without secrets."""
    diff: Plain
    """From what runs to it: what going back would change."""


class Refused(Exception):
    """A change of the configuration that is not made; nothing has happened."""

    def __init__(self, status: int, code: str, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Restoring:
    """What is restored beside the configuration."""

    change: Callable[[Unit], object]
    """In the same transaction."""
    new_hash: str | None = field(default=None, repr=False)
    """The bootstrap hash to be adopted, if any."""


class Configuration(Protocol):
    """The configuration of now, and the only way to another one."""

    @property
    def settings(self) -> Settings: ...

    @property
    def etag(self) -> str:
        """Names the configuration that holds; a change may be bound to it."""
        ...

    @property
    def tainted(self) -> Sequence[str]:
        """Fields whose value in use is not that of the file: others decide them, or it waits for the next start."""
        ...

    def export(self, section: str | None) -> str:
        """YAML without secrets."""
        ...

    def section(self, name: str) -> Mapping[str, object]:
        """The same as plain values."""
        ...

    def flat(self) -> Mapping[str, object]:
        """Effective values by name, without secrets."""
        ...

    async def access_of(self, text: str) -> Access:
        """The section `access` of a document, in which nothing else need be. Raises Refused."""
        ...

    async def validate(self, text: str) -> Applied:
        """Raises Refused."""
        ...

    async def validate_patch(self, section: str, patch: object) -> Applied: ...

    async def former(self, text: str) -> Former:
        """A document that was applied once. Raises Refused where it cannot be used any more."""
        ...

    async def apply(
        self,
        text: str,
        by: Actor,
        etag: str | None,
        *,
        iam: bool,
        action: str = "apply_config",
        expanded: bool = False,
    ) -> Applied:
        """`iam`: whether the section `access` may become another. Raises Refused, and then nothing has changed."""
        ...

    async def patch(
        self, section: str, patch: object, by: Actor, etag: str | None, *, iam: bool = False
    ) -> Applied: ...

    def kept(self) -> tuple[str, Plain]:
        """For a backup, of one moment: the text without secrets, and the secrets."""
        ...

    async def restore(self, kept: tuple[str, Plain], by: Actor, change: Restoring) -> Applied:
        """Together with a change of users, or neither. Raises Refused, and then nothing has changed."""
        ...

    async def try_restore(self, kept: tuple[str, Plain]) -> Applied:
        """What `restore` would do to the configuration. Raises Refused."""
        ...


@dataclass(frozen=True, slots=True)
class BackendHealth:
    status: str
    """`healthy`, `auth-rejected`, `unreachable` or `erroring`."""
    detail: str
    probed_at: float


@dataclass(frozen=True, slots=True)
class ServiceTest:
    buckets: Sequence[str] = ()
    error: str = ""
    error_kind: str = ""
    """`credentials`, `connection`, `timeout` or `unknown`."""


class Backends(Protocol):
    async def probe(self, name: str) -> BackendHealth:
        """Raises KeyError for a name that no backend has."""
        ...

    async def test(self, fields: Mapping[str, object]) -> ServiceTest: ...


class ResolveRequest(Protocol):
    def __call__(self, method: str, path: str, query: str, *, authenticated: bool, address: Address | None) -> Facts:
        """What the S3 side makes of such a request. Raises ApiError for one that is none."""
        ...


class Sharing(Protocol):
    """Users that several nodes share through a bucket."""

    async def pull(self) -> bool:
        """Take what other nodes have changed; whether they have. Raises SharingFailed."""
        ...

    async def give(self) -> bool:
        """Let other nodes have what was changed here; whether they can by now."""
        ...

    poll: float
    """Seconds until all have looked."""


class SharingFailed(Exception):
    """Says why."""


class Watcher(Protocol):
    def request_done(self, done: Done) -> None:
        """A request has its answer."""
        ...


@dataclass(frozen=True, slots=True)
class AdminServices:
    settings: AdminSettings
    control: Control
    configuration: Configuration
    backends: Backends
    auditor: Auditor
    audit_dir: Path
    verify_audit: Callable[[], Damage | None]
    addresses: ClientAddresses
    addresses_limit: FailureLimit
    """Failures by address; the same that S3 counts in."""
    accounts_limit: FailureLimit
    """Failures by account."""
    known_addresses: KnownAddresses
    try_hash: Callable[[str], Awaitable[bool]]
    """Whether a bootstrap hash opens the database."""
    resolve_request: ResolveRequest
    sharing: Sharing | None
    logs: LogRing
    draining: Callable[[], bool]
    """The server has been told to stop: what has no end must end now."""
    watcher: Watcher
    clock: Clock
    pool: Pool
    password_checks: PasswordChecks = field(default_factory=PasswordChecks)
