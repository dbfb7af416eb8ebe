"""`reference/errors.md`, from the codes of S3 and from the places where the admin API refuses something."""

import ast
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

import deltaglider_proxy
from deltaglider_proxy.s3.protocol.errors import Code
from tools.reference.markdown import cell, code, page, table

_SOURCES = Path(deltaglider_proxy.__file__).parent
_RAISED = frozenset({"ApiError", "Refused", "ConfigRefused"})

_REMEDIES: Mapping[Code, str] = {
    Code.AccessDenied: "ask which rule decides: `POST /_/api/admin/simulate`, or `deltaglider_proxy admission trace`",
    Code.AuthorizationHeaderMalformed: "the client's region or key id is odd, or a proxy changes the header",
    Code.BadDigest: "the body was changed on its way: send it again",
    Code.BucketNotEmpty: "delete what the answer names; open multipart uploads count too",
    Code.EntityTooLarge: "raise `advanced.max_object_size` (`DGP_MAX_OBJECT_SIZE`)",
    Code.EntityTooSmall: "parts but the last have 5 MiB at least",
    Code.InsufficientStorage: "a disk is full: make room",
    Code.InternalError: "look into the log for the request id that the answer names",
    Code.InvalidAccessKeyId: "compare the key id with the configuration or the list of users; disabled keys count too",
    Code.InvalidToken: "session tokens are not issued here: unset `AWS_SESSION_TOKEN`",
    Code.MissingContentLength: "the client sends a body without its length; use `aws-chunked`, or a newer client",
    Code.NotImplemented: "[S3 API](s3-api.md) says what is there",
    Code.OperationAborted: "something else is being done to the bucket: try again",
    Code.PreconditionFailed: "somebody else has changed the object: read it again",
    Code.QuotaExceeded: "raise `quota_bytes` of the bucket, or delete something; 0 freezes a bucket",
    Code.RequestTimeTooSkewed: "set the clock of the client",
    Code.ServiceUnavailable: "the storage cannot be reached, or the database is locked: see `/_/ready`",
    Code.SignatureDoesNotMatch: "the secret is wrong, or a proxy in front changes the host or the path",
    Code.SlowDown: "clients try again by themselves; if it stays: maintenance mode, a lock-out of the address after "
    "wrong signatures, or too many open uploads",
}
_START = """\
S3 answers in XML, with a code, a message and a request id that is in the log too. The admin API answers
`application/problem+json` with the same ingredients."""
_ADMIN = """\
`code` is for programs and does not change; `detail` and `hint` are for people. `error` repeats `code`."""


def errors() -> str:
    codes = sorted(Code, key=lambda each: (each.status, each.value))
    return page(
        "Errors",
        _START,
        "## S3",
        table(
            ("code", "status", "what it says, and *what to do*"),
            ((code(each.value), str(each.status), _told(each)) for each in codes),
        ),
        "## Admin API",
        _ADMIN,
        table(
            ("code", "status", "where it is said"),
            (
                (code(name), f"{status} {HTTPStatus(status).phrase}", ", ".join(sorted(places)))
                for (status, name), places in sorted(_problems().items())
            ),
        ),
    )


def _told(each: Code) -> str:
    remedy = _REMEDIES.get(each, "")
    return cell(f"{each.message} *{remedy[:1].upper()}{remedy[1:]}.*" if remedy else each.message)


def _problems() -> dict[tuple[int, str], set[str]]:
    """Status and code of every refusal whose two are written out, with the parts of the API that know it."""
    found: dict[tuple[int, str], set[str]] = {}
    for path in sorted([*(_SOURCES / "admin").rglob("*.py"), *(_SOURCES / "server").glob("*.py")]):
        part = path.stem.replace("_", " ") if path.parent.name == "routes" else "everywhere"
        for problem in _raised(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(problem, set()).add(part)
    return {problem: {"everywhere"} if "everywhere" in parts else parts for problem, parts in found.items()}


def _raised(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for each in ast.walk(tree):
        if not (isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id in _RAISED):
            continue
        match each.args:
            case [ast.Constant(value=int(status)), ast.Constant(value=str(name)), *_]:
                yield status, name
            case _:
                pass  # what the layers below say; its status and code are written out in admin/problems.py
