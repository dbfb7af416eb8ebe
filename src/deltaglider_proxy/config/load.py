"""From the command line, the environment and a file to one value: what the server runs with, or why it cannot.

The layers are kept apart: `file_settings` is what the file says, `settings` what holds after environment and flags, and
`overrides` tells which value came from where, so that nothing from the environment is ever written into the file.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from deltaglider_proxy.config import auth_state, checks, document, overlay, search
from deltaglider_proxy.config.auth_state import AuthState, OpenAccess, SignedRequests, Undecided
from deltaglider_proxy.config.document import Document, Format
from deltaglider_proxy.config.environment import present
from deltaglider_proxy.config.findings import ConfigError, ErrorKind, Finding, Keys, Severity, error, info, warning
from deltaglider_proxy.config.overlay import Layered
from deltaglider_proxy.config.persist import obstacle
from deltaglider_proxy.config.preserve import Preserved, preserve
from deltaglider_proxy.config.runtime import RuntimeSettings
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.config.shape import Canonical, canonicalise
from deltaglider_proxy.config.typing_errors import at, build

DEFAULTS = "defaults and environment"
"""What errors name as their source when there is no file."""


@dataclass(frozen=True, slots=True)
class LogSources:
    """Where a log filter may come from, in order; `--verbose` and the default follow."""

    rust_log: str | None
    dgp_log_level: str | None
    file: str | None


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    settings: Settings
    """With all layers applied."""
    runtime: RuntimeSettings
    path: Path | None
    """The file; None if there is none."""
    warnings: tuple[Finding, ...]
    """To be logged once at start. Errors among them concern parts that were left out of `settings`."""
    auth_state: AuthState
    file_settings: Settings
    """What the file alone says."""
    overrides: Mapping[Keys, str]
    """Fields that the file does not decide, with `env:DGP_X` or `cli:--listen`."""
    log_sources: LogSources
    references: Mapping[Keys, str] = field(default_factory=dict)
    """Values of the file with references to the environment, as written; a `Template` where they came from a text."""
    file_data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The file as canonical plain values, references resolved, secrets in clear."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a configuration comes from, for whoever reads it again."""

    path: Path | None
    environ: Mapping[str, str] = field(repr=False)
    listen: str | None


@dataclass(frozen=True, slots=True)
class _File:
    source: str
    document: Document
    canonical: Canonical
    settings: Settings

    def placed(self, finding: Finding, overrides: Mapping[Keys, str]) -> Finding:
        """The finding with the key as written, and line and column; or with the variable that set the value."""
        for length in range(len(finding.keys), 0, -1):
            if (origin := overrides.get(finding.keys[:length])) is not None:
                return replace(finding, message=f"{finding.message} (set by {origin.partition(':')[2]})")
        keys = self.canonical.authored(finding.keys)
        line, column = self.document.place(keys) or (finding.line, finding.column)
        template = self.document.templates.get(keys)
        value = str(template) if template is not None and finding.value is not None else finding.value
        return replace(finding, keys=keys, line=line, column=column, value=value)


def load(
    argv_config: str | None,
    listen: str | None,
    environ: Mapping[str, str],
    cwd: Path,
    *,
    system_dir: Path = search.SYSTEM_DIR,
) -> LoadedConfig:
    """Everything a start needs. `listen` overrides the address. Reads one file and nothing else.

    Raises ConfigError. Whether requests are signed is reported in `auth_state`, and not judged here.
    """
    environ = present(environ)
    found = search.find(argv_config, environ, cwd, system_dir)
    file = _read(found.path, environ)
    return _finish(file, Sources(found.path, environ, listen), [*_hidden(found), *_irreplaceable(found.path)])


def reload(sources: Sources) -> LoadedConfig:
    """The same file again. Raises ConfigError."""
    return _finish(_read(sources.path, sources.environ), sources, [])


def load_text(text: str, sources: Sources, running: LoadedConfig | None = None) -> LoadedConfig:
    """A text in place of the file, under the same environment and flags.

    As a change of `running`: secrets that it leaves out are those of `running`, an empty document is a mistake, and
    what a start would go on without is refused if it is new. Raises ConfigError, BootstrapHashChanged.
    """
    source = str(sources.path) if sources.path is not None else "the document"
    parsed = document.parse(text.encode(errors="surrogatepass"), source, Format.YAML, sources.environ)
    canonical = canonicalise(parsed.data)
    if running is None:
        return _finish(_typed(source, parsed, canonical), sources, [])
    if all(line.strip() in ("", "---") or line.lstrip().startswith("#") for line in text.splitlines()):
        finding = error((), "the document is empty", "write `{}` for all defaults")
        raise ConfigError(ErrorKind.PARSE, source, [finding])
    preserved = Preserved()
    if not canonical.parse and not canonical.rules:
        preserved = preserve(canonical.data, running.file_data, running.references)
    if unusable := [finding for finding in preserved.findings if finding.severity is Severity.ERROR]:
        raise ConfigError(ErrorKind.VALIDATION, source, unusable)
    loaded = _finish(_typed(source, parsed, canonical), sources, preserved.findings, preserved.references)
    defects = [finding for finding in loaded.warnings if finding.severity is Severity.ERROR]
    if new := [finding for finding in defects if not _is_old(finding, loaded, running)]:
        raise ConfigError(ErrorKind.VALIDATION, source, new)
    return replace(loaded, warnings=(*loaded.warnings, *_shadowed(loaded, running)))


