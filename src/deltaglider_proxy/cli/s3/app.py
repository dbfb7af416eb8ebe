"""The verbs as typer commands: arguments are checked, the endpoint is opened, and the verb's own module does the rest.

Verbs import what they need when they run, so that `--help` does not wait for the engine.
"""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from deltaglider_proxy.cli.s3.connection import Connection, ask, verb

if TYPE_CHECKING:
    from deltaglider_proxy.cli.s3.endpoint import Endpoint
    from deltaglider_proxy.cli.s3.engine_store import Writing
    from deltaglider_proxy.cli.s3.transfer import Options

s3_app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Work with objects of any S3 service, stored as the server stores them. No server is needed.",
)

Source = Annotated[str, typer.Argument(metavar="SRC")]
Target = Annotated[str, typer.Argument(metavar="DST")]
BucketUrl = Annotated[str, typer.Argument(metavar="s3://BUCKET")]
Include = Annotated[list[str] | None, typer.Option("--include", metavar="GLOB", help="Only these; repeatable.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", metavar="GLOB", help="Not these; repeatable, wins.")]
DryRun = Annotated[bool, typer.Option("--dryrun", "--dry-run", help="Only tell what would be done.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Tell only what goes wrong.")]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="All below.")]
NoDelta = Annotated[bool, typer.Option("--no-delta", help="Store objects as they are.")]
MaxRatio = Annotated[float, typer.Option("--max-ratio", min=0, max=1, help="Of delta to object; larger is not kept.")]
MaxSize = Annotated[int, typer.Option("--max-object-size-mb", metavar="MIB", min=1, help="Refuse larger objects.")]
Concurrency = Annotated[int, typer.Option("--concurrency", metavar="N", min=1, max=64, help="Transfers at once.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@verb(s3_app, "ls")
async def ls(
    connection: Connection,
    url: Annotated[str | None, typer.Argument(metavar="[s3://BUCKET[/PREFIX]]")] = None,
    recursive: Recursive = False,
    human_readable: Annotated[bool, typer.Option("--human-readable", help="Sizes in KiB, MiB, ...")] = False,
    summarize: Annotated[bool, typer.Option("--summarize", help="Totals at the end.")] = False,
    page_size: Annotated[int, typer.Option("--page-size", metavar="N", min=1, max=1000)] = 1000,
    as_json: Json = False,
) -> int:
    """List buckets, or objects with the sizes that they were uploaded with."""
    from deltaglider_proxy.cli.s3 import locations, ls, stores

    place = locations.remote(url) if url is not None else None
    async with stores.opened(_endpoint(connection), place.bucket if place is not None else "") as store:
        return await ls.run(
            store,
            place,
            recursive=recursive,
            human=human_readable,
            summarize=summarize,
            page=page_size,
            as_json=as_json,
        )


@verb(s3_app, "cp")
async def cp(
    connection: Connection,
    source: Source,
    target: Target,
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    no_delta: NoDelta = False,
    max_ratio: MaxRatio = 0.75,
    content_type: Annotated[str | None, typer.Option("--content-type", metavar="TYPE")] = None,
    metadata: Annotated[list[str] | None, typer.Option("--metadata", metavar="K=V[,K=V]", help="Repeatable.")] = None,
    max_size: MaxSize = 100,
    concurrency: Concurrency = 4,
) -> int:
    """Copy files to objects, objects to files, or objects to objects; - is stdin or stdout. Exit: 8 = no such object,
    9 = its bytes are damaged, 10 = some were copied and some were not.
    """
    from deltaglider_proxy.cli.s3 import cp, locations, stores

    here, there = locations.parse(source), locations.parse(target)
    cp.check(here, there, recursive=recursive)
    options = replace(
        _options(include, exclude, dry_run=dry_run, quiet=quiet, concurrency=concurrency),
        content_type=content_type,
        metadata=_metadata(metadata or []),
        as_stored=not no_delta and max_ratio == 0.75,
    )
    writing = _writing(max_size, max_ratio, delta=not no_delta) if not dry_run else None
    async with stores.opened(_endpoint(connection), *_into(there, here, writing)) as store:
        return await cp.run(store, here, there, options, recursive=recursive, to_folder=target.endswith("/"))


@verb(s3_app, "sync")
async def sync(
    connection: Connection,
    source: Source,
    target: Target,
    delete: Annotated[bool, typer.Option("--delete", help="Remove what the source does not have.")] = False,
    include: Include = None,
    exclude: Exclude = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    size_only: Annotated[bool, typer.Option("--size-only", help="Times do not count.")] = False,
    exact_timestamps: Annotated[bool, typer.Option("--exact-timestamps", help="A second less counts too.")] = False,
    no_delta: NoDelta = False,
    max_size: MaxSize = 100,
    concurrency: Concurrency = 4,
) -> int:
    """Make DST hold what SRC holds: what is missing, has another size, or is newer by more than a second is copied."""
    from deltaglider_proxy.cli.s3 import locations, stores, sync

    here, there = locations.parse(source), locations.parse(target)
    sync.check(here, there)
    options = replace(
        _options(include, exclude, dry_run=dry_run, quiet=quiet, concurrency=concurrency), as_stored=not no_delta
    )
    writing = _writing(max_size, delta=not no_delta) if not dry_run else None
    how = sync.Comparison(size_only, exact_timestamps)
    async with stores.opened(_endpoint(connection), *_into(there, here, writing)) as store:
        return await sync.run(store, here, there, options, how, delete=delete)


@verb(s3_app, "rm")
async def rm(
    connection: Connection,
    url: Annotated[str, typer.Argument(metavar="s3://BUCKET/KEY")],
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    yes: Yes = False,
    concurrency: Concurrency = 4,
) -> int:
    """Delete an object, or all below a prefix."""
    from deltaglider_proxy.cli.s3 import locations, rm, stores

    place = locations.remote(url)
    if not recursive and not place.key:
        raise locations.BadArgument(f"{url} is a bucket; name a key, or use --recursive")
    options = _options(include, exclude, dry_run=dry_run, quiet=quiet, concurrency=concurrency)
    endpoint = _endpoint(connection)
    if recursive and not place.key and not dry_run:
        ask(f"Delete everything in {place}?", yes=yes)
    async with stores.opened(endpoint, place.bucket, None if dry_run else _writing()) as store:
        return await rm.run(store, place, options, recursive=recursive)


@verb(s3_app, "migrate")
async def migrate(
    connection: Connection,
    source: Source,
    target: Target,
    include: Include = None,
    exclude: Exclude = None,
    no_preserve_prefix: Annotated[
        bool, typer.Option("--no-preserve-prefix", help="Do not make the last folder of SRC below DST.")
    ] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    yes: Yes = False,
    no_delta: NoDelta = False,
    max_ratio: MaxRatio = 0.75,
    max_size: MaxSize = 100,
    source_endpoint_url: Annotated[str | None, typer.Option("--source-endpoint-url", metavar="URL")] = None,
    source_profile: Annotated[str | None, typer.Option("--source-profile", metavar="NAME")] = None,
    concurrency: Concurrency = 4,
) -> int:
    """Copy a prefix, also from another service, so that DST makes deltas of its own. What is there is not copied
    again.
    """
    from deltaglider_proxy.cli.s3 import locations, migrate, stores

    here, there = locations.remote(source), locations.remote(target)
    there = migrate.destination(here, there, keep_prefix=not no_preserve_prefix)
    options = _options(include, exclude, dry_run=dry_run, quiet=quiet, concurrency=concurrency)
    endpoint = _endpoint(connection)
    origin = connection
    if source_endpoint_url is not None:
        origin = replace(origin, endpoint_url=source_endpoint_url)
    if source_profile is not None:
        origin = replace(origin, profile=source_profile, access_key_id=None, secret_access_key=None, session_token=None)
    writing = None if dry_run else _writing(max_size, max_ratio, delta=not no_delta)
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(stores.opened(endpoint, there.bucket, writing))
        first = second
        if origin is not connection or here.bucket != there.bucket:
            first = await stack.enter_async_context(stores.opened(_endpoint(origin), here.bucket))
        sides = migrate.Side(first, here), migrate.Side(second, there)
        return await migrate.run(*sides, options, lambda: ask("Proceed with migration?", yes=yes))


@verb(s3_app, "stats")
async def stats(
    connection: Connection,
    bucket: BucketUrl,
    quick: Annotated[bool, typer.Option("--quick", help="One listing; the default.")] = False,
    sampled: Annotated[bool, typer.Option("--sampled", help="Ask one delta of each family for its size.")] = False,
    detailed: Annotated[bool, typer.Option("--detailed", help="Ask every delta.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Count again, and keep it.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Count again, and keep nothing.")] = False,
    as_json: Json = False,
) -> int:
    """What a bucket holds, what it takes, and how well its deltas do."""
    from deltaglider_proxy.cli.s3 import locations, stats, stores
    from deltaglider_proxy.cli.s3.counting import Mode

    name = locations.bucket_only(bucket)
    if quick + sampled + detailed > 1:
        raise locations.BadArgument("only one of --quick, --sampled and --detailed can be used")
    if refresh and no_cache:
        raise locations.BadArgument("only one of --refresh and --no-cache can be used")
    mode = Mode.DETAILED if detailed else Mode.SAMPLED if sampled else Mode.QUICK
    cache = stats.Cache(reads=not refresh and not no_cache, writes=not no_cache)
    endpoint = _endpoint(connection)
    async with stores.opened(endpoint, name) as store:
        return await stats.run(endpoint, store, name, mode, cache, as_json=as_json)


@verb(s3_app, "verify")
async def verify(
    connection: Connection,
    url: Annotated[str, typer.Argument(metavar="s3://BUCKET/KEY")],
    recursive: Recursive = False,
) -> int:
    """Read an object and check its bytes. Exit: 6 = nothing is known of them, 8 = no such object, 9 = damaged."""
    from deltaglider_proxy.cli.s3 import locations, stores, verify

    place = locations.remote(url)
    if not place.key and not recursive:
        raise locations.BadArgument(f"{url} is a bucket; name a key, or use --recursive")
    async with stores.opened(_endpoint(connection), place.bucket) as store:
        return await verify.run(store, place, recursive=recursive)


@verb(s3_app, "purge")
async def purge(
    connection: Connection,
    bucket: Annotated[str, typer.Argument(metavar="BUCKET")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """Remove what an older tool has left under `.deltaglider/tmp/` and declared to be expired by now."""
    from deltaglider_proxy.cli.s3 import locations, purge

    return await purge.run(_endpoint(connection), locations.bucket_only(bucket), dry_run=dry_run, as_json=as_json)


@verb(s3_app, "get-bucket-acl")
async def get_bucket_acl(connection: Connection, bucket: BucketUrl) -> int:
    """Print who may do what with a bucket, as JSON."""
    from deltaglider_proxy.cli.s3 import acl, locations

    return await acl.get(_endpoint(connection), locations.bucket_only(bucket))


Grantee = Annotated[str | None, typer.Option(metavar="GRANTEE", help="id=..., emailAddress=... or uri=...")]


@verb(s3_app, "put-bucket-acl")
async def put_bucket_acl(
    connection: Connection,
    bucket: BucketUrl,
    canned: Annotated[str | None, typer.Option("--acl", metavar="CANNED")] = None,
    grant_full_control: Grantee = None,
    grant_read: Grantee = None,
    grant_read_acp: Grantee = None,
    grant_write: Grantee = None,
    grant_write_acp: Grantee = None,
) -> int:
    """Set who may do what with a bucket."""
    from deltaglider_proxy.cli.s3 import acl, locations

    given = {
        "full-control": grant_full_control,
        "read": grant_read,
        "read-acp": grant_read_acp,
        "write": grant_write,
        "write-acp": grant_write_acp,
    }
    name = locations.bucket_only(bucket)
    grants = {grant: grantee for grant, grantee in given.items() if grantee is not None}
    acl.check(canned, grants)
    return await acl.put(_endpoint(connection), name, canned, grants)


def _endpoint(connection: Connection) -> "Endpoint":
    """Raises BadArgument."""
    from deltaglider_proxy.cli.s3.endpoint import resolve
    from deltaglider_proxy.config.environment import process_environment

    return resolve(connection, process_environment())


def _options(
    include: list[str] | None, exclude: list[str] | None, *, dry_run: bool, quiet: bool, concurrency: int
) -> "Options":
    """Raises BadArgument."""
    from deltaglider_proxy.cli.s3.filters import Filters
    from deltaglider_proxy.cli.s3.transfer import Options

    return Options(Filters.of(include or (), exclude or ()), dry_run, quiet, concurrency)


def _writing(max_size: int = 100, max_ratio: float = 0.75, *, delta: bool = True) -> "Writing":
    """`max_size` in MiB."""
    from deltaglider_proxy.cli.s3.engine_store import Writing

    return Writing(delta, max_ratio, max_size << 20)


def _into(there: object, here: object, writing: "Writing | None") -> "tuple[str, Writing | None]":
    """The bucket that is written to, or else read from."""
    from deltaglider_proxy.cli.s3.locations import Remote

    if isinstance(there, Remote):
        return there.bucket, writing
    return here.bucket if isinstance(here, Remote) else "", None


def _metadata(given: list[str]) -> dict[str, str]:
    """Raises BadArgument."""
    from deltaglider_proxy.cli.s3.locations import BadArgument

    found: dict[str, str] = {}
    for text in given:
        for pair in text.split(","):
            name, separator, value = pair.partition("=")
            if not separator or not name:
                raise BadArgument(f"--metadata {pair!r}: write KEY=VALUE")
            found[name.lower()] = value
    return found
