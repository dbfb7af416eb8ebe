"""One shape for all the ways in which a file may be written: flat keys, shorthands and bucket names in any case.

Works on plain values before they are typed, and remembers where each part came from, so that an error names the key
that the operator wrote.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deltaglider_proxy.config.findings import Finding, Keys, closest, error
from deltaglider_proxy.config.settings import Settings, section_names
from deltaglider_proxy.config.storage import BucketShorthands, StorageShorthands

_ALIASES: Mapping[str, Keys] = {
    "admission_blocks": ("admission", "blocks"),
    "admin_password_hash": ("advanced", "bootstrap_password_hash"),
}
_COMPANIONS = ("region", "force_path_style", "access_key_id", "secret_access_key")


@dataclass(slots=True)
class Canonical:
    """Sectioned plain values. `parse` and `rules` hold the errors of the two classes."""

    data: dict[str, object] = field(default_factory=dict)
    origins: dict[Keys, Keys] = field(default_factory=dict)
    """Where a part stands in the file, for parts that were moved."""
    parse: list[Finding] = field(default_factory=list)
    rules: list[Finding] = field(default_factory=list)

    def authored(self, keys: Keys) -> Keys:
        """The place in the file of what stands at `keys` here."""
        for length in range(len(keys), 0, -1):
            if (origin := self.origins.get(keys[:length])) is not None:
                return origin + keys[length:]
        return keys


def flat_keys() -> dict[str, Keys]:
    """Keys of the flat shape with their place in the sectioned one."""
    keys: dict[str, Keys] = dict(_ALIASES)
    for section in section_names():
        if section != "admission":
            model = Settings.model_fields[section].annotation
            assert model is not None
            keys |= {name: (section, name) for name in model.model_fields}
    return keys


def canonicalise(data: Mapping[str, object]) -> Canonical:
    """Errors never stop it: what cannot be understood is left out and reported."""
    result = Canonical()
    sections = set(section_names())
    flat = flat_keys()
    sectioned = [key for key in data if key in sections]
    loose = [key for key in data if key in flat]
    if sectioned and loose:
        message = f"{_list(loose)} of the flat shape cannot stand beside the sections {_list(sectioned)}"
        result.parse.append(error((loose[0],), message, f"move it to {'.'.join(map(str, flat[loose[0]]))}"))
    for key, value in data.items():
        if key in sections or key == "defaults":
            if value is not None or key == "defaults":
                result.data[key] = _copy(value)
        elif key in flat:
            _move(result, key, flat[key], value)
        else:
            result.parse.append(_unknown(key, [*sections, "defaults"] if sectioned else [*sections, "defaults", *flat]))
    storage = result.data.get("storage")
    if isinstance(storage, dict):
        _expand_backend(storage, result)
        _expand_buckets(storage, result)
    return result


def _list(keys: list[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _unknown(key: str, known: list[str]) -> Finding:
    if key == "encryption_key":
        return error((key,), "unknown key", "encryption belongs to its backend, see storage.backend_encryption")
    return error((key,), "unknown key", closest(key, known) or f"the sections are {', '.join(section_names())}")


def _copy(value: object) -> object:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _move(result: Canonical, key: str, target: Keys, value: object) -> None:
    section, name = str(target[0]), str(target[1])
    part = result.data.setdefault(section, {})
    if not isinstance(part, dict):
        return  # The mixture of shapes is reported already.
    if name in part and target in result.origins:
        other = result.origins[target][0]
        result.parse.append(error((key,), f"means the same as `{other}`, which is set too", "remove one of them"))
    part[name] = _copy(value)
    result.origins[target] = (key,)


def _expand_backend(storage: dict[str, object], result: Canonical) -> None:
    if not any(key in storage for key in StorageShorthands.model_fields):
        return
    chosen = [key for key in ("s3", "filesystem") if storage.get(key) is not None]
    companions = {key: storage.pop(key) for key in _COMPANIONS if key in storage}
    values = {key: storage.pop(key, None) for key in ("s3", "filesystem")}
    if companions and "s3" not in chosen:
        for key in companions:
            message = "belongs to the shorthand storage.s3, which is not used"
            result.rules.append(error(("storage", key), message, "move it into storage.backend"))
    if len(chosen) == 2:
        result.rules.append(error(("storage", "filesystem"), "cannot stand beside storage.s3", "keep one of them"))
        return
    if not chosen:
        return
    [key] = chosen
    if storage.get("backend") is not None:
        message = f"cannot stand beside storage.backend, which it is a shorthand of (`{key}`)"
        result.rules.append(error(("storage", key), message, "keep one of them"))
        return
    target: Keys = ("storage", "backend")
    result.origins[target] = ("storage", key)
    if key == "filesystem":
        storage["backend"] = {"type": "filesystem", "path": values[key]}
        result.origins[(*target, "path")] = ("storage", key)
        return
    storage["backend"] = {"type": "s3", "endpoint": values[key], **companions}
    result.origins[(*target, "endpoint")] = ("storage", key)
    for companion in companions:
        result.origins[(*target, companion)] = ("storage", companion)


def _expand_buckets(storage: dict[str, object], result: Canonical) -> None:
    buckets = storage.get("buckets")
    if not isinstance(buckets, dict):
        return
    canonical: dict[str, object] = {}
    for name, policy in buckets.items():
        lower = name.lower()
        authored: Keys = (*result.authored(("storage", "buckets")), name)
        if lower in canonical:
            message = f"is the same bucket as another key, because names are compared in lower case ({lower})"
            result.rules.append(error(authored, message, "merge the two"))
            continue
        keys: Keys = ("storage", "buckets", lower)
        result.origins[keys] = authored
        canonical[lower] = policy
        if isinstance(policy, dict) and next(iter(BucketShorthands.model_fields)) in policy:
            _expand_public(policy, keys, authored, result)
    storage["buckets"] = canonical


def _expand_public(policy: dict[str, object], keys: Keys, authored: Keys, result: Canonical) -> None:
    public = policy.pop("public")
    if public is not None and not isinstance(public, bool):
        result.parse.append(error((*authored, "public"), "must be true or false", value=public))
    if public is not True:
        return
    prefixes = policy.get("public_prefixes")
    if prefixes not in (None, [], [""]):
        message = "cannot stand beside public_prefixes, because it makes the whole bucket public"
        result.rules.append(error((*authored, "public"), message, "keep one of them"))
        return
    policy["public_prefixes"] = [""]
    result.origins[(*keys, "public_prefixes")] = (*authored, "public")
    result.origins[(*keys, "public_prefixes", 0)] = (*authored, "public")
