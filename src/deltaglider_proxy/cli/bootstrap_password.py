"""`--set-bootstrap-password`: keep the hash of a new password where the next start finds it."""

import getpass
import sys
from base64 import b64encode
from pathlib import Path

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.control.bootstrap_hash import FILE_NAME, replace_file
from deltaglider_proxy.crypto.passwords import WeakPassword, hash_password


def run() -> int:
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
    except WeakPassword as error:
        say(f"error: {error}")
        return ExitCode.FAILED
    if Path("deltaglider_config.db").exists():
        say(
            "warning: the database here opens with the former hash only, and will be locked at the next start; PUT "
            "/_/api/admin/password changes both"
        )
    environ = process_environment()
    if {"DGP_BOOTSTRAP_PASSWORD_HASH", "DGP_ADMIN_PASSWORD_HASH"} & environ.keys():
        say("warning: DGP_BOOTSTRAP_PASSWORD_HASH is set, and comes before the file")
    try:
        path = replace_file(hashed, Path.cwd())
    except OSError as failure:
        say(f"error: failed to write {FILE_NAME}: {failure.strerror or failure}")
        return ExitCode.IO
    say(f"wrote {path}")
    say(f"DGP_BOOTSTRAP_PASSWORD_HASH={b64encode(hashed.encode()).decode()}")
    return ExitCode.OK
