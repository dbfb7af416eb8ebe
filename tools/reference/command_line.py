"""`reference/cli.md`, from the typer applications."""

import re
from collections.abc import Collection, Iterator
from typing import TypeAlias

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.main import PROGRAM, app
from tools.reference.markdown import cell, code, page, table

Command: TypeAlias = TyperCommand | TyperGroup
Record: TypeAlias = tuple[str, str]
"""How a parameter is written, and what it is."""

_TYPE = re.compile(r" <[^>]*>$")
_ABOUT = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "the server could not start, or something unexpected happened; `-v` shows the trace",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.IO: "a file cannot be read or written",
    ExitCode.PARSE: "what was read is not understood",
    ExitCode.REMOTE: "a server did not answer, or did not keep what it was told",
    ExitCode.REJECTED: "refused by a rule, or by the server",
    ExitCode.UNAUTHENTICATED: "no credentials, or not accepted",
    ExitCode.NOT_FOUND: "no such bucket, object or file",
    ExitCode.INTEGRITY: "bytes are not those that were stored",
    ExitCode.MIXED: "some of it was done, and some failed",
    ExitCode.INTERRUPTED: "interrupted",
}
_START = f"""\
Without a command, `{PROGRAM}` serves. `-h` behind any command shows what stands here.
What the `s3` commands do is told in [The `s3` commands](s3-commands.md).

Commands that call a running server send the token in `DGP_TOKEN`, or sign in with the password in
`DGP_BOOTSTRAP_PASSWORD`.
Flags override [environment variables](environment.md), and those override the [file](configuration.md)."""
_FILE = """\
## Which file is read

The first of these that is there:

1. what `--config` names
2. what `DGP_CONFIG` names
3. `./deltaglider_proxy.yaml`, `./deltaglider_proxy.yml`, `./deltaglider_proxy.toml`
4. `/etc/deltaglider_proxy/config.yaml`, `/etc/deltaglider_proxy/config.yml`, `/etc/deltaglider_proxy/config.toml`

TOML is read and warned about at every start (`DGP_SILENCE_TOML_DEPRECATION=1` keeps it quiet)."""


def command_line() -> str:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    exits = table(("code", "meaning"), [(str(int(each)), _ABOUT[each]) for each in ExitCode])
    return page(
        "Command line",
        _START,
        _FILE,
        "## Exit codes",
        "Scripts may rely on these. What a code means for one command is said there.",
        exits,
        *_blocks(root, PROGRAM),
    )


def _blocks(command: Command, name: str, known: Collection[Record] = ()) -> Iterator[str]:
    """`known`: options that the group of the command has told of already."""
    context = typer.Context(command, info_name=name)
    parts = dict(_parts(command))
    shared = _shared(parts.values())
    yield f"## `{name}`"
    yield cell(command.help or "")
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{name} {usage.replace('{', '').replace('}', '')}\n```"
    arguments = [record for record in _records(command, arguments=True) if record[1] not in ("", "[required]")]
    if arguments:
        yield table(("argument", "what it is"), map(_row, arguments))
    options = [record for record in _records(command, arguments=False) if record not in known]
    if options:
        yield table(("option", "what it is"), map(_row, options))
    if shared:
        yield f"Every `{name}` command also takes:"
        yield table(("option", "what it is"), map(_row, shared))
    for part, found in parts.items():
        yield from _blocks(found, f"{name} {part}", shared)


def _parts(command: Command) -> Iterator[tuple[str, Command]]:
    if isinstance(command, TyperGroup):
        for name, part in command.commands.items():
            assert isinstance(part, TyperCommand | TyperGroup)
            yield name, part


def _shared(commands: Collection[Command]) -> list[Record]:
    """Options that all of several commands have."""
    each = [list(_records(command, arguments=False)) for command in commands]
    return [record for record in each[0] if all(record in other for other in each)] if len(each) > 2 else []


def _records(command: Command, *, arguments: bool) -> Iterator[Record]:
    context = typer.Context(command)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, TyperArgument) is arguments and "--help" not in record[0]:
            yield _TYPE.sub("", record[0]), record[1]


def _row(record: Record) -> tuple[str, str]:
    return code(record[0]), cell(record[1])
