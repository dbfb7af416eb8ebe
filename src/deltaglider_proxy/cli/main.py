"""The command line. Commands are imported when they run, so that `--help` does not wait for the server's code."""

import sys
import traceback
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.options import Options, without_config
from deltaglider_proxy.cli.output import result, save, say
from deltaglider_proxy.cli.s3.app import s3_app

PROGRAM = "deltaglider_proxy"

app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Check and describe configuration files.")
app.add_typer(config_app, name="config")
bucket_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Look after what buckets hold.")
app.add_typer(bucket_app, name="bucket")
app.add_typer(s3_app, name="s3")
admission_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Look at what admission decides.")
app.add_typer(admission_app, name="admission")
backend_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Look at where objects are stored.")
app.add_typer(backend_app, name="backend")

backup_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Take backups, and bring them back.")
app.add_typer(backup_app, name="backup")

Config = Annotated[str | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration file.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write to FILE instead of stdout.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    config: Config = None,
    listen: Annotated[
        str | None, typer.Option("--listen", "-l", metavar="IP:PORT", help="Serve here, whatever is configured.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log everything, if no filter is set.")] = False,
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version; codecs too with -v.")] = False,
    show_env: Annotated[
        bool, typer.Option("--show-env", help="Print all environment variables as a .env file.")
    ] = False,
    wizard: Annotated[bool, typer.Option("--init", help="Ask for settings, and write a configuration file.")] = False,
    set_password: Annotated[
        bool,
        typer.Option(
            "--set-bootstrap-password", "--set-admin-password", help="Keep the hash of a password read from stdin."
        ),
    ] = False,
) -> None:
    """An S3-compatible proxy that stores similar objects as small deltas. Without a command, it serves."""
    context.obj = Options(config, verbose)
    options = (
        ("--version", version),
        ("--show-env", show_env),
        ("--init", wizard),
        ("--set-bootstrap-password", set_password),
    )
    given = [name for name, used in options if used]
    if len(given) > 1:
        raise typer.BadParameter(f"only one of {' and '.join(given)} can be used")
    if context.invoked_subcommand is not None:
        given += ["--listen"] if listen is not None else []
        if given:
            raise typer.BadParameter(
                f"cannot be used with the command `{context.invoked_subcommand}`", param_hint=given[0]
            )
        return
    if version:
        _print_version(codecs=verbose)
    elif show_env:
        _print_environment()
    elif wizard:
        from deltaglider_proxy.cli.wizard import run as ask

        without_config(context)
        raise typer.Exit(ask())
    elif set_password:
        from deltaglider_proxy.cli.bootstrap_password import run as set_bootstrap_password

        raise typer.Exit(set_bootstrap_password(config))
    else:
        raise typer.Exit(_serve(config, listen, verbose=verbose))


def _serve(config: str | None, listen: str | None, *, verbose: bool) -> int:
    from deltaglider_proxy.cli import serve
    from deltaglider_proxy.config.address import ListenAddress

    if listen is not None:
        try:
            ListenAddress.parse(listen)
        except ValueError as problem:
            raise typer.BadParameter(f"{listen!r} {problem}", param_hint="--listen") from None
    return serve.run(config, listen, verbose=verbose)


def _print_version(*, codecs: bool) -> None:
    from deltaglider_proxy.cli import version

    result(version.line() + "\n")
    if codecs:
        from deltaglider_proxy.codecs.registry import names

        result(f"codecs: {', '.join(names())}\n")


def _print_environment() -> None:
    from deltaglider_proxy.config.environment import dotenv

    result(dotenv())


@config_app.command("lint")
def config_lint(
    context: typer.Context,
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="By default the file a server would use.")] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a report as JSON on stdout.")] = False,
) -> None:
    """Check a configuration file. Exit: 0 = valid, 3 = I/O error, 4 = parse error, 6 = validation error."""
    from deltaglider_proxy.cli.config_lint import run

    options = context.obj
    assert isinstance(options, Options)
    raise typer.Exit(run(file, config or options.config, as_json=as_json))


@config_app.command("schema")
def config_schema(context: typer.Context, out: Out = None) -> None:
    """Print the JSON Schema of configuration files."""
    _describe(context, out, "schema")


