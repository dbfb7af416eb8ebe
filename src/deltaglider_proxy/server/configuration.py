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
from deltaglider_proxy.access.declarative.reconcile import CannotReconcile
from deltaglider_proxy.access.state import Mode
from deltaglider_proxy.admin.ports import Applied, Former, Plain, Refused, Restoring
from deltaglider_proxy.config import load as loading
from deltaglider_proxy.config.access import Access
from deltaglider_proxy.config.auth_state import OpenAccess, Undecided
from deltaglider_proxy.config.diff import Difference, diff, summary
from deltaglider_proxy.config.expand import escape
from deltaglider_proxy.config.findings import ConfigError, Finding, Severity, warning
from deltaglider_proxy.config.keystore import joined, secrets_of
from deltaglider_proxy.config.load import LoadedConfig, Sources
from deltaglider_proxy.config.persist import CannotPersist, persist
from deltaglider_proxy.config.plain import plain
from deltaglider_proxy.config.preserve import BootstrapHashChanged
from deltaglider_proxy.config.render import Tier, redacted, render
from deltaglider_proxy.config.restart import restart_findings
from deltaglider_proxy.config.section_patch import NotAPatch, patched
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.control.errors import ControlError
from deltaglider_proxy.server.announcements import LOOK_SECONDS, Announcements, Topic
from deltaglider_proxy.server.config_commit import Commit
from deltaglider_proxy.server.control_plane import ControlPlane
from deltaglider_proxy.server.declared_iam import DeclaredIam, refused
from deltaglider_proxy.server.flat_view import flat, tainted
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from deltaglider_proxy.server.known_file import NAMES as KNOWN_NAMES
from deltaglider_proxy.server.known_file import FileState, KnownFile, state_of
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
"""Seconds between two looks whether somebody has edited the file."""
_BETWEEN_ATTEMPTS: Final = 1.0
"""Seconds until a worker that cannot live by what holds tries again."""

_log = structlog.get_logger("deltaglider_proxy.config")


@dataclass(frozen=True, slots=True)
class Boot:
    """What a worker starts with, and reads again."""

    loaded: LoadedConfig
    sources: Sources
    verbose: bool
    file_state: FileState | None = field(init=False)
    """Of the file that was loaded; None if it is another one by now. A worker that begins later lives by that, too,
    until it has looked at the file: another may have died after it had written there, and before it told anybody.
    """

    def __post_init__(self) -> None:
        state = state_of(self.sources.path)
        try:
            is_loaded = state is not None and _same(self.loaded, loading.reload(self.sources))
        except ConfigError:
            is_loaded = False
        object.__setattr__(self, "file_state", state if is_loaded else None)


class ConfigCounts(Protocol):
    def config_changed(self, source: ConfigSource, *, applied: bool) -> None: ...


class Runtime(Protocol):
    """The parts of a worker that a configuration replaces."""

    async def prepare(self, settings: ServerSettings, *, applies: bool, ask: bool) -> None:
        """Build what is new. Raises CannotStart; nothing has happened then. `applies`: nobody of this host lives by it
        yet. `ask`: whether backends that changed must be there.
        """
        ...

    async def switch(self, settings: ServerSettings) -> None:
        """Live by it from the next request on."""
        ...


