"""`backup snapshot`: a consistent copy of the database file, while a server works with it."""

from pathlib import Path

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.config.findings import ConfigError
from deltaglider_proxy.config.load import load
from deltaglider_proxy.control import bootstrap_hash
from deltaglider_proxy.control.errors import ControlError
from deltaglider_proxy.crypto.passwords import NotAHash
from deltaglider_proxy.server.from_config import CannotStart, settings_of


def run(config: str | None, out: Path) -> int:
    try:
        control = settings_of(load(config, None, process_environment(), Path.cwd()), verbose=False).control
    except (ConfigError, CannotStart) as failure:
        say(f"error: {failure}")
        return ExitCode.FAILED
    if control.url is not None:
        say("error: the database is PostgreSQL; copy it with pg_dump")
        return ExitCode.FAILED
    if not control.path.exists():
        say(f"error: there is no database {control.path}; run this where the server runs, or name its --config")
        return ExitCode.NOT_FOUND
    if out.exists():
        say(f"error: {out} exists; name another file")
        return ExitCode.IO
    try:
        found = bootstrap_hash.known(control.configured_hash, control.directory)
        if found is None:
            say("error: there is no bootstrap hash; set DGP_BOOTSTRAP_PASSWORD_HASH as for the server")
            return ExitCode.FAILED
        database = control.open(found.value)
        try:
            database.copy_to(out.absolute())
        finally:
            database.close()
    except (ControlError, NotAHash) as failure:
        say(f"error: {failure}")
        return ExitCode.FAILED
    except OSError as failure:
        say(f"error: failed to write {out}: {failure.strerror or failure}")
        return ExitCode.IO
    say(f"copied {control.path} to {out}; it opens with the same bootstrap password hash")
    return ExitCode.OK
