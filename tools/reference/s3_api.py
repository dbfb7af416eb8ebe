"""`reference/s3-api.md`, from the table of operations."""

from collections.abc import Iterable

from deltaglider_proxy.access.sigv4 import MAX_EXPIRES
from deltaglider_proxy.s3.protocol.checksums import SIZES
from deltaglider_proxy.s3.protocol.operations import OPERATIONS, Level, Operation
from tools.reference.markdown import code, page, table

_PATHS = {Level.SERVICE: "/", Level.BUCKET: "/BUCKET", Level.OBJECT: "/BUCKET/KEY"}
_NOBODY = {"identified": "any identity; shows what it may see", "public": "nothing"}
_NOT_IMPLEMENTED = "not_implemented"

_START = """\
What S3 clients may ask for, and what a caller needs to be allowed to do. The actions are those of
[rules](authentication.md#actions). Errors are in [Errors](errors.md)."""
_SIGNED = f"""\
## Requests

- Signatures are version 4: in the header, in the query (a presigned URL is valid for {MAX_EXPIRES // 86400} days at
  most), in browser forms, and chunk by chunk (`aws-chunked`, with or without trailers). Version 2 is refused.
- Buckets are in the path. With `advanced.virtual_host_domain` they may be in the host name too.
- Checksums: {", ".join(SIZES)}, and Content-MD5. What is sent is verified before
  the object is visible.
- ETags, sizes and times are those of what was uploaded, however it is stored.
- The region is `us-east-1`; a signature may name any.
- An upload may have `advanced.max_object_size` bytes, in whatever way it comes."""
_EXTENSIONS = """\
## Beyond S3

- `DELETE /BUCKET/PREFIX/` with the header `x-deltaglider-recursive: true`, or with `?recursive=true`, deletes all that
  is below. Each key is decided about alone; the answer counts `deleted` and `denied`.
- A listing with `metadata=true` shows how each object is stored: `x-amz-meta-dg-note`, `x-amz-meta-dg-file-size`,
  `x-amz-meta-dg-delta-size`.
- With `DGP_DEBUG_HEADERS=true` answers say how an object is stored (`x-amz-storage-type`, `x-deltaglider-stored-size`,
  `x-deltaglider-ratio`), and of a delta whether its reference was at hand (`x-deltaglider-cache`: `hit` or `miss`)."""
_MISSING = """\
## What is not there

Versioning, object lock, bucket policies, lifecycle, replication, events, encryption at rest and static websites: asking
for one of them is answered `NotImplemented` (501), and reading its configuration says that there is none.
Access control lists are those of a bucket with one owner: `private` and `bucket-owner-full-control` are accepted and
change nothing."""


def s3_api() -> str:
    served = [row for row in OPERATIONS if row.handler != _NOT_IMPLEMENTED and row.absent is None and not row.document]
    absent = [row for row in OPERATIONS if row.absent is not None]
    fixed = [row for row in OPERATIONS if row.document]
    refused = [row for row in OPERATIONS if row.handler == _NOT_IMPLEMENTED]
    return page(
        "S3 API",
        _START,
        _SIGNED,
        "## Operations",
        *_by_level(served),
        _EXTENSIONS,
        _MISSING,
        "## Configurations that no bucket has",
        "Tools that look for them are told so, and go on.",
        table(
            ("operation", "request", "answer"),
            ((row.name, _request(row), code(row.absent.value)) for row in absent if row.absent is not None),
        ),
        "## Configurations that are always empty",
        table(("operation", "request", "answer"), ((row.name, _request(row), code(row.document)) for row in fixed)),
        "## Refused",
        "Answered `NotImplemented` (501), and only to those who might do it if it were there.",
        table(("operation", "request"), ((row.name, _request(row)) for row in refused)),
    )


def _by_level(rows: list[Operation]) -> Iterable[str]:
    for level, title in ((Level.SERVICE, "Server"), (Level.BUCKET, "Buckets"), (Level.OBJECT, "Objects")):
        yield f"### {title}"
        yield table(
            ("operation", "request", "the caller needs"),
            ((row.name, _request(row), _needs(row)) for row in rows if row.level is level),
        )


def _request(row: Operation) -> str:
    query = "&".join(row.query)
    line = code(f"{row.method} {_PATHS[row.level]}{'?' if query else ''}{query}")
    headers = " and ".join(code(name.decode()) for name in row.headers)
    return f"{line} with {headers}" if headers else line


def _needs(row: Operation) -> str:
    needed = _NOBODY.get(row.action) or code(row.action)
    if row.or_action is not None:
        needed += f" or {code(row.or_action)}"
    if row.source_action is not None:
        needed += f", and {code(row.source_action)} on the source"
    if row.by_key:
        needed += " on each key"
    if row.lists is not None:
        needed += f"; {'hides what the caller may not see' if row.lists.value == 'filtered' else 'on all of it'}"
    return needed
