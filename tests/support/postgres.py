"""A real PostgreSQL for the tests, in a folder of its own, reached through a Unix socket only."""

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from tests.support.programs import unavailable

_ROOT = Path("/usr/lib/postgresql")


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL on this machine."""
    versions = sorted(_ROOT.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found is not None else None


def require() -> Path:
    found = binaries()
    if found is None:
        unavailable("PostgreSQL is not installed (Debian: postgresql)")
    return found


@contextmanager
def running() -> Iterator[str]:
    """Its URL. The server refuses to be root, so it runs as nobody else does."""
    programs = require()
    with tempfile.TemporaryDirectory(prefix="dgp-postgres-") as folder:
        data = Path(folder) / "data"
        as_user = _unprivileged(Path(folder))
        _run([programs / "initdb", "-D", data, "-U", "dgp", "--auth=trust", "--no-sync", "-E", "UTF8"], as_user)
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        _run([programs / "pg_ctl", "-D", data, "-w", "-o", options, "-l", f"{folder}/log", "start"], as_user)
        try:
            yield f"postgresql://dgp@/postgres?host={folder}"
        finally:
            _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], as_user)


@cache
def _of_this_process() -> str:
    server = running()
    url = server.__enter__()
    atexit.register(server.__exit__, None, None, None)
    return url


@cache
def database(name: str) -> str:
    """The URL of an empty database, in a PostgreSQL that runs as long as this process."""
    url = _of_this_process()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return url.replace("/postgres?", f"/{name}?")


def _unprivileged(folder: Path) -> list[str]:
    if os.geteuid():
        return []
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def _run(command: list[str | Path], as_user: list[str]) -> None:
    subprocess.run(
        [*as_user, *map(str, command)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=60,
        cwd="/",
    )