def data_of(text: str, sources: Sources) -> tuple[dict[str, Any], Mapping[Keys, str]]:
    """A text as canonical plain values, and which of them are references; nothing is judged but its form.

    Raises ConfigError.
    """
    parsed = document.parse(text.encode(errors="surrogatepass"), "the document", Format.YAML, sources.environ)
    canonical = canonicalise(parsed.data)
    if found := [*canonical.parse, *canonical.rules]:
        raise ConfigError(ErrorKind.PARSE, "the document", [_at(finding, parsed) for finding in found])
    return canonical.data, _moved(parsed.templates, canonical)


def _is_old(finding: Finding, loaded: LoadedConfig, running: LoadedConfig) -> bool:
    """Whether a defect is in the running file too; items of lists may have moved."""
    keys = finding.drop or finding.keys
    value = at(loaded.file_data, keys)
    if keys and isinstance(keys[-1], int):
        siblings = at(running.file_data, keys[:-1])
        return isinstance(siblings, list) and value in siblings
    return value == at(running.file_data, keys)


def _shadowed(loaded: LoadedConfig, running: LoadedConfig) -> Iterator[Finding]:
    """What was changed in the file, and is decided elsewhere."""
    for keys, origin in loaded.overrides.items():
        if at(loaded.file_data, keys) != at(running.file_data, keys):
            where = origin.partition(":")[2]
            yield warning(keys, f"is changed in the file only, because {where} decides it", f"remove {where}")
    keys = ("advanced", "log_level")
    if loaded.log_sources.rust_log is not None and at(loaded.file_data, keys) != at(running.file_data, keys):
        yield warning(keys, "is changed in the file only, because RUST_LOG decides it", "remove RUST_LOG")


def _finish(
    file: _File, sources: Sources, notes: list[Finding], kept: Mapping[Keys, str] | None = None
) -> LoadedConfig:
    environ = sources.environ
    layered = overlay.apply(deepcopy(file.canonical.data), environ, sources.listen)
    settings, findings = _check(file, layered)
    auth = auth_state.classify(settings.access)
    notes = [*_toml_warnings(sources.path, layered.runtime), *notes, *_auth_warnings(auth), *layered.warnings]
    references = _moved(file.document.templates, file.canonical)
    dgp_log_level = environ.get("DGP_LOG_LEVEL")
    # An invalid filter of the file is left out of the settings, and must not come back here.
    file_filter = None if _dropped(findings, ("advanced", "log_level")) else file.settings.advanced.log_level
    return LoadedConfig(
        settings=settings,
        runtime=layered.runtime,
        path=sources.path,
        warnings=(*notes, *findings),
        auth_state=auth,
        file_settings=file.settings,
        overrides=layered.overrides,
        log_sources=LogSources(layered.runtime.rust_log, dgp_log_level, file_filter),
        references={**references, **(kept or {})},
        file_data=file.canonical.data,
    )


@dataclass(frozen=True, slots=True)
class LintReport:
    kind: ErrorKind | None
    """Which step failed; None if the file can be used."""
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    notes: tuple[Finding, ...] = ()


def lint(path: Path, environ: Mapping[str, str], now: float | None = None) -> LintReport:
    """Judge the file as it is: the environment resolves references and supplies what may be missing, nothing more.
    `now`, in seconds since the epoch: judge certificates that it names too.
    """
    environ = present(environ)
    try:
        file = _read(path, environ)
    except ConfigError as failure:
        return LintReport(failure.kind, failure.findings, ())
    layered = overlay.apply(deepcopy(file.canonical.data), environ, None)
    findings = [
        file.placed(finding, {})
        for finding in checks.check(file.settings, layered.runtime, complete=False)
        if finding.severity is Severity.ERROR or finding.keys not in layered.overrides
    ]
    tls = file.settings.advanced.tls
    if now is not None and tls is not None and tls.enabled:
        from deltaglider_proxy.config.certificates import check_files  # slow to import, and seldom needed

        findings += [file.placed(finding, {}) for finding in check_files(tls, now)]
    built = build(layered.data, {})
    access = built.access if isinstance(built, Settings) else file.settings.access
    auth = auth_state.classify(access)
    if isinstance(auth, Undecided):
        findings.append(warning(("access",), f"the server will not start: {auth.reason}"))
    errors = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    warnings = tuple(finding for finding in findings if finding.severity is not Severity.ERROR)
    kind = ErrorKind.VALIDATION if errors else None
    return LintReport(kind, errors, warnings, tuple(_toml_warnings(path, layered.runtime)))


