"""Which groups the claims of a sign-in give. All rules that match apply.

What a provider has not verified is whatever its user has typed in, so an unverified address matches nothing.
"""

from collections.abc import Iterable, Mapping

from deltaglider_proxy.config.linear_regex import NotARegex, compile_regex
from deltaglider_proxy.control.model import MappingRule, MatchType

_EMAIL = "email"


def groups_for(
    rules: Iterable[MappingRule],
    provider_id: int | None,
    claims: Mapping[str, object],
    *,
    email: str | None,
    email_verified: bool,
) -> list[int]:
    """Ids of groups, each once, in the order of the rules. `provider_id` None asks about every provider's rules."""
    found: dict[int, None] = {}
    for rule in rules:
        about = rule.provider_id is None or provider_id is None or rule.provider_id == provider_id
        if about and _matches(rule, claims, email if email_verified else None):
            found[rule.group_id] = None
    return list(found)


def _matches(rule: MappingRule, claims: Mapping[str, object], email: str | None) -> bool:
    if rule.match_type is MatchType.CLAIM_VALUE:
        if rule.match_field.lower() == _EMAIL:
            return email is not None and email.lower() == rule.match_value.lower()
        return _claim_is(claims.get(rule.match_field), rule.match_value)
    if not email:
        return False
    address, wanted = email.lower(), rule.match_value.lower()
    match rule.match_type:
        case MatchType.EMAIL_EXACT:
            return address == wanted
        case MatchType.EMAIL_DOMAIN:
            return address.endswith("@" + wanted)
        case MatchType.EMAIL_GLOB:
            return _glob(address, wanted)
        case MatchType.EMAIL_REGEX:
            return _found(rule.match_value, email)


def _claim_is(claim: object, wanted: str) -> bool:
    if isinstance(claim, str):
        return claim.lower() == wanted.lower()
    return isinstance(claim, list) and any(isinstance(item, str) and item.lower() == wanted.lower() for item in claim)


def _found(pattern: str, email: str) -> bool:
    try:
        return compile_regex(pattern).search(email) is not None
    except NotARegex:
        return False


def _glob(text: str, pattern: str) -> bool:
    """`*` stands for anything. Linear: each piece is looked for once, behind the one before."""
    first, *pieces = pattern.split("*")
    if not pieces:
        return text == pattern
    *middle, last = pieces
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(text) - at >= len(last) and text.endswith(last)
