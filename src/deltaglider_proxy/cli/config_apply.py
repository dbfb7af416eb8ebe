"""`config apply`: give a running server another configuration."""

import json
from dataclasses import dataclass
from pathlib import Path

from httpx2 import Response

from deltaglider_proxy.cli.admin_client import AdminClient, CannotCall, detail_of
from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.config.expand import expand
from deltaglider_proxy.config.findings import ErrorKind
from deltaglider_proxy.config.load import lint


@dataclass(frozen=True, slots=True)
class _Done:
    code: ExitCode
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    applied: bool = False
    persisted_path: str | None = None
    """Where the server keeps it; None if it does not."""
    requires_restart: bool = False


def run(file: Path, server: str, timeout: float, ca_bundle: str | None, *, as_json: bool) -> int:
    """References are resolved here, by the caller's environment. What cannot be understood here is not sent."""
    done = _apply(file, server, timeout, ca_bundle)
    for warning in done.warnings:
        say(f"warning: {warning}")
    for error in done.errors:
        say(f"error: {error}")
    if done.code is ExitCode.OK:
        say("applied: yes")
        say(f"persisted: {done.persisted_path}")
        if done.requires_restart:
            say("restart: required for some fields (see warnings)")
    if as_json:
        summary = {
            "file": str(file),
            "ok": done.code is ExitCode.OK,
            "exit": int(done.code),
            "applied": done.applied,
            "persisted_path": done.persisted_path,
            "requires_restart": done.requires_restart,
            "errors": list(done.errors),
            "warnings": list(done.warnings),
        }
        result(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return done.code


def _apply(file: Path, server: str, timeout: float, ca_bundle: str | None) -> _Done:
    environ = process_environment()
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        return _Done(ExitCode.IO, (f"failed to read {file}: {failure}",))
    if file.suffix.lower() == ".toml":
        wrong = f"{file}: TOML is not applied; convert it: deltaglider_proxy config migrate {file}"
        return _Done(ExitCode.PARSE, (wrong,))
    expansion = expand(text, environ)
    if expansion.problems:
        wrongs = (f"{file}: line {p.line}, column {p.column}: {p.message}; {p.remedy}" for p in expansion.problems)
        return _Done(ExitCode.PARSE, tuple(wrongs))
    if not expansion.text.strip():
        return _Done(ExitCode.REJECTED, (f"{file} is empty; nothing was sent",))
    report = lint(file, environ)
    if report.kind is ErrorKind.PARSE:  # rules are for the server to judge, which has the secrets that the file lacks
        return _Done(ExitCode.PARSE, tuple(f"{file}: {finding}" for finding in report.errors))
    try:
        with AdminClient(server, environ, timeout, ca_bundle) as client:
            answer = client.send("POST", "/admin/config/apply", {"yaml": expansion.text, "expanded": True})
            return _meaning(answer.status_code, _fields(answer), detail_of(answer))
    except CannotCall as failure:
        return _Done(failure.code, (str(failure),))


def _fields(answer: Response) -> dict[str, object]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _meaning(status: int, fields: dict[str, object], detail: str) -> _Done:
    warnings = _texts(fields.get("warnings"))
    if status == 200:
        path = fields.get("persisted_path")
        kept = path if isinstance(path, str) else None
        return _Done(ExitCode.OK, (), warnings, True, kept, fields.get("requires_restart") is True)
    if fields.get("applied") is True:
        wrong = f"applied, but not kept: the next restart takes it back: {detail}"
        return _Done(ExitCode.REMOTE, (wrong,), warnings, applied=True)
    code = ExitCode.REJECTED if status in (400, 403, 422) else ExitCode.REMOTE
    return _Done(code, _texts(fields.get("problems")) or (detail,), warnings)


def _texts(found: object) -> tuple[str, ...]:
    return tuple(map(str, found)) if isinstance(found, list) else ()
