"""`--set-bootstrap-password`: a new password for the admin API, known to nobody but whoever types it.

Whoever may read the hash and the database may do this, so the former password is not asked for. The database is given
the new hash too, also while a server works with it. What the former password has opened ends.
"""

import getpass
import sys
from base64 import b64encode
from pathlib import Path

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.config.findings import ConfigError
from deltaglider_proxy.config.load import load
from deltaglider_proxy.control import bootstrap_hash
from deltaglider_proxy.control.bootstrap_hash import FILE_NAME
from deltaglider_proxy.control.errors import ControlError, WrongKey
from deltaglider_proxy.crypto.passwords import NotAHash, WeakPassword, hash_password
from deltaglider_proxy.server.control_plane import ControlSettings
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from deltaglider_proxy.telemetry.clock import SystemClock


def run(config: str | None = None) -> int:
    """One line from stdin, or asked for twice on a terminal."""
    if sys.stdin.isatty():
        password = getpass.getpass("New bootstrap password: ")
        if getpass.getpass("Once more: ") != password:
            say("error: these are two passwords; nothing was changed")
            return ExitCode.FAILED
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        hashed = hash_password(password)
        control = _control(config)
        _keep(control, hashed)
    except (WeakPassword, NotAHash, ControlError) as error:
        say(f"error: {error}; nothing was changed")
        return ExitCode.FAILED
    except OSError as failure:
        say(f"error: failed to write {FILE_NAME}: {failure.strerror or failure}")
        return ExitCode.IO
    if control.configured_hash:
        say("warning: the hash of the environment or the configuration file comes before the file: change it there too")
    say(f"wrote {control.directory / FILE_NAME}")
    say(f"DGP_BOOTSTRAP_PASSWORD_HASH={b64encode(hashed.encode()).decode()}")
    return ExitCode.OK


def _control(config: str | None) -> ControlSettings:
    """What the server would use here; before there is a configuration, the places that it would take."""
    try:
        return settings_of(load(config, None, process_environment(), Path.cwd()), verbose=False).control
    except (ConfigError, CannotStart):
        configured = process_environment().get("DGP_BOOTSTRAP_PASSWORD_HASH")
        return ControlSettings(Path("deltaglider_config.db").absolute(), configured, directory=Path.cwd())


def _keep(control: ControlSettings, hashed: str) -> None:
    """Raises ControlError for a database that the former hash does not open, NotAHash, OSError."""
    if control.url is None and not control.path.exists():
        bootstrap_hash.replace_file(hashed, control.directory)
        return
    former = bootstrap_hash.known(control.configured_hash, control.directory)
    if former is None:
        raise WrongKey(f"the hash that opens the database is not in {control.directory}")
    database = control.open(former.value)
    try:
        with database.write(SystemClock().now()) as unit:
            unit.end_bootstrap_access()
        database.rekey(hashed, lambda: bootstrap_hash.replace_file(hashed, control.directory))
    finally:
        database.close()
