"""What all verbs have in common: the options that say where to go and as whom, and how a verb ends.

A verb is a coroutine function. `verb` registers it with the common options behind its own, so that they may stand
behind the verb, where users of the AWS CLI write them.
"""

import asyncio
import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.options import without_config
from deltaglider_proxy.cli.output import say

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Connection:
    endpoint_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The service; by default AWS_ENDPOINT_URL_S3, or AWS.")
    ] = None
    region: Annotated[str | None, typer.Option(metavar="REGION")] = None
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Of ~/.aws/credentials.")] = None
    access_key_id: Annotated[str | None, typer.Option(metavar="ID")] = None
    secret_access_key: Annotated[
        str | None, typer.Option(metavar="SECRET", help="Everybody on this host can see it in the list of processes.")
    ] = field(default=None, repr=False)
    session_token: Annotated[str | None, typer.Option(metavar="TOKEN")] = field(default=None, repr=False)
    force_path_style: Annotated[
        bool, typer.Option("--force-path-style", help="The bucket in the path of URLs, not in their host.")
    ] = False
    ca_bundle: Annotated[str | None, typer.Option(metavar="FILE", help="Certificates to trust.")] = None


Verb = Callable[Concatenate[Connection, P], Coroutine[Any, Any, int]]


def verb(app: typer.Typer, name: str) -> Callable[[Verb[P]], Verb[P]]:
    """Register a verb under this name; what it returns is the exit status."""

    def register(function: Verb[P]) -> Verb[P]:
        common = get_type_hints(Connection, include_extras=True)

        def command(context: typer.Context, **values: Any) -> None:
            without_config(context)
            connection = Connection(**{each: values.pop(each) for each in common})
            raise typer.Exit(_run(functools.partial(function, connection, **values)))

        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        command.__doc__ = function.__doc__
        shared = [
            inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hint)
            for each, hint in zip(fields(Connection), common.values(), strict=True)
        ]
        first = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        parameters = [first, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *shared]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer reads
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        app.command(name)(command)
        return function

    return register


def _run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """The exit status, whatever goes wrong."""
    from deltaglider_proxy.cli.s3.failures import KNOWN, code_of, said
    from deltaglider_proxy.telemetry.log_filter import parse
    from deltaglider_proxy.telemetry.logs import Logs

    # That a backend is away is what the command itself tells.
    logs = Logs.start(parse("error,deltaglider_proxy.backends=off"), stream=sys.stderr.buffer)
    try:
        return asyncio.run(work())
    except BrokenPipeError:  # of `cp s3://… -`: whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except KNOWN as error:
        say(f"error: {said(error)}")
        return code_of(error)
    except KeyboardInterrupt:
        say("interrupted")
        return ExitCode.INTERRUPTED
    finally:
        logs.stop()


def ask(question: str, *, yes: bool) -> None:
    """Goes on with a yes only. Raises BadArgument where nobody can be asked."""
    from deltaglider_proxy.cli.s3.locations import BadArgument

    if yes:
        return
    if not sys.stdin.isatty():
        raise BadArgument("there is no terminal to ask; use --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    # asyncio would only note Ctrl-C for later, while this waits.
    noting = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answer = sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, noting)
    if answer.strip().lower() not in ("y", "yes"):
        say("cancelled")
        raise typer.Exit(ExitCode.OK)
