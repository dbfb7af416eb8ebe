"""The environment and the flags as layers over the file: each variable overrides its own field and nothing else."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from deltaglider_proxy.config.advanced import is_log_filter
from deltaglider_proxy.config.backends import environment_suffix
from deltaglider_proxy.config.environment import VARIABLES, Variable, check_names, present
from deltaglider_proxy.config.findings import Finding, Keys, warning
from deltaglider_proxy.config.runtime import RuntimeSettings

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,30}")
_MINIMA: Mapping[str, int] = {"multipart_part_size": 5 << 20, "parity_max_objects": 1000}
_MODES = (("aes256-gcm-proxy", "key", "ENCRYPTION_KEY"), ("sse-kms", "kms_key_id", "SSE_KMS_KEY_ID"))


@dataclass(slots=True)
class Layered:
    """Plain values with all layers applied."""

    data: dict[str, Any]
    overrides: dict[Keys, str] = field(default_factory=dict)
    """What was overridden, by what: `env:DGP_X` or `cli:--listen`."""
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    warnings: list[Finding] = field(default_factory=list)

    def put(self, keys: Keys, value: object, origin: str) -> None:
        node = self.data
        for key in keys[:-1]:
            inner = node.get(str(key))
            if not isinstance(inner, dict):
                inner = node[str(key)] = {}
            node = inner
        node[str(keys[-1])] = value
        self.overrides[keys] = origin


def apply(data: dict[str, Any], environ: Mapping[str, str], listen: str | None) -> Layered:
    """`data` must be valid on its own, and is changed. Unusable values are reported and ignored, never fatal here."""
    environ = present(environ)
    layered = Layered(data)
    values: dict[str, object] = {}
    for variable, text in _given(VARIABLES, environ):
        if variable.keys[:2] == ("storage", "backend"):
            continue
        if variable.name == "DGP_TRUSTED_PROXY_CIDRS":
            values["trusted_proxy_cidrs"] = _networks(text, layered)
            continue
        try:
            value = read(variable, text)
        except ValueError as problem:
            layered.warnings.append(warning((), f"{variable.name} is ignored: {problem}"))
            continue
        if variable.runtime_field is not None:
            values[variable.runtime_field] = value
        elif variable.keys:
            layered.put(variable.keys, value, f"env:{variable.name}")
    if "node_id" not in values and "HOSTNAME" in environ:
        values["node_id"] = environ["HOSTNAME"]
    layered.runtime = RuntimeSettings.model_validate(values)
    _apply_backends(layered, environ)
    _apply_encryption(layered, environ)
    if listen is not None:
        layered.put(("advanced", "listen_addr"), listen, "cli:--listen")
    layered.warnings += check_names(environ)
    return layered


def _given(variables: Iterable[Variable], environ: Mapping[str, str]) -> Iterator[tuple[Variable, str]]:
    """Variables that are set and bound to a field."""
    for variable in variables:
        text = environ.get(variable.name)
        if text is None or not variable.field:
            continue
        former_name = variable.name == "DGP_ADMIN_PASSWORD_HASH" and "DGP_BOOTSTRAP_PASSWORD_HASH" in environ
        # The log filter has an order of sources of its own, in which a bad one passes on to the next.
        bad_filter = variable.name == "DGP_LOG_LEVEL" and not is_log_filter(text)
        if not former_name and not bad_filter:
            yield variable, text


def read(variable: Variable, text: str) -> object:
    """The plain value of a variable. Raises ValueError for a bad number, boolean or choice; text is checked later."""
    info = variable.info
    assert info is not None
    kinds = set(_kinds(info.annotation))
    value: object = text
    if bool in kinds:
        value = boolean(text)
    elif int in kinds:
        if not _INTEGER.fullmatch(text.strip()):
            raise ValueError(f"{text!r} is no whole number")
        value = int(text)
    elif float in kinds:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is no number") from None
    if value is text and not any(get_origin(kind) is Literal for kind in kinds):
        return text
    return _checked(variable, info, value, text)


def boolean(text: str) -> bool:
    """Raises ValueError."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _kinds(annotation: object) -> Iterator[object]:
    if get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from _kinds(inner)


