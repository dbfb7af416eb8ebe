"""`config migrate`: any accepted file as canonical YAML. Offline."""

import re
from pathlib import Path

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config.backends import environment_suffix
from deltaglider_proxy.config.document import Format
from deltaglider_proxy.config.findings import ConfigError, Severity
from deltaglider_proxy.config.migrate import migrate
from deltaglider_proxy.config.persist import replace_file
from deltaglider_proxy.config.settings import Settings

_VARIABLES = {
    "advanced.bootstrap_password_hash": "DGP_BOOTSTRAP_PASSWORD_HASH",
    "advanced.database_url": "DGP_DATABASE_URL",
    "storage.backend_encryption.key": "DGP_ENCRYPTION_KEY",
}
_LISTED_KEY = re.compile(r"storage\.backends\[(\d+)\]\.encryption\.key")


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
        variable = _variable(path, migrated.settings)
        remedy = f"set {variable}" if variable is not None else "write it as ${env:NAME}"
        say(f"note: {path} is a secret and was left out; {remedy}")
    if out is None:
        result(migrated.text)
    else:
        if out.suffix.lower() not in (".yaml", ".yml"):
            say(f"note: {out} is YAML; servers look for *.yaml")
        try:
            replace_file(out, migrated.text.encode())
        except OSError as failure:
            say(f"error: failed to write {out}: {failure.strerror or failure}")
            return ExitCode.IO
        say(f"migrated {source} -> {out}")
    errors = [finding for finding in migrated.findings if finding.severity is Severity.ERROR]
    for finding in errors:
        say(f"error: {finding}")
    return ExitCode.REJECTED if errors else ExitCode.OK


def _variable(path: str, settings: Settings) -> str | None:
    """The environment variable that can hold a secret instead of the file."""
    if (listed := _LISTED_KEY.fullmatch(path)) is None:
        return _VARIABLES.get(path)
    name = settings.storage.backends[int(listed[1])].name
    return "DGP_ENCRYPTION_KEY" if name == "default" else f"DGP_BACKEND_{environment_suffix(name)}_ENCRYPTION_KEY"