def _read(path: Path | None, environ: Mapping[str, str]) -> _File:
    source = str(path) if path is not None else DEFAULTS
    text = document.read(path, environ) if path is not None else document.EMPTY
    return _typed(source, text, canonicalise(text.data))


def _typed(source: str, text: Document, canonical: Canonical) -> _File:
    """Raises ConfigError."""
    references = {keys: reference.value for keys, reference in _moved(text.references, canonical).items()}
    built = build(canonical.data, references)
    file = _File(source, text, canonical, Settings() if isinstance(built, list) else built)
    types = [file.placed(finding, {}) for finding in built] if isinstance(built, list) else []
    parse = [*(_at(finding, text) for finding in canonical.parse), *types]
    rules = [_at(finding, text) for finding in canonical.rules]
    if parse:
        raise ConfigError(ErrorKind.PARSE, source, [*parse, *rules])
    if rules:
        raise ConfigError(ErrorKind.VALIDATION, source, rules)
    return file


def _at(finding: Finding, text: Document) -> Finding:
    """A finding about a key as written, with its place."""
    line, column = text.place(finding.keys) or (None, None)
    return replace(finding, line=line, column=column)


_Found = TypeVar("_Found")


def _moved(found: Mapping[Keys, _Found], canonical: Canonical) -> dict[Keys, _Found]:
    """By the place in the canonical shape."""
    places = {origin: keys for keys, origin in canonical.origins.items()}
    moved: dict[Keys, _Found] = {}
    for keys, reference in found.items():
        for length in range(len(keys), 0, -1):
            if (place := places.get(keys[:length])) is not None:
                moved[place + keys[length:]] = reference
                break
        else:
            moved[keys] = reference
    return moved


def _check(file: _File, layered: Layered) -> tuple[Settings, list[Finding]]:
    """Settings of all layers and what is to be said about them. Leaves out what a start can do without."""
    built = build(layered.data, {})
    if isinstance(built, list):
        raise ConfigError(ErrorKind.VALIDATION, file.source, [file.placed(item, layered.overrides) for item in built])
    findings = checks.check(built, layered.runtime, complete=True)
    drops = {finding.drop for finding in findings if finding.drop is not None}
    if drops:
        for keys in sorted(drops, key=_deepest_last_first):
            _remove(layered.data, keys)
        built = build(layered.data, {})
        assert isinstance(built, Settings), "optional parts were removed from a valid configuration"
    placed = [file.placed(finding, layered.overrides) for finding in findings]
    errors = [finding for finding in placed if finding.severity is Severity.ERROR and finding.drop is None]
    if errors:
        raise ConfigError(ErrorKind.VALIDATION, file.source, errors)
    return built, placed


def _deepest_last_first(keys: Keys) -> tuple[int, int]:
    """Later items of a list go first, or the indices of the others would no longer be right."""
    last = keys[-1]
    return -len(keys), -last if isinstance(last, int) else 0


def _remove(data: dict[str, Any], keys: Keys) -> None:
    parent, last = at(data, keys[:-1]), keys[-1]
    if isinstance(parent, dict):
        parent.pop(str(last), None)
    elif isinstance(parent, list) and isinstance(last, int) and last < len(parent):
        del parent[last]


def _dropped(findings: list[Finding], keys: Keys) -> bool:
    return any(finding.drop == keys for finding in findings)


def _toml_warnings(path: Path | None, runtime: RuntimeSettings) -> list[Finding]:
    if path is None or Format.of(path) is not Format.TOML or runtime.silence_toml_deprecation:
        return []
    message = f"{path}: TOML is deprecated for configuration files"
    return [warning((), message, f"write it as {path.with_suffix('.yaml')}, or set DGP_SILENCE_TOML_DEPRECATION=1")]


def _irreplaceable(path: Path | None) -> list[Finding]:
    if path is None or (reason := obstacle(path)) is None:
        return []
    return [warning((), f"{path} cannot be replaced, so changes made through the admin API will not last: {reason}")]


def _hidden(found: search.Found) -> list[Finding]:
    if found.hidden_toml is None:
        return []
    return [info((), f"{found.hidden_toml} is not read, because {found.path} comes first")]


def _auth_warnings(auth: AuthState) -> list[Finding]:
    match auth:
        case SignedRequests(overrides_open_access=True):
            return [
                warning(("access", "authentication"), "has no effect, because a key pair is configured", "remove it")
            ]
        case OpenAccess():
            return [
                warning((), "AUTHENTICATION IS OFF: everyone who reaches this proxy may read and change everything")
            ]
        case _:
            return []