def _checked(variable: Variable, info: FieldInfo, value: object, text: str) -> object:
    kind: Any = info.annotation
    for constraint in info.metadata:
        kind = Annotated[kind, constraint]
    try:
        TypeAdapter[object](kind).validate_python(value, strict=True)
    except ValidationError as failure:
        [detail, *_] = failure.errors(include_url=False)
        raise ValueError(f"{text!r}: {detail['msg'].lower().replace('input ', '')}") from None
    least = _MINIMA.get(variable.runtime_field or "")
    if least is not None and isinstance(value, int) and value < least:
        raise ValueError(f"{text!r}: should be at least {least}")
    return value


def _networks(text: str, layered: Layered) -> list[str]:
    """The usable entries of a comma list. None left means that no peer is trusted, not that all are."""
    usable: list[str] = []
    for part in text.replace(" ", "").split(","):
        try:
            ip_network(part, strict=False)
        except ValueError:
            message = f"DGP_TRUSTED_PROXY_CIDRS: the entry {part!r} is ignored, because it is no network"
            layered.warnings.append(warning((), message, "write networks such as 10.0.0.0/8"))
        else:
            usable.append(part)
    return usable


def _apply_backends(layered: Layered, environ: Mapping[str, str]) -> None:
    storage = layered.data.get("storage") or {}
    own = [variable for variable in VARIABLES if variable.keys[:2] == ("storage", "backend")]
    given = [(variable, text) for variable, text in _given(own, environ)]
    values: dict[str, tuple[object, str]] = {}
    for variable, text in given:
        try:
            values[str(variable.keys[-1])] = read(variable, text), f"env:{variable.name}"
        except ValueError as problem:
            layered.warnings.append(warning((), f"{variable.name} is ignored: {problem}"))
    if storage.get("backends"):
        _apply_to_entries(layered, storage["backends"], values)
        unused = [name for name in ("DGP_S3_ENDPOINT", "DGP_S3_REGION", "DGP_S3_PATH_STYLE") if name in environ]
        unused += ["DGP_DATA_DIR"] if "DGP_DATA_DIR" in environ else []
        if unused:
            message = f"{', '.join(unused)}: no effect, because storage.backends is used"
            layered.warnings.append(warning((), message, "remove them"))
        return
    place: Keys = ("storage", "backend")
    is_s3 = (storage.get("backend") or {}).get("type") == "s3"
    if not is_s3 and ("endpoint" in values or "region" in values):
        _, origin = values["endpoint" if "endpoint" in values else "region"]
        layered.put(place, {"type": "s3"}, origin)
        is_s3 = True
    if is_s3:
        for name, (value, origin) in values.items():
            layered.put((*place, name), value, origin)
    elif "DGP_DATA_DIR" in environ:
        layered.put((*place, "type"), "filesystem", "env:DGP_DATA_DIR")
        layered.put((*place, "path"), environ["DGP_DATA_DIR"], "env:DGP_DATA_DIR")


def _apply_to_entries(
    layered: Layered, entries: list[dict[str, object]], values: Mapping[str, tuple[object, str]]
) -> None:
    """Entries without credentials share one pair, and permission to be local counts for all."""
    for index, entry in enumerate(entries):
        if entry.get("type") != "s3":
            continue
        names = ["allow_local"] if values.get("allow_local", (False, ""))[0] else []
        if not entry.get("access_key_id") and not entry.get("secret_access_key"):
            names += ["access_key_id", "secret_access_key"]
        for name in names:
            if name in values:
                entry[name], origin = values[name]
                layered.overrides["storage", "backends", index, name] = origin


def _apply_encryption(layered: Layered, environ: Mapping[str, str]) -> None:
    """Keys by mode; the environment never changes a mode."""
    storage = layered.data.get("storage") or {}
    places: list[tuple[Keys, dict[str, object], str]] = []
    if not storage.get("backends"):
        if isinstance(storage.get("backend_encryption"), dict):
            places.append((("storage", "backend_encryption"), storage["backend_encryption"], "DGP_"))
    else:
        for index, entry in enumerate(storage["backends"]):
            if isinstance(entry.get("encryption"), dict):
                prefix = "DGP_" if entry["name"] == "default" else f"DGP_BACKEND_{environment_suffix(entry['name'])}_"
                places.append((("storage", "backends", index, "encryption"), entry["encryption"], prefix))
    for keys, encryption, prefix in places:
        for mode, name, suffix in _MODES:
            if encryption.get("mode") == mode and prefix + suffix in environ:
                encryption[name] = environ[prefix + suffix]
                layered.overrides[*keys, name] = f"env:{prefix}{suffix}"
