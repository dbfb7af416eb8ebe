"""`config apply`: give a running server another configuration."""

from pathlib import Path

from httpx2 import Response

from deltaglider_proxy.cli.admin_client import PASSWORD_VARIABLE, AdminClient, CannotCall, detail_of
from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.config.expand import expand


def run(file: Path, server: str, timeout: float, ca_bundle: str | None) -> int:
    """References are resolved here, by the caller's environment."""
    environ = process_environment()
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        say(f"error: failed to read {file}: {failure}")
        return ExitCode.IO
    if file.suffix.lower() == ".toml":
        say(f"error: {file}: TOML is not applied; convert it: deltaglider_proxy config migrate {file}")
        return ExitCode.PARSE
    expansion = expand(text, environ)
    for problem in expansion.problems:
        say(f"error: {file}: line {problem.line}, column {problem.column}: {problem.message}; {problem.remedy}")
    if expansion.problems:
        return ExitCode.PARSE
    if not expansion.text.strip():
        say(f"error: {file} is empty; nothing was sent")
        return ExitCode.REJECTED
    try:
        with AdminClient(server, environ.get(PASSWORD_VARIABLE), timeout, ca_bundle) as client:
            answer = client.send("POST", "/admin/config/apply", {"yaml": expansion.text, "expanded": True})
            return _report(answer.status_code, _fields(answer), detail_of(answer))
    except CannotCall as failure:
        say(f"error: {failure}")
        return failure.code


def _fields(answer: Response) -> dict[str, object]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _report(status: int, fields: dict[str, object], detail: str) -> int:
    warnings = fields.get("warnings")
    for warning in warnings if isinstance(warnings, list) else ():
        say(f"warning: {warning}")
    if status == 200:
        say("applied: yes")
        say(f"persisted: {fields.get('persisted_path')}")
        if fields.get("requires_restart"):
            say("restart: required for some fields (see warnings)")
        return ExitCode.OK
    if fields.get("applied") is True:
        say(f"error: applied, but not kept: the next restart takes it back: {detail}")
        return ExitCode.REMOTE
    problems = fields.get("problems")
    for problem in problems if isinstance(problems, list) and problems else [detail]:
        say(f"error: {problem}")
    return ExitCode.REJECTED if status in (400, 403, 422) else ExitCode.REMOTE
