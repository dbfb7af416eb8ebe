"""Start the server: what runs when no command is given."""

from pathlib import Path

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say
from deltaglider_proxy.config.auth_state import Undecided
from deltaglider_proxy.config.environment import process_environment
from deltaglider_proxy.config.findings import ConfigError
from deltaglider_proxy.config.load import Sources, load


def run(config: str | None, listen: str | None, *, verbose: bool) -> int:
    """Returns when the server has ended."""
    environ = process_environment()
    try:
        loaded = load(config, listen, environ, Path.cwd())
    except ConfigError as failure:
        say(f"error: {failure}")
        return ExitCode.FAILED
    if isinstance(loaded.auth_state, Undecided):
        say(f"error: {loaded.auth_state.reason}")
        return ExitCode.FAILED
    # The server's code is only needed from here on; a bad configuration is reported without waiting for it.
    from deltaglider_proxy.server.process import run as run_server

    return run_server(loaded, Sources(loaded.path, environ, listen), verbose=verbose)
