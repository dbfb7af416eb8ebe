"""Options that stand before a command, handed on to it."""

from dataclasses import dataclass

import typer


@dataclass(frozen=True, slots=True)
class Options:
    config: str | None
    verbose: bool


def without_config(context: typer.Context) -> None:
    """Refuse `--config` for a command that reads no configuration file: it would be ignored silently."""
    options = context.obj
    assert isinstance(options, Options)
    if options.config is not None:
        raise typer.BadParameter(f"`{context.info_name}` reads no configuration file", param_hint="--config")