@config_app.command("defaults")
def config_defaults(context: typer.Context, out: Out = None) -> None:
    """Print every setting with its default, as JSON Schema."""
    _describe(context, out, "defaults")


def _describe(context: typer.Context, out: Path | None, what: str) -> None:
    from deltaglider_proxy.config.schema import text

    without_config(context)
    if out is None:
        result(text())
    else:
        save(out, text())
        say(f"wrote {what} to {out}")


@config_app.command("migrate")
def config_migrate(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="YAML or TOML, of any accepted shape.")],
    out: Out = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
) -> None:
    """Write a configuration file as canonical YAML. Exit: 0 = done, 3 = I/O error, 4 = parse error, 6 = lint would
    reject it.
    """
    from deltaglider_proxy.cli.config_migrate import run

    without_config(context)
    raise typer.Exit(run(source, out, force=force))


Server = Annotated[str, typer.Option("--server", metavar="URL", help="The running server.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECS", min=0.1, help="For each request.")]


CaBundle = Annotated[str | None, typer.Option("--ca-bundle", metavar="FILE", help="Trust these.")]


@config_app.command("apply")
def config_apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML.")],
    server: Server = "http://127.0.0.1:9000",
    timeout: Timeout = 30.0,
    ca_bundle: CaBundle = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it as JSON on stdout.")] = False,
) -> None:
    """Give a running server another configuration. DGP_TOKEN, a token of the admin API with the scope config, is sent,
    or DGP_BOOTSTRAP_PASSWORD signs in. Exit: 0 = applied and kept, 3 = I/O error, 4 = parse error or unknown key,
    nothing was sent, 5 = no answer, or not kept, 6 = refused, 7 = not signed in.
    """
    from deltaglider_proxy.cli.config_apply import run

    without_config(context)
    raise typer.Exit(run(file, server, timeout, ca_bundle, as_json=as_json))


class Decision(StrEnum):
    """Of the admission chain, which is not imported for its names."""

    ALLOW_ANONYMOUS = "allow-anonymous"
    CONTINUE = "continue"
    DENY = "deny"
    REJECT = "reject"


@admission_app.command("trace")
def admission_trace(
    context: typer.Context,
    method: Annotated[str, typer.Option("--method", metavar="METHOD")] = "GET",
    path: Annotated[str, typer.Option("--path", metavar="PATH", help="As in /bucket/key.")] = "/",
    query: Annotated[str | None, typer.Option("--query", metavar="QUERY")] = None,
    authenticated: Annotated[bool, typer.Option("--authenticated", help="It carries credentials.")] = False,
    source_ip: Annotated[str | None, typer.Option("--source-ip", metavar="IP")] = None,
    expect: Annotated[
        Decision | None,
        typer.Option(
            "--expect", metavar="DECISION", help="allow-anonymous, continue, deny or reject; exit 6 for another."
        ),
    ] = None,
    server: Server = "http://127.0.0.1:9000",
    timeout: Timeout = 30.0,
) -> None:
    """Ask a running server what its admission chain decides. DGP_TOKEN, a token of the admin API with the scope config,
    is sent, or DGP_BOOTSTRAP_PASSWORD signs in. Exit: 0 = answered, 5 = no answer, 6 = refused, or another decision
    than expected, 7 = not signed in.
    """
    from deltaglider_proxy.cli.admission_trace import run

    without_config(context)
    request: dict[str, object] = {"method": method, "path": path, "authenticated": authenticated}
    request |= {name: value for name, value in (("query", query), ("source_ip", source_ip)) if value is not None}
    raise typer.Exit(run(request, server, timeout, expect))


@bucket_app.command("gc")
def bucket_gc(
    context: typer.Context,
    now: Annotated[
        bool, typer.Option("--now/", help="Remove at once, which needs that no server runs. Servers collect daily.")
    ],
    buckets: Annotated[list[str] | None, typer.Argument(metavar="BUCKET...", help="By default all.")] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON on stdout.")] = False,
) -> None:
    """Remove references and leftovers that no object needs any more. Exit: 0 = done, 1 = a server runs, 5 = a backend
    did not answer, 8 = no such bucket, 10 = some buckets were collected and some were not.
    """
    from deltaglider_proxy.cli.bucket_gc import run

    options = context.obj
    assert isinstance(options, Options)
    assert now
    raise typer.Exit(run(config or options.config, buckets or [], as_json=as_json))


