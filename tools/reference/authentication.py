"""`reference/authentication.md`: prose from the file beside this one, with tables from the code that decides."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from deltaglider_proxy.access.admission.chain import Verdict
from deltaglider_proxy.access.errors import GUESSES, Reason
from deltaglider_proxy.access.policy.canned import CANNED
from deltaglider_proxy.access.policy.conditions import OPERATORS
from deltaglider_proxy.access.policy.context import KEY_NAMES
from deltaglider_proxy.access.policy.resources import TEMPLATES
from deltaglider_proxy.access.policy.rules import ACTIONS, EVERY_ACTION
from deltaglider_proxy.access.policy.validate import MOST_PERMISSIONS
from deltaglider_proxy.access.state import Mode
from deltaglider_proxy.admin.guard import SCOPES
from deltaglider_proxy.config.environment import VARIABLES
from deltaglider_proxy.control.model import SessionAuth
from deltaglider_proxy.crypto.passwords import MAX_CHARACTERS, MIN_CHARACTERS
from deltaglider_proxy.s3 import errors as s3_errors
from deltaglider_proxy.s3.protocol.errors import Code
from deltaglider_proxy.s3.protocol.operations import OPERATIONS
from tools.reference.markdown import cell, code, page, table

_TEMPLATE = Path(__file__).with_name("authentication.in.md")
_PLACE = re.compile(r"\{\{([a-z_]+)\}\}")
_S3_CODES: Mapping[Reason, Code] = vars(s3_errors)["_REASONS"]
_SHOWN_OPERATIONS = 7

_MODES = {
    Mode.OPEN: ("no key pair, no users, `authentication: none`", "everyone may do everything"),
    Mode.BOOTSTRAP: ("a key pair is configured, and there are no users", "who signs with the pair may do everything"),
    Mode.IAM: ("there is at least one user", "the rules of the user whose key signed; the configured pair is nobody"),
    Mode.LOCKED: ("the bootstrap hash does not open the database", "every S3 request is answered 503"),
}
_REASONS = {
    Reason.SEVERAL_SCHEMES: "a signature in the header and another in the query",
    Reason.UNSUPPORTED_SCHEME: "signature version 2, or no AWS scheme",
    Reason.UNSUPPORTED_ALGORITHM: "an AWS algorithm that is not implemented, such as 4A",
    Reason.MALFORMED_HEADER: "the Authorization header cannot be read",
    Reason.MALFORMED_QUERY: "the presigned parameters cannot be read",
    Reason.MALFORMED_FORM: "the fields of the form cannot be read",
    Reason.MISSING_HEADER: "a header that a signed request needs is not there",
    Reason.SECURITY_TOKEN: "a session token",
    Reason.UNKNOWN_KEY: "nobody has this key",
    Reason.DISABLED_KEY: "the key or its user is disabled, or the key has expired",
    Reason.SKEWED: "the clocks are too far apart",
    Reason.EXPIRED: "the presigned URL or the form's policy is over",
    Reason.UNSIGNED_HEADER: "a header that matters is not covered",
    Reason.BAD_SIGNATURE: "the secret is another, or the request was changed",
    Reason.INCOMPLETE_FORM: "the form lacks a field of a signed policy",
    Reason.REPLAYED: "the same signed change a moment ago",
    Reason.CROWDED: "too many signed changes at once to remember them all",
    Reason.LOCKED_OUT: "too many guesses from this address",
    Reason.DENIED: "known, and not allowed",
    Reason.BLOCKED: "an admission block refused it",
    Reason.LOCKED_DATABASE: "the database cannot be opened",
    Reason.MAINTENANCE: "maintenance mode, and the request would change something",
}
_VERDICTS = {
    Verdict.ALLOW_ANONYMOUS: "nobody need sign; public prefixes say what may be done",
    Verdict.CONTINUE: "signatures and rules decide",
    Verdict.DENY: "`AccessDenied`",
    Verdict.REJECT: "the status and message of the block",
}
_SIGN_INS = {
    SessionAuth.BOOTSTRAP: ("`POST admin/login`", "the bootstrap password", "administer"),
    SessionAuth.IAM: ("`POST admin/login-as`", "the key pair of an administrator", "administer"),
    SessionAuth.IAM_BROWSER: ("`POST admin/session/browser-connect`", "the key pair of any user", "look at objects"),
    SessionAuth.OPEN: ("`POST admin/session/open-browser-connect`", "nothing, in open mode", "look at objects"),
    SessionAuth.EXTERNAL: ("not there yet", "a sign-in provider", ""),
}
_SCOPES = {
    "read": "GET of everything but secrets, the audit log and the log",
    "iam": "users, groups, providers, mapping rules, sessions",
    "config": "the configuration, its history, maintenance mode",
    "storage": "backends",
    "audit": "the audit log and the log",
    "admin": "all of them, and backups, tokens and the bootstrap password",
}


def authentication() -> str:
    text = _TEMPLATE.read_text(encoding="utf-8").rstrip("\n")
    return page("Authentication reference", _PLACE.sub(lambda match: _PLACES[match[1]](), text))


def _reasons() -> str:
    return table(
        ("what is wrong", "S3 code", "label", "guess"),
        (
            (_REASONS[each], code(_S3_CODES[each].value), code(each.metric), "yes" if each in GUESSES else "")
            for each in Reason
        ),
    )


def _limits() -> str:
    found = [each for each in VARIABLES if each.name.startswith("DGP_RATE_LIMIT_")]
    return table(
        ("variable", "default", "what it does"),
        ((code(each.name), code(each.default), cell(each.description)) for each in found),
    )


def _actions() -> str:
    rows = []
    for action in ACTIONS:
        names = [row.name for row in OPERATIONS if row.action == action and row.handler != "not_implemented"]
        more = f" and {len(names) - _SHOWN_OPERATIONS} more" if len(names) > _SHOWN_OPERATIONS else ""
        rows.append((code(action), ", ".join(names[:_SHOWN_OPERATIONS]) + more))
    rows.append((code(EVERY_ACTION), "all of them"))
    return table(("action", "operations ([all](s3-api.md#operations))"), rows)


def _listed(names: object) -> str:
    assert isinstance(names, list | tuple)
    return ", ".join(map(code, names))


_PLACES: Mapping[str, Callable[[], str]] = {
    "modes": lambda: table(("mode", "when", "who may do what"), ((code(each.value), *_MODES[each]) for each in Mode)),
    "reasons": _reasons,
    "limits": _limits,
    "most_rules": lambda: str(MOST_PERMISSIONS),
    "actions": _actions,
    "templates": lambda: " and ".join(map(code, TEMPLATES)),
    "operators": lambda: _listed([*OPERATORS, "Null"]),
    "keys": lambda: _listed(KEY_NAMES),
    "canned": lambda: table(("name", "what it allows"), ((each.name, each.description) for each in CANNED)),
    "verdicts": lambda: table(("action", "what happens"), ((code(each.value), _VERDICTS[each]) for each in Verdict)),
    "sign_ins": lambda: table(
        ("kind", "request", "with", "for"), ((code(each.value), *_SIGN_INS[each]) for each in SessionAuth)
    ),
    "scopes": lambda: table(("scope", "for"), ((code(each), _SCOPES[each]) for each in SCOPES)),
    "password": lambda: f"{MIN_CHARACTERS} to {MAX_CHARACTERS}",
}
