"""`backup create` and `backup restore`: full backups of a running server.

An archive is a keystore, so it is encrypted here, where it is kept, if somebody says so: the passphrase never leaves
this machine. Source: the age format, https://age-encryption.org/v1, which `age -d` opens too.
"""

import getpass
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from httpx2 import Response
from pyrage import DecryptError, passphrase
from rich.console import Console

from deltaglider_proxy.cli.admin_client import AdminClient, CannotCall, detail_of
from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config.environment import process_environment

PASSPHRASE_VARIABLE = "DGP_BACKUP_PASSPHRASE"  # noqa: S105 - its name
_ENCRYPTED = b"age-encryption.org/v1"
_ZIP = b"PK"
_SHORTEST = 12
_MODES = ("full", "preserve-bootstrap", "iam-only", "config-only")


def create(
    out: Path | None, server: str, timeout: float, ca_bundle: str | None, *, encrypt: bool, iam_only: bool, force: bool
) -> int:
    environ = process_environment()
    try:
        secret = _new_passphrase(environ) if encrypt else None
        with (
            _working("taking a backup"),
            AdminClient(server, environ, timeout, ca_bundle) as client,
        ):
            answer = client.send("GET", f"/admin/backup?format={'json' if iam_only else 'zip'}")
            if answer.status_code != 200:
                raise CannotCall(_code_of(answer), f"no backup was made: {detail_of(answer)}")
        body = answer.content
        path = out if out is not None else Path(_name_of(answer) + (".age" if encrypt else ""))
        if secret is not None:
            with _working("encrypting"):
                body = passphrase.encrypt(body, secret)
        _write(path, body, force=force)
    except CannotCall as failure:
        say(f"error: {failure}")
        return failure.code
    say(f"saved {len(body)} bytes to {path}")
    if secret is None:
        say("it holds secrets in clear; keep it like a key, or use --encrypt")
    return ExitCode.OK


def restore(
    file: Path, mode: str, server: str, timeout: float, ca_bundle: str | None, *, dry_run: bool, as_json: bool
) -> int:
    environ = process_environment()
    if mode not in _MODES:
        say(f"error: --mode {mode!r}: use {', '.join(_MODES)}")
        return ExitCode.USAGE
    try:
        body = _read(file, environ)
        kind = "application/zip" if body.startswith(_ZIP) else "application/json"
        path = f"/admin/backup?mode={quote(mode)}&dry_run={'true' if dry_run else 'false'}"
        with _working("restoring"), AdminClient(server, environ, timeout, ca_bundle) as client:
            answer = client.upload(path, body, kind)
            if answer.status_code != 200:
                raise CannotCall(_code_of(answer), f"nothing was restored: {_problems(answer)}")
            report: dict[str, object] = answer.json()
    except CannotCall as failure:
        say(f"error: {failure}")
        return failure.code
    if as_json:
        result(json.dumps(report, indent=2) + "\n")
    _tell(report)
    return ExitCode.OK


def _tell(report: Mapping[str, object]) -> None:
    say("this would happen:" if report["dry_run"] else "restored:")
    for kind in ("users", "groups", "providers", "mapping_rules", "external_identities"):
        made, there = report[f"{kind}_created"], report[f"{kind}_skipped"]
        say(f"  {kind.replace('_', ' ')}: {made} made, {there} left as they are")
    say(f"  memberships: {report['memberships_created']} made")
    say(f"  configuration: {'restored' if report['config_restored'] else 'left as it is'}")
    if report["bootstrap_hash_restored"]:
        say("  bootstrap password: that of the backup")
    for warning in _texts(report.get("warnings")):
        say(f"warning: {warning}")
    if report["requires_restart"]:
        say("restart the server: some settings need it (see warnings)")


def _texts(found: object) -> list[str]:
    return [str(item) for item in found] if isinstance(found, list) else []


def _problems(answer: Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        return detail_of(answer)
    hint = found.get("hint") if isinstance(found, dict) else None
    return detail_of(answer) + (f"; {hint}" if hint else "")


def _code_of(answer: Response) -> ExitCode:
    return ExitCode.REJECTED if 400 <= answer.status_code < 500 else ExitCode.REMOTE


def _name_of(answer: Response) -> str:
    """What the server calls it, if that is a plain name."""
    name = answer.headers.get("content-disposition", "").partition('filename="')[2].rstrip('"')
    return name if name and Path(name).name == name and not name.startswith(".") else "dgp-backup.zip"


def _read(file: Path, environ: Mapping[str, str]) -> bytes:
    """Raises CannotCall."""
    try:
        body = file.read_bytes()
    except OSError as failure:
        raise CannotCall(ExitCode.IO, f"failed to read {file}: {failure.strerror or failure}") from None
    if not body.startswith(_ENCRYPTED):
        return body
    secret = environ.get(PASSPHRASE_VARIABLE)
    if not secret:
        secret = _asked("Passphrase of the backup: ", f"{file} is encrypted; set {PASSPHRASE_VARIABLE}")
    try:
        with _working("decrypting"):
            opened: bytes = passphrase.decrypt(body, secret)
            return opened
    except DecryptError:
        raise CannotCall(ExitCode.PARSE, f"{file}: this is not its passphrase, or the file was damaged") from None


def _new_passphrase(environ: Mapping[str, str]) -> str:
    """Raises CannotCall."""
    secret = environ.get(PASSPHRASE_VARIABLE)
    if not secret:
        secret = _asked("Passphrase for the backup: ", f"set {PASSPHRASE_VARIABLE} to encrypt the backup")
        if _asked("Once more: ", "") != secret:
            raise CannotCall(ExitCode.USAGE, "these are two passphrases; nothing was saved")
    if len(secret) < _SHORTEST:
        raise CannotCall(ExitCode.USAGE, f"a passphrase has at least {_SHORTEST} characters")
    return secret


def _asked(prompt: str, remedy: str) -> str:
    if not sys.stdin.isatty():
        raise CannotCall(ExitCode.USAGE, remedy)
    return getpass.getpass(prompt)


def _write(path: Path, data: bytes, *, force: bool) -> None:
    """Wholly or not at all, for its owner only. Raises CannotCall."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        if path.exists() and not force:
            raise CannotCall(ExitCode.IO, f"{path} exists; use --force to overwrite it")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as failure:
        raise CannotCall(ExitCode.IO, f"failed to write {path}: {failure.strerror or failure}") from None
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _working(on: str) -> Iterator[None]:
    """Says so where somebody looks."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(on):
        yield