def forget_applied(run_dir: Path) -> None:
    """Before the first worker starts."""
    for name in (_APPLIED, RELOAD, "announcements", *KNOWN_NAMES):
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
        self._started = boot.loaded.settings
        self._known = KnownFile(settings.run_dir, boot.file_state)
        self._looked_at = boot.file_state

    @property
    def settings(self) -> Settings:
        return self._loaded.settings

    @property
    def etag(self) -> str:
        return hashlib.sha256(self._text.encode()).hexdigest()[:32]

    @property
    def _text(self) -> str:
        """With secrets."""
        return render(self._loaded.file_settings, self._loaded.references, Tier.PERSISTED)

    @property
    def tainted(self) -> Sequence[str]:
        return tainted(self._started, self._loaded)

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
        return flat(self._started, self._loaded, self._running, self._sources.path)

    async def access_of(self, text: str) -> Access:
        return (await self._pool.run(self._load, text)).file_settings.access

    async def validate(self, text: str) -> Applied:
        return await self._tried(await self._pool.run(self._load, text))

    async def validate_patch(self, section: str, patch: object) -> Applied:
        return await self._tried(await self._pool.run(self._load_patched, section, patch))

    async def former(self, text: str) -> Former:
        try:
            loaded = await self._pool.run(self._load, text)
        except Refused as error:
            message = f"this revision cannot be used any more: {error.message}"
            raise Refused(409, "unusable_revision", message, error.problems) from error
        shown = render(loaded.file_settings, loaded.references, Tier.EXPORT)
        return Former(shown, self._difference(loaded))

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
        try:
            return patched(self._loaded, section, patch)
        except NotAPatch as error:
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
        if restoring is None and _same(self._loaded, loaded):
            return await self._unchanged(loaded)
        try:
            await self._runtime.prepare(settings, applies=True, ask=restoring is None)
        except CannotStart as error:
            raise Refused(422, "cannot_take_effect", str(error)) from error
        reconcile = await self._iam.change(self._loaded.settings.access, loaded.settings.access, by)
        difference = self._difference(loaded)
        text = render(loaded.file_settings, loaded.references, Tier.PERSISTED)
        async with self._auditor.change(by, action, "", {"diff": difference}) as begun:
            journal = None
            if restoring is not None:
                journal = RestoreJournal(self._control.directory, self._path, text, restoring.new_hash)
                await self._pool.run(journal.begin)
            commit = Commit(by.user, action, self._text, text, summary(difference), reconcile, restoring, journal)
            try:
                plan, revision = await self._control.write(commit, quiet=not commit.changes_users)
            except Exception as error:
                await self._forget(journal)
                if isinstance(error, CannotReconcile):
                    raise refused(str(error)) from error
                raise
            begun.details["revision"] = revision
        await self._iam.changed(self._loaded.settings.access, loaded.settings.access, by)
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

    async def _unchanged(self, loaded: LoadedConfig) -> Applied:
        """Neither recorded nor announced; only a file that could not be written before is tried again."""
        failure = None
        if await self._pool.run(lambda: self._known.is_behind):
            failure = await self._pool.run(self._leave, self._text, self._path)
        return replace(
            self._described(loaded, applied=True),
            persisted=failure is None,
            path=str(self._path) if failure is None else None,
            error=failure,
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
                self._known.was_written(path, text)
        except CannotPersist as error:
            self._known.could_not_be_written()
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
        findings: list[Finding] = [*loaded.warnings, *restarts, *self._idle_pair(loaded)]
        if isinstance(loaded.auth_state, OpenAccess) != isinstance(self._loaded.auth_state, OpenAccess):
            findings = [f for f in findings if f.keys != ("access", "authentication")]
        return Applied(
            applied=applied,
            requires_restart=bool(restarts),
            warnings=[str(finding) for finding in findings if finding.severity is not Severity.INFO],
            diff=self._difference(loaded),
        )

    def _idle_pair(self, loaded: LoadedConfig) -> Iterator[Finding]:
        before, after = self._loaded.settings.access, loaded.settings.access
        changed = (before.access_key_id, before.secret_access_key) != (after.access_key_id, after.secret_access_key)
        if changed and self._control.state.mode is Mode.IAM:
            message = "the key pair has no effect, because there are users, and only their keys sign"
            yield warning(("access", "access_key_id"), message, "give a user other keys instead")

    @asynccontextmanager
    async def _exclusive(self, etag: str | None, source: ConfigSource = ConfigSource.API) -> AsyncIterator[None]:
        """One change at a time on this host, made to the newest configuration. Raises Refused."""
        async with self._mine:
            descriptor = os.open(self._run_dir / "config.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                await self._pool.run(fcntl.flock, descriptor, fcntl.LOCK_EX)
                await self._catch_up()
                if source is ConfigSource.API and await self._pool.run(self._known.was_edited, self._path):
                    message = f"{self._path}: the file was edited since it was read; send SIGHUP, or mend it, first"
                    raise Refused(412, "file_edited", message)
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
                asked, state, known = await self._pool.run(self._look)
                if asked != self._reload_seen:
                    self._reload_seen = asked
                    await self.reload("asked to by a signal")
                elif state not in (known, self._looked_at):
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
            await self._runtime.prepare(settings, applies=False, ask=False)
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

        What it looks like is noted before it is read: an edit that comes meanwhile is not taken for seen.
        """
        try:
            async with self._exclusive(None, ConfigSource.FILE):
                state = self._looked_at = await self._pool.run(state_of, self._path)
                loaded = await self._pool.run(loading.reload, self._sources_now())
                if _same(self._loaded, loaded):
                    await self._pool.run(self._known.was_read, state)
                    return
                _log.info("reading the configuration file again", reason=why)
                applied = await self._apply(loaded, Actor(user="system"), "reload_config", keep=False)
                await self._pool.run(self._known.was_read, state)
        except (ConfigError, Refused) as error:
            _log.error("the configuration file cannot be used, so the former one still holds", reason=str(error))
            return
        for line in applied.warnings:
            _log.warning(line)

    def _sources_now(self) -> Sources:
        """A file where the next start would find one counts, although there was none at this start."""
        if self._sources.path is None and self._path.exists():
            return replace(self._sources, path=self._path)
        return self._sources

    def _look(self) -> tuple[bytes, FileState | None, FileState | None]:
        """What was asked for last, how the file looks, and how it is known to."""
        try:
            asked = (self._run_dir / RELOAD).read_bytes()
        except FileNotFoundError:
            asked = b""
        return asked, state_of(self._path), self._known.state


def _same(before: LoadedConfig, after: LoadedConfig) -> bool:
    return (before.file_settings, before.references) == (after.file_settings, after.references)
