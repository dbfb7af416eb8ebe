"""JSON merge patch: objects merge, everything else replaces, null removes. Source: RFC 7396."""


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