@backend_app.command("check")
def backend_check(
    context: typer.Context,
    backends: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="By default all services.")] = None,
    buckets: Annotated[
        list[str] | None, typer.Option("--bucket", "-b", metavar="BUCKET", help="Where to try it; by its real name.")
    ] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON on stdout.")] = False,
) -> None:
    """Try out what S3 services can do, with throw-away objects. Exit: 0 = tried, 1 = could not be tried, 6 = a bucket
    must not hold deltas, or no such backend.
    """
    from deltaglider_proxy.cli.backend_check import run

    options = context.obj
    assert isinstance(options, Options)
    raise typer.Exit(run(config or options.config, backends or [], buckets or [], as_json=as_json))


@backup_app.command("create")
def backup_create(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="By default as the server says.")
    ] = None,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="With DGP_BACKUP_PASSPHRASE, or one that is asked for (age format).")
    ] = False,
    iam_only: Annotated[bool, typer.Option("--iam-only", help="Users and what belongs to them, as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    server: Server = "http://127.0.0.1:9000",
    timeout: Timeout = 300.0,
    ca_bundle: CaBundle = None,
) -> None:
    """Save configuration, users and secrets of a running server. DGP_TOKEN, a token of the admin API with the scope
    admin, is sent, or DGP_BOOTSTRAP_PASSWORD signs in. Exit: 0 = saved, 3 = I/O error, 5 = no answer, 6 = refused, 7 =
    not signed in.
    """
    from deltaglider_proxy.cli.backup import create

    without_config(context)
    raise typer.Exit(create(out, server, timeout, ca_bundle, encrypt=encrypt, iam_only=iam_only, force=force))


@backup_app.command("restore")
def backup_restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup: a zip, an encrypted zip, or JSON of users.")],
    mode: Annotated[
        str, typer.Option("--mode", metavar="MODE", help="full, preserve-bootstrap, iam-only or config-only.")
    ] = "full",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "--dryrun", help="Say what would happen; change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the server's report as JSON on stdout.")] = False,
    server: Server = "http://127.0.0.1:9000",
    timeout: Timeout = 300.0,
    ca_bundle: CaBundle = None,
) -> None:
    """Bring a backup back into a running server, wholly or not at all. DGP_TOKEN, a token of the admin API with the
    scope admin, is sent, or DGP_BOOTSTRAP_PASSWORD signs in. Exit: 0 = restored, 3 = I/O error, 4 = cannot be
    decrypted, 5 = no answer, 6 = refused, 7 = not signed in.
    """
    from deltaglider_proxy.cli.backup import restore

    without_config(context)
    raise typer.Exit(restore(file, mode, server, timeout, ca_bundle, dry_run=dry_run, as_json=as_json))


@backup_app.command("snapshot")
def backup_snapshot(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; never overwritten.")],
    config: Config = None,
) -> None:
    """Copy the database file of this host while a server works with it. The same bootstrap password opens the copy.
    Exit: 0 = copied, 1 = cannot be opened, 3 = I/O error, 8 = there is no database.
    """
    from deltaglider_proxy.cli.backup_snapshot import run as snapshot

    options = context.obj
    assert isinstance(options, Options)
    raise typer.Exit(snapshot(config or options.config, out))


@app.command("init")
def init(
    context: typer.Context,
    path: Annotated[Path, typer.Option("--path", metavar="FILE", help="The file to write.")] = Path(
        "deltaglider_proxy.yaml"
    ),
) -> None:
    """Write a first configuration file with a fresh key pair. Never overwrites; asks nothing."""
    from deltaglider_proxy.cli.init import run

    without_config(context)
    raise typer.Exit(run(path))


def run(arguments: Sequence[str]) -> int:
    """The exit status of the command line `arguments`."""
    try:
        app(args=list(arguments), prog_name=PROGRAM)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.FAILED
    except Exception as failure:  # noqa: BLE001 - the operator gets one line; the trace only on demand
        say(f"error: {type(failure).__name__}: {failure}")
        if {"-v", "--verbose"} & set(arguments):
            traceback.print_exc()
        return ExitCode.FAILED
    return ExitCode.OK


def main() -> None:
    sys.exit(run(sys.argv[1:]))
