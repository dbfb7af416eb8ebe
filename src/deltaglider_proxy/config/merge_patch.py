"""JSON merge patch: objects merge, everything else replaces, null removes. Source: RFC 7396.

A patch of a section follows two more rules: buckets have their names in lower case, and what an operator writes short
replaces what it stands for.
"""

from collections.abc import Mapping

_KEYS = ("key", "legacy_key")


def merge(target: object, patch: object) -> object:
    """A new value; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def merge_section(section: str, present: object, patch: Mapping[str, object]) -> object:
    """The section with the patch; `present` is canonical. A new value.

    A key of encryption that is removed stays as null: one that is merely absent would be kept, because nobody is shown
    it.
    """
    if section != "storage":
        return merge(present, dict(patch))
    normal = dict(patch)
    buckets = patch.get("buckets")
    if isinstance(buckets, dict):
        normal["buckets"] = {str(name).lower(): _bucket(policy) for name, policy in buckets.items()}
    merged = merge(present, normal)
    given = patch.get("backend_encryption")
    kept = merged.get("backend_encryption") if isinstance(merged, dict) else None
    if isinstance(given, dict) and isinstance(kept, dict):
        kept.update((name, None) for name in _KEYS if name in given and given[name] is None)
    # Lists replace, so nulls in `backends` are there as they were written.
    return merged


def _bucket(policy: object) -> object:
    if isinstance(policy, dict) and "public" in policy and "public_prefixes" not in policy:
        return {**policy, "public_prefixes": None}
    return policy
