"""`config migrate`: any accepted file as canonical YAML. Offline."""

import os
from pathlib import Path

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config.document import Format
from deltaglider_proxy.config.findings import ConfigError, Severity
from deltaglider_proxy.config.migrate import migrate

_VARIABLES = {
    "advanced.bootstrap_password_hash": "DGP_BOOTSTRAP_PASSWORD_HASH",
    "advanced.database_url": "DGP_DATABASE_URL",
    "storage.backend_encryption.key": "DGP_ENCRYPTION_KEY",
}


def run(source: Path, out: Path | None, *, force: bool) -> int:
    try:
        content = source.read_bytes()
    except OSError as failure:
        say(f"error: failed to read {source}: {failure.strerror or failure}")
        return ExitCode.IO
    if out is not None and out.exists() and not force:
        say(f"error: {out} exists and is left as it is; name another file, or use --force")
        return ExitCode.IO
    try:
        migrated = migrate(content, str(source), Format.of(source))
    except ConfigError as failure:
        say(f"error: {failure}")
        return ExitCode.PARSE
    for path in migrated.dropped:
        variable = _VARIABLES.get(path)
        say(f"note: {path} is a secret and was left out; set {variable or 'it in the environment'}")
    if out is None:
        result(migrated.text)
    else:
        if out.suffix.lower() not in (".yaml", ".yml"):
            say(f"note: {out} is YAML; servers look for *.yaml")
        if (code := _write(out, migrated.text)) is not None:
            return code
        say(f"migrated {source} -> {out}")
    errors = [finding for finding in migrated.findings if finding.severity is Severity.ERROR]
    for finding in errors:
        say(f"error: {finding}")
    return ExitCode.REJECTED if errors else ExitCode.OK


def _write(out: Path, text: str) -> int | None:
    draft = out.with_name(f".{out.name}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
    except OSError as failure:
        say(f"error: failed to write {out}: {failure.strerror or failure}")
        return ExitCode.IO
    return None
