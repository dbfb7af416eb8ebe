"""`config lint`: judge a configuration file offline. The exit codes are a stable contract for CI."""

import json
from pathlib import Path

import typer

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config import search
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.config.findings import ErrorKind, Finding
from deltaglider_proxy.config.load import LintReport, lint
from deltaglider_proxy.telemetry.clock import SystemClock


def run(file: str | None, config: str | None, *, as_json: bool) -> int:
    """`file` comes before `config`; without both, the file that a server would use is judged."""
    environ = process_environment()
    cwd = Path.cwd()
    path = Path(file) if file is not None else search.find(config, environ, cwd).path
    if path is None:
        places = ", ".join(str(place) for place in search.candidates(Path()))
        say(f"error: found no configuration file; looked for {places}; name one: config lint FILE")
        raise typer.Exit(ExitCode.IO)
    report = lint(path, environ, SystemClock().now())
    code = ExitCode.OK if report.kind is None else _code(report.kind)
    _explain(path, report)
    if as_json:
        summary = {
            "file": str(path),
            "ok": code == ExitCode.OK,
            "exit": int(code),
            "errors": [_plain(finding) for finding in report.errors],
            "warnings": [_plain(finding) for finding in (*report.warnings, *report.notes)],
        }
        result(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return code


def _code(kind: ErrorKind) -> ExitCode:
    match kind:
        case ErrorKind.IO:
            return ExitCode.IO
        case ErrorKind.PARSE:
            return ExitCode.PARSE
        case ErrorKind.VALIDATION:
            return ExitCode.REJECTED


def _explain(path: Path, report: LintReport) -> None:
    for note in report.notes:
        say(f"note: {note}")
    for finding in report.warnings:
        say(f"warning: {finding}")
    for finding in report.errors:
        say(f"error: {path}: {finding}")
    if report.kind is ErrorKind.VALIDATION:
        say(f"{path}: rejected — {len(report.errors)} error(s)")
    elif report.kind is None and report.warnings:
        say(f"{path}: ok with {len(report.warnings)} warning(s)")
    elif report.kind is None:
        say(f"{path}: ok")


def _plain(finding: Finding) -> dict[str, str | int]:
    found = {
        "path": finding.path,
        "message": finding.message,
        "severity": finding.severity.value,
        "line": finding.line,
        "column": finding.column,
        "value": finding.value,
        "remedy": finding.remedy,
    }
    return {key: value for key, value in found.items() if value is not None}
