"""The configuration of a running server, and the way to another one.

A change is tried wholly before anything of it is seen: read, checked, built beside what runs, and its backends asked.
Then it is recorded, takes effect, is written to the file, and the other workers are told; they read it from where this
one has left it. A request that has begun ends on what it began with.
"""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from deltaglider_proxy.access.auditor import Actor, Auditor
from deltaglider_proxy.access.declarative.reconcile import CannotReconcile, Plan
from deltaglider_proxy.admin.last_admin import has_administrator
from deltaglider_proxy.admin.ports import Applied, Plain, Refused, Restoring
from deltaglider_proxy.config import load as loading
from deltaglider_proxy.config import yaml_out
from deltaglider_proxy.config.access import Access
from deltaglider_proxy.config.auth_state import OpenAccess, Undecided
from deltaglider_proxy.config.diff import Difference, diff, summary
from deltaglider_proxy.config.expand import escape
from deltaglider_proxy.config.findings import ConfigError, Finding, Keys, Severity, dotted
from deltaglider_proxy.config.keystore import joined, secrets_of
from deltaglider_proxy.config.load import LoadedConfig, Sources
from deltaglider_proxy.config.merge_patch import merge_section
from deltaglider_proxy.config.persist import CannotPersist, persist
from deltaglider_proxy.config.plain import plain
from deltaglider_proxy.config.preserve import BootstrapHashChanged
from deltaglider_proxy.config.render import Tier, redacted, render
from deltaglider_proxy.config.restart import restart_findings
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.control.audit.record import Outcome
from deltaglider_proxy.control.errors import ControlError
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.server.announcements import LOOK_SECONDS, Announcements, Topic
from deltaglider_proxy.server.control_plane import ControlPlane
from deltaglider_proxy.server.declared_iam import DeclaredIam, Reconcile, refused
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from deltaglider_proxy.server.restore_journal import RestoreJournal, draft_can_be_made
from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.metrics import ConfigSource
from deltaglider_proxy.telemetry.pool import Pool

_DEFAULT_FILE: Final = "deltaglider_proxy.yaml"
_APPLIED: Final = "applied.yaml"
RELOAD: Final = "reload"
"""A file that changes when somebody asks for the configuration file to be read again."""
_FILE_POLL: Final = 1.0
_BETWEEN_ATTEMPTS: Final = 1.0
"""Seconds between two looks whether somebody has edited the file."""

FileState = tuple[int, int, int]
"""Inode, size, time of the last change: differ when somebody has written the file."""

_log = structlog.get_logger("deltaglider_proxy.config")


