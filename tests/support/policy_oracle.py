"""What rules allow, worked out the slow way: from the text of each rule, with no regard for how it is done elsewhere.

Every decision looks at every rule anew. Patterns become regular expressions, conditions are compared as they are
written, and a listing is asked about key by key.
"""

import fnmatch
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import quote

from deltaglider_proxy.control.model import Effect, Permission


@dataclass(frozen=True)
class Asked:
    """The facts of a request."""

    ip: str | None = None
    prefix: str | None = None
    secure: bool = False
    username: str = "ana"
    key_id: str = "AKANA"
    delimiter: str | None = None


def fill(text: str, asked: Asked) -> str:
    for name, value in (("${iam:username}", asked.username), ("${iam:access_key_id}", asked.key_id)):
        safe = value if not set(value) & set("/*?$%") else quote(value, safe="")
        text = text.replace(name, safe)
    return text


def resource_matches(pattern: str, resource: str, asked: Asked) -> bool:
    filled = fill(pattern, asked)
    if filled.endswith("*"):
        return re.fullmatch(re.escape(filled[:-1]) + "(.|\n)*", resource) is not None
    return filled == resource


def fact(key: str, asked: Asked) -> str | None:
    match key.lower():
        case "aws:sourceip":
            return asked.ip
        case "s3:prefix":
            return asked.prefix
        case "s3:delimiter":
            return asked.delimiter
        case "aws:securetransport":
            return "true" if asked.secure else "false"
        case "aws:username":
            return asked.username
        case _:
            raise AssertionError(key)


def value_matches(operator: str, value: str, given: str) -> bool:
    if operator in ("IpAddress", "NotIpAddress"):
        return ipaddress.ip_address(given) in ipaddress.ip_network(value, strict=False)
    if operator in ("StringLike", "StringNotLike"):
        return fnmatch.fnmatchcase(given, value.replace("[", "[[]"))
    return given == value


def condition_holds(operator: str, key: str, values: Iterable[str], asked: Asked) -> bool:
    given = fact(key, asked)
    if operator == "Null":
        [wanted] = values
        return (given is None) == (wanted == "true")
    base = operator.removesuffix("IfExists")
    negative = base in ("StringNotEquals", "StringNotLike", "NotIpAddress")
    if given is None:
        return negative or base != operator
    any_matches = any(value_matches(base, fill(value, asked), given) for value in values)
    return not any_matches if negative else any_matches


def applies(rule: Permission, action: str, resource: str, asked: Asked) -> bool:
    if action not in rule.actions and "*" not in rule.actions:
        return False
    if action != "list":
        # Nothing but a listing has these, whatever a client writes into its query.
        asked = replace(asked, prefix=None, delimiter=None)
    if not any(resource_matches(pattern, resource, asked) for pattern in rule.resources):
        return False
    return all(
        condition_holds(operator, key, values, asked)
        for operator, keys in rule.conditions.items()
        for key, values in keys.items()
    )


def verdict(rules: Iterable[Permission], action: str, resource: str, asked: Asked) -> str:
    found = [rule.effect for rule in rules if applies(rule, action, resource, asked)]
    if Effect.DENY in found:
        return "deny"
    return "allow" if Effect.ALLOW in found else "nothing"


def allowed(rules: list[Permission], action: str, bucket: str, key: str, asked: Asked) -> bool:
    if key:
        return verdict(rules, action, f"{bucket}/{key}", asked) == "allow"
    first = verdict(rules, action, bucket, asked)
    if first == "nothing":
        first = verdict(rules, action, bucket + "/", asked)
    return first == "allow"


def shown(rules: list[Permission], bucket: str, key: str, asked: Asked) -> bool:
    """Whether a listing may name the key."""
    if verdict(rules, "read", f"{bucket}/{key}", asked) == "allow":
        return True
    about_key = replace(asked, prefix=key)
    on_key = verdict(rules, "list", f"{bucket}/{key}", about_key)
    if on_key == "allow":
        return True
    return on_key != "deny" and allowed(rules, "list", bucket, "", about_key)


def is_admin(rules: list[Permission], asked: Asked) -> bool:
    asked = replace(asked, prefix=None, delimiter=None)
    about_all = [
        rule
        for rule in rules
        if "*" in rule.resources
        and ("*" in rule.actions or "admin" in rule.actions)
        and all(condition_holds(o, k, v, asked) for o, keys in rule.conditions.items() for k, v in keys.items())
    ]
    effects = [rule.effect for rule in about_all]
    return Effect.ALLOW in effects and Effect.DENY not in effects
