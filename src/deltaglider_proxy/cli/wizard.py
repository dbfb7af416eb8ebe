"""`--init`: ask for the settings of a first configuration, show it, write it.

Each answer is checked by the rule that the server applies, so that what is written can be started. What this release
would refuse, such as HTTPS, is not asked for.
"""

import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say
from deltaglider_proxy.config import backends, starter
from deltaglider_proxy.config.address import ListenAddress
from deltaglider_proxy.config.advanced import is_log_filter
from deltaglider_proxy.config.backends import FilesystemBackend, S3Backend
from deltaglider_proxy.config.load import Sources, load_text
from deltaglider_proxy.config.render import Tier, render
from deltaglider_proxy.config.secret import MASK
from deltaglider_proxy.config.yaml_out import dump

Tree = dict[str, Any]
Check = Callable[[str], str | None]
"""What is wrong with an answer."""

_LOG_FILTER = "deltaglider_proxy=debug,tower_http=debug"


class _Cancelled(Exception):
    """There are no more answers."""


def run() -> int:
    try:
        return _ask_and_write()
    except _Cancelled:
        say("error: cancelled, and no file was written; every question needs an answer or an empty line")
        return ExitCode.FAILED


def _ask_and_write() -> int:
    path = Path(_text("output file", "deltaglider_proxy.yaml", _check_file))
    overwrite = path.exists()
    if overwrite and not _yes(f"{path} exists; overwrite it", default=False):
        print("Cancelled.")
        return ExitCode.OK
    tree = _settings()
    print(f"\n{_canonical(_masked(tree))}")
    if not _yes(f"write {path}", default=True):
        print("Cancelled. No file written.")
        return ExitCode.OK
    try:
        starter.write(path, _canonical(tree), overwrite=overwrite)
    except OSError as failure:
        say(f"error: failed to write {path}: {failure.strerror or failure}")
        return ExitCode.IO
    print(f"wrote {path}, readable by you only")
    print(f"check it:  deltaglider_proxy config lint {path}\nstart:     deltaglider_proxy --config {path}")
    return ExitCode.OK


def _settings() -> Tree:
    advanced: Tree = {"listen_addr": _text("listen address", "0.0.0.0:9000", _check_address)}
    filter_text = _text("log filter", _LOG_FILTER, lambda text: None if is_log_filter(text) else "is no log filter")
    if filter_text != _LOG_FILTER:
        advanced["log_level"] = filter_text
    backend = _backend()
    advanced["max_delta_ratio"] = float(_text("max delta ratio, 0 to 1", "0.75", _check_ratio))
    advanced["max_object_size"] = int(_text("max object size in MB", "100", _check_count)) << 20
    advanced["cache_size_mb"] = int(_text("reference cache in MB", "100", _check_count))
    return {"access": _access(), "storage": {"backend": backend}, "advanced": advanced}


def _backend() -> Tree:
    kind = _text("storage backend, filesystem or s3", "filesystem", _check_kind)
    if kind != "s3":
        return {"type": "filesystem", "path": _text("data directory", "./data", _check_directory)}
    backend: Tree = {"type": "s3"}
    if endpoint := _text("endpoint URL, empty for AWS", "", _check_endpoint):
        backend["endpoint"] = endpoint
        if _problem(S3Backend(type="s3", endpoint=endpoint)) is not None:
            backend["allow_local"] = True
    backend["region"] = _text("region", "us-east-1", _check_some)
    backend["force_path_style"] = _yes("path-style addresses", default=True)
    if key_id := _text("access key id of the backend, empty for the usual AWS sources", ""):
        backend["access_key_id"] = key_id
        backend["secret_access_key"] = _secret("secret access key of the backend")
    return backend


def _access() -> Tree:
    while True:
        if _yes("have clients sign their requests (SigV4)", default=True):
            key_id = _text("access key id of clients, empty to have a pair made", "")
            if not key_id:
                return {
                    "access_key_id": starter.new_access_key_id(),
                    "secret_access_key": starter.new_secret_access_key(),
                }
            return {"access_key_id": key_id, "secret_access_key": _secret("secret access key of clients")}
        if _yes("allow everyone everything, for development only", default=False):
            return {"authentication": "none"}


def _canonical(tree: Tree) -> str:
    """Raises ConfigError, which no answer should lead to."""
    loaded = load_text(dump(tree), Sources(None, {}, None))
    return render(loaded.file_settings, {}, Tier.PERSISTED)


def _masked(tree: Tree) -> Tree:
    return {
        key: _masked(value) if isinstance(value, dict) else MASK if key == "secret_access_key" else value
        for key, value in tree.items()
    }


def _text(label: str, default: str, check: Check = lambda _: None) -> str:
    while True:
        answer = _line(f"{label} [{default}]: ").strip() or default
        if (problem := check(answer)) is None:
            return answer
        say(f"error: {answer!r} {problem}")


def _yes(label: str, *, default: bool) -> bool:
    while True:
        answer = _line(f"{label} [{'y' if default else 'n'}]: ").strip().lower()
        if answer in ("y", "yes", "n", "no", ""):
            return default if not answer else answer.startswith("y")
        say("error: answer y or n")


def _secret(label: str) -> str:
    """Not shown on a terminal, and never empty."""
    while True:
        try:
            secret = getpass.getpass(f"{label}: ") if sys.stdin.isatty() else _line(f"{label}: ")
        except EOFError:
            raise _Cancelled from None
        if secret:
            return secret
        say("error: it must not be empty")


def _line(prompt: str) -> str:
    try:
        return input(prompt)
    except EOFError:
        print()
        raise _Cancelled from None


def _check_file(text: str) -> str | None:
    path = Path(text)
    if path.suffix.lower() == ".toml":
        return "would be TOML, and the file is written as YAML; name it *.yaml"
    if path.is_dir() or not path.parent.is_dir():
        return "is a directory, or lies in none"
    return None


def _check_address(text: str) -> str | None:
    try:
        ListenAddress.parse(text)
    except ValueError as problem:
        return str(problem)
    return None


def _check_kind(text: str) -> str | None:
    return None if text in ("filesystem", "fs", "s3") else "is neither filesystem nor s3"


def _check_directory(text: str) -> str | None:
    return _problem(FilesystemBackend(type="filesystem", path=text))


def _check_endpoint(text: str) -> str | None:
    """A host that is not public, or HTTP, may be meant: this is where development begins."""
    return None if not text else _problem(S3Backend(type="s3", endpoint=text, allow_local=True))


def _problem(backend: FilesystemBackend | S3Backend) -> str | None:
    found = next(iter(backends.check(backend, (), complete=True)), None)
    return None if found is None else found.message


def _check_ratio(text: str) -> str | None:
    try:
        return None if 0 <= float(text) <= 1 else "is outside 0 to 1"
    except ValueError:
        return "is no number"


def _check_count(text: str) -> str | None:
    return None if text.isascii() and text.isdigit() and 0 < int(text) < 10**9 else "is no count of megabytes"


def _check_some(text: str) -> str | None:
    return None if text else "must not be empty"