@dataclass(frozen=True, slots=True)
class Boot:
    """What a worker starts with, and reads again."""

    loaded: LoadedConfig
    sources: Sources
    verbose: bool
    file_state: FileState | None = field(init=False)
    """Of the file that was loaded. A worker that begins later lives by that, too, until it has looked at the file:
    another may have died after it had written there, and before it told anybody.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "file_state", _state_of(self.sources.path))


def _state_of(path: Path | None) -> FileState | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class ConfigCounts(Protocol):
    def config_changed(self, source: ConfigSource, *, applied: bool) -> None: ...


class Runtime(Protocol):
    """The parts of a worker that a configuration replaces."""

    async def prepare(self, settings: ServerSettings, *, applies: bool) -> None:
        """Build what is new, and ask the backends that changed. Raises CannotStart; nothing has happened then.
        `applies`: nobody of this host lives by it yet.
        """
        ...

    async def switch(self, settings: ServerSettings) -> None:
        """Live by it from the next request on."""
        ...


def forget_applied(run_dir: Path) -> None:
    """Before the first worker starts."""
    for name in (_APPLIED, RELOAD, "announcements"):
        (run_dir / name).unlink(missing_ok=True)


class LiveConfiguration:
    def __init__(
        self,
        boot: Boot,
        settings: ServerSettings,
        runtime: Runtime,
        control: ControlPlane,
        announcements: Announcements,
        auditor: Auditor,
        clock: Clock,
        pool: Pool,
        counts: ConfigCounts,
    ) -> None:
        self._loaded = boot.loaded
        self._counts = counts
        self._sources = boot.sources
        self._verbose = boot.verbose
        self._running = settings
        self._runtime = runtime
        self._control = control
        self._iam = DeclaredIam(control, auditor)
        self._announcements = announcements
        self._auditor = auditor
        self._clock = clock
        self._pool = pool
        self._run_dir = settings.run_dir
        self._fingerprint_key = os.urandom(32)
        self._mine = asyncio.Lock()
        self._seen = 0
        self._reload_seen = b""
        self._file_state = boot.file_state

    @property
    def settings(self) -> Settings:
        return self._loaded.settings

    @property
    def etag(self) -> str:
        text = render(self._loaded.file_settings, self._loaded.references, Tier.PERSISTED)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def tainted(self) -> Sequence[str]:
        return sorted(dotted(keys) for keys in self._loaded.overrides)

    def export(self, section: str | None) -> str:
        return render(self._loaded.file_settings, self._loaded.references, Tier.EXPORT, section)

    def section(self, name: str) -> Mapping[str, object]:
        found = self._shown().get(name, {})
        assert isinstance(found, dict)
        return found

    def _shown(self) -> dict[str, Any]:
        references = self._loaded.references
        return redacted(plain(self._loaded.file_settings, references), references, Tier.EXPORT)

    def flat(self) -> Mapping[str, object]:
        loaded = self._loaded
        advanced, storage, runtime = loaded.settings.advanced, loaded.settings.storage, loaded.runtime
        shown = redacted(plain(loaded.settings), {}, Tier.EXPORT)
        return {
            **{name: getattr(advanced, name) for name in _FLAT_ADVANCED},
            "listen_addr": str(advanced.listen_addr),
            "log_level": self._running.log_filter.text,
            "backend_type": storage.backend.type,
            "access_key_id": loaded.settings.access.access_key_id,
            "iam_mode": loaded.settings.access.iam_mode,
            **{name: getattr(runtime, name) for name in _FLAT_RUNTIME},
            "bucket_policies": shown.get("storage", {}).get("buckets", {}),
            "default_backend": storage.default_backend,
            "admission_blocks": shown.get("admission", {}).get("blocks", []),
            "config_path": str(self._sources.path) if self._sources.path is not None else None,
            "tainted_fields": list(self.tainted),
        }

    async def access_of(self, text: str) -> Access:
        return (await self._pool.run(self._load, text)).file_settings.access

    async def validate(self, text: str) -> Applied:
        return await self._tried(await self._pool.run(self._load, text))

    async def validate_patch(self, section: str, patch: object) -> Applied:
        return await self._tried(await self._pool.run(self._load_patched, section, patch))

    async def _tried(self, loaded: LoadedConfig) -> Applied:
        self._settings_of(loaded)
        described = self._described(loaded, applied=False)
        preview = await self._iam.preview(self._loaded.settings.access, loaded.settings.access)
        return replace(described, warnings=[*described.warnings, *preview])

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
        async with self._exclusive(etag):
            loaded = await self._pool.run(self._load, escape(text) if expanded else text)
            self._check_access(loaded, iam)
            return await self._apply(loaded, by, action)

    async def patch(self, section: str, patch: object, by: Actor, etag: str | None, *, iam: bool = False) -> Applied:
        async with self._exclusive(etag):
            loaded = await self._pool.run(self._load_patched, section, patch)
            self._check_access(loaded, iam)
            return await self._apply(loaded, by, f"apply_config_section:{section}")

    def _check_access(self, loaded: LoadedConfig, iam: bool) -> None:
        """Raises Refused."""
        if not iam and loaded.file_settings.access != self._loaded.file_settings.access:
            raise Refused(
                403,
                "scope_required",
                "the section access says who may do what: to change it a token needs the scope iam",
            )

    def _load_patched(self, section: str, patch: object) -> LoadedConfig:
        return self._load(self._patched(section, patch))

    def _patched(self, section: str, patch: object) -> str:
        """The present configuration with the patch, as text. Raises Refused."""
        if not isinstance(patch, dict):
            raise Refused(400, "invalid_request", f"body: a patch of {section} is an object")
        data = dict(self._loaded.file_data)
        present = data.get(section, {})
        data[section] = merge_section(section, present, patch)
        references = {
            keys: text
            for keys, text in self._loaded.references.items()
            if _at(data, keys) is not None and _at(data, keys) == _at(self._loaded.file_data, keys)
        }
        references.update(_references_in(data, ()))
        try:
            return yaml_out.dump(data, references)
        except TypeError as error:
            raise Refused(400, "invalid_request", f"body: {error}") from error

    def _load(self, text: str) -> LoadedConfig:
        """Raises Refused."""
        if not text.strip():
            raise Refused(400, "empty_document", "yaml: the document is empty; `{}` stands for all defaults")
        try:
            loaded = loading.load_text(text, self._sources, self._loaded)
        except ConfigError as error:
            problems = [str(finding) for finding in error.findings]
            raise Refused(400, "invalid_configuration", problems[0], problems) from error
        except BootstrapHashChanged as error:
            raise Refused(403, "bootstrap_hash", str(error)) from error
        return loaded

    def _settings_of(self, loaded: LoadedConfig) -> ServerSettings:
        """Raises Refused."""
        if isinstance(loaded.auth_state, Undecided):
            raise Refused(400, "invalid_configuration", f"access: {loaded.auth_state.reason}")
        try:
            return settings_of(loaded, verbose=self._verbose)
        except CannotStart as error:
            raise Refused(422, "cannot_take_effect", str(error)) from error

    def kept(self) -> tuple[str, Plain]:
        loaded = self._loaded
        return render(loaded.file_settings, loaded.references, Tier.EXPORT), secrets_of(loaded.settings)

    async def restore(self, kept: tuple[str, Plain], by: Actor, change: Restoring) -> Applied:
        async with self._exclusive(None):
            loaded = await self._pool.run(self._load_kept, *kept)
            await self._can_be_kept()
            return await self._apply(loaded, by, "import_full_backup", restoring=change)

    async def _can_be_kept(self) -> None:
        """Raises Refused."""
        try:
            await self._pool.run(draft_can_be_made, self._path)
        except CannotPersist as error:
            raise Refused(422, "cannot_take_effect", str(error)) from error

    async def try_restore(self, kept: tuple[str, Plain]) -> Applied:
        await self._can_be_kept()
        return await self._tried(await self._pool.run(self._load_kept, *kept))

    def _load_kept(self, text: str, secrets: Plain) -> LoadedConfig:
        """Raises Refused."""
        try:
            return self._load(joined(text, secrets, self._sources, set(self._loaded.overrides)))
        except ConfigError as error:
            problems = [str(finding) for finding in error.findings]
            raise Refused(400, "invalid_configuration", problems[0], problems) from error

    @property
    def _path(self) -> Path:
        return self._sources.path or Path.cwd() / _DEFAULT_FILE

    async def _apply(
        self, loaded: LoadedConfig, by: Actor, action: str, *, keep: bool = True, restoring: Restoring | None = None
    ) -> Applied:
        """`keep`: write it to the file."""
        settings = self._settings_of(loaded)
        try:
            await self._runtime.prepare(settings, applies=True)
        except CannotStart as error:
            raise Refused(422, "cannot_take_effect", str(error)) from error
        reconcile = await self._iam.change(self._loaded.settings.access, loaded.settings.access, by)
        difference = self._difference(loaded)
        text = render(loaded.file_settings, loaded.references, Tier.PERSISTED)
        await self._auditor.administered(by, action, "", details={"diff": difference})
        journal = None
        if restoring is not None:
            journal = RestoreJournal(self._control.directory, self._path, text, restoring.new_hash)
            await self._pool.run(journal.begin)
        commit = _Commit(by.user, action, text, summary(difference), reconcile, restoring, journal)
        try:
            plan, revision = await self._control.write(commit, quiet=not commit.changes_users)
        except Exception as error:
            await self._forget(journal)
            await self._auditor.administered(by, action, "", Outcome.FAILED)
            if isinstance(error, CannotReconcile):
                raise refused(str(error)) from error
            raise
        warnings = [*await self._iam.done(plan)] if plan is not None else []
        described = self._described(loaded, applied=True)
        await self._switch(loaded, settings)
        failure = await self._pool.run(self._leave, text, self._path if keep else None)
        number = self._announcements.announce(Topic.CONFIG)
        self._acted(number)
        if behind := await self._announcements.everyone(Topic.CONFIG, number, self._clock):
            warnings.append(f"workers {', '.join(map(str, behind))} do not live by it yet; see the log")
        if restoring is not None and restoring.new_hash is not None:
            await self._control.change_bootstrap_hash(restoring.new_hash)
        if journal is not None and failure is None:
            await self._pool.run(journal.end)
        self._counts.config_changed(ConfigSource.API if keep else ConfigSource.FILE, applied=True)
        return Applied(
            applied=True,
            persisted=failure is None,
            requires_restart=described.requires_restart,
            warnings=[*described.warnings, *warnings],
            diff=difference,
            path=str(self._path) if failure is None else None,
            error=failure,
            revision=revision,
        )

    async def _forget(self, journal: RestoreJournal | None) -> None:
        """Unless the transaction may have been kept after all: then the next start finds that out."""
        if journal is None:
            return
        try:
            if await self._control.read(journal.is_marked):
                return
        except ControlError:
            return
        await self._pool.run(journal.end)

    def _leave(self, text: str, path: Path | None) -> str | None:
        """For the other workers, and, with a path, for the next start. What went wrong with the latter."""
        draft = self._run_dir / f"{_APPLIED}.draft"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(self._run_dir / _APPLIED)
        try:
            if path is not None:
                persist(path, text)
        except CannotPersist as error:
            _log.error("the configuration holds, but only until the next start", reason=str(error))
            return f"applied, but not written: {error}"
        return None

    async def _switch(self, loaded: LoadedConfig, settings: ServerSettings) -> None:
        await self._runtime.switch(settings)
        self._loaded, self._running = loaded, settings
        _log.info("another configuration holds")

    def _difference(self, loaded: LoadedConfig) -> Difference:
        before = self._loaded
        references = (before.references, loaded.references)
        return diff(before.file_settings, loaded.file_settings, self._fingerprint_key, references)

    def _described(self, loaded: LoadedConfig, *, applied: bool) -> Applied:
        restarts = list(restart_findings(self._loaded.settings, loaded.settings))
        findings: list[Finding] = [*loaded.warnings, *restarts]
        if isinstance(loaded.auth_state, OpenAccess) != isinstance(self._loaded.auth_state, OpenAccess):
            findings = [f for f in findings if f.keys != ("access", "authentication")]
        return Applied(
            applied=applied,
            requires_restart=bool(restarts),
            warnings=[str(finding) for finding in findings if finding.severity is not Severity.INFO],
            diff=self._difference(loaded),
        )

    @asynccontextmanager
    async def _exclusive(self, etag: str | None, source: ConfigSource = ConfigSource.API) -> AsyncIterator[None]:
        """One change at a time on this host, made to the newest configuration. Raises Refused."""
        async with self._mine:
            descriptor = os.open(self._run_dir / "config.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                await self._pool.run(fcntl.flock, descriptor, fcntl.LOCK_EX)
                await self._catch_up()
                if etag is not None and etag != self.etag:
                    message = "the configuration was changed by somebody else since it was read"
                    raise Refused(412, "changed_meanwhile", message)
                yield
            except Exception:
                self._counts.config_changed(source, applied=False)
                raise
            finally:
                os.close(descriptor)

    async def follow(self, *, leads: bool) -> None:
        """Until cancelled: live by what other workers apply; whoever `leads` also by edits of the file."""
        looked = self._clock.monotonic()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._announcements.current(Topic.CONFIG) != self._seen:
                async with self._mine:
                    await self._catch_up()
            if leads and self._clock.monotonic() - looked >= _FILE_POLL:
                looked = self._clock.monotonic()
                asked, state = await self._pool.run(self._asked), await self._pool.run(self._stat)
                if asked != self._reload_seen:
                    self._reload_seen = asked
                    await self.reload("asked to by a signal")
                elif state != self._file_state:
                    await self.reload("the file was edited")

    async def begin(self) -> None:
        """Before the first request: a worker in the place of another begins with what holds now, not with what held
        when the server began, which may have let in whom nobody lets in any more. Returns when that can be lived by.
        """
        while True:
            async with self._mine:
                if await self._catch_up():
                    return
            await asyncio.sleep(_BETWEEN_ATTEMPTS)

    async def _catch_up(self) -> bool:
        """Whether this worker lives by what holds."""
        number = self._announcements.current(Topic.CONFIG)
        if number == self._seen:
            return True
        try:
            text = await self._pool.run((self._run_dir / _APPLIED).read_text, "utf-8")
            loaded = await self._pool.run(loading.load_text, text, self._sources)
            settings = settings_of(loaded, verbose=self._verbose)
            await self._runtime.prepare(settings, applies=False)
            await self._switch(loaded, settings)
        except (OSError, ConfigError, CannotStart) as error:
            _log.error("what another worker has applied cannot be lived by", reason=str(error))
            return False
        self._acted(number)
        return True

    def _acted(self, number: int) -> None:
        self._seen = number
        self._announcements.acted(Topic.CONFIG, number)

    async def reload(self, why: str) -> None:
        """Live by the file as it is now, and leave it as it is; one that cannot be used changes nothing.

        What it looks like is noted before it is read, here alone: an edit that comes meanwhile is not taken for seen.
        """
        self._file_state = await self._pool.run(self._stat)
        try:
            async with self._exclusive(None, ConfigSource.FILE):
                loaded = await self._pool.run(loading.reload, self._sources)
                before = self._loaded
                if (loaded.file_settings, loaded.references) == (before.file_settings, before.references):
                    return
                _log.info("reading the configuration file again", reason=why)
                applied = await self._apply(loaded, Actor(user="system"), "reload_config", keep=False)
        except (ConfigError, Refused) as error:
            _log.error("the configuration file cannot be used, so the former one still holds", reason=str(error))
            return
        for line in applied.warnings:
            _log.warning(line)

    def _asked(self) -> bytes:
        try:
            return (self._run_dir / RELOAD).read_bytes()
        except FileNotFoundError:
            return b""

    def _stat(self) -> FileState | None:
        return _state_of(self._sources.path)


_FLAT_ADVANCED: Final = (
    "max_delta_ratio",
    "max_object_size",
    "cache_size_mb",
    "metadata_cache_mb",
    "codec_concurrency",
    "codec_timeout_secs",
    "config_sync_bucket",
)
_FLAT_RUNTIME: Final = (
    "request_timeout_secs",
    "max_concurrent_requests",
    "max_multipart_uploads",
    "clock_skew_seconds",
    "replay_window_secs",
    "rate_limit_max_attempts",
    "rate_limit_window_secs",
    "rate_limit_lockout_secs",
    "session_ttl_hours",
    "trust_proxy_headers",
    "secure_cookies",
    "debug_headers",
)


def _at(data: object, keys: Keys) -> object:
    for key in keys:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return None
    return data


def _references_in(value: object, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Texts of a patch that are a reference to the environment as a whole."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _references_in(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references_in(item, (*keys, index))
    elif isinstance(value, str) and value.startswith("${env:") and value.endswith("}") and value.count("}") == 1:
        yield keys, value


@dataclass(frozen=True, slots=True)
class _Commit:
    """The transaction of a change: users, if it changes them, and its place in the history."""

    user: str
    action: str
    text: str = field(repr=False)
    summary: str
    reconcile: Reconcile | None
    restoring: Restoring | None
    journal: RestoreJournal | None

    @property
    def changes_users(self) -> bool:
        return self.reconcile is not None or self.restoring is not None

    def __call__(self, unit: Unit) -> tuple[Plan | None, int]:
        """Raises CannotReconcile."""
        had = self.changes_users and has_administrator(unit)
        if self.restoring is not None:
            self.restoring.change(unit)
        if self.journal is not None:
            self.journal.mark(unit)
        plan = self.reconcile(unit) if self.reconcile is not None else None
        if had and not has_administrator(unit):
            raise CannotReconcile("nobody would be left who may administer everything; declare such a user")
        return plan, unit.config_revisions.append(self.user, self.action, self.text, self.summary).id
