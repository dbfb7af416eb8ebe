"""A file of any accepted shape as canonical YAML. References to the environment stay as they are written, whatever the
environment is: values stand in for them only while the rest is checked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from deltaglider_proxy.config import checks, yaml_out
from deltaglider_proxy.config.document import Format, unresolved
from deltaglider_proxy.config.expand import Template, expand
from deltaglider_proxy.config.findings import ConfigError, ErrorKind, Finding, Keys, Severity, dotted
from deltaglider_proxy.config.plain import plain
from deltaglider_proxy.config.render import Tier, redacted, render
from deltaglider_proxy.config.runtime import RuntimeSettings
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.config.shape import canonicalise
from deltaglider_proxy.config.typing_errors import build

_STAND_INS: tuple[object, ...] = ("placeholder", 1, True, 0.5, "1h", "127.0.0.1:9000", "gui", "family", "none")


@dataclass(frozen=True, slots=True)
class Migrated:
    text: str
    dropped: tuple[str, ...]
    """Paths of secrets that the file had and the text has not."""
    findings: tuple[Finding, ...]
    """What lint would say of it."""
    settings: Settings
    """With stand-ins for references."""


class _EverythingSet(Mapping[str, str]):
    @override
    def __getitem__(self, name: str) -> str:
        return "set"

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(())

    @override
    def __len__(self) -> int:
        return 0

    @override
    def __contains__(self, name: object) -> bool:
        return True


def migrate(content: bytes, source: str, form: Format) -> Migrated:
    """Raises ConfigError of kind PARSE."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise ConfigError(ErrorKind.PARSE, source, [Finding(Severity.ERROR, (), "is not UTF-8")]) from failure
    expansion = expand(text, _EverythingSet())
    data, found = unresolved(expansion, form, source)
    references = {keys: yaml_out.template(parts, quote) for keys, parts, quote in found}
    stood_in = _with(data, references, dict.fromkeys(references, 0))
    assert isinstance(stood_in, dict)
    canonical = canonicalise(stood_in)
    if canonical.parse or canonical.rules:
        raise ConfigError(ErrorKind.PARSE, source, [*canonical.parse, *canonical.rules])
    places = {origin: keys for keys, origin in canonical.origins.items()}
    moved = {_moved(keys, places): text for keys, text in references.items()}
    settings, texts = _typed(canonical.data, moved, source)
    # What is no text must not be in quotes, as it has to be in TOML.
    moved |= {keys: Template(text, text) for keys, text in moved.items() if keys not in texts and text.whole}
    tree = plain(settings, moved)
    shown = redacted(tree, moved, Tier.CANONICAL)
    kept = redacted(tree, moved, Tier.PERSISTED)
    findings = [f for f in checks.check(settings, RuntimeSettings(), complete=False) if f.keys not in moved]
    dropped = tuple(dotted(keys) for keys in sorted({*_leaves(kept, ())} - {*_leaves(shown, ())}, key=str))
    return Migrated(render(settings, moved, Tier.CANONICAL), dropped, tuple(findings), settings)


def _with(value: Any, references: Mapping[Keys, str], chosen: Mapping[Keys, int], keys: Keys = ()) -> Any:
    """The values with a stand-in for each reference."""
    if keys in references:
        return _STAND_INS[chosen[keys] % len(_STAND_INS)]
    if isinstance(value, dict):
        return {key: _with(item, references, chosen, (*keys, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_with(item, references, chosen, (*keys, index)) for index, item in enumerate(value)]
    return value


def _moved(keys: Keys, places: Mapping[Keys, Keys]) -> Keys:
    for length in range(len(keys), 0, -1):
        if (place := places.get(keys[:length])) is not None:
            return place + keys[length:]
    return keys


def _typed(data: dict[str, Any], references: Mapping[Keys, str], source: str) -> tuple[Settings, set[Keys]]:
    """Tries stand-ins until each fits the type of its place. Also which places hold text. Raises ConfigError."""
    chosen = dict.fromkeys(references, 0)
    unfit: list[Finding] = []
    for _ in _STAND_INS:
        built = build(_with(data, references, chosen), {})
        if isinstance(built, Settings):
            standing = {keys: _STAND_INS[number % len(_STAND_INS)] for keys, number in chosen.items()}
            return built, {keys for keys, value in standing.items() if isinstance(value, str)}
        unfit = [finding for finding in built if finding.keys in chosen]
        if not unfit:
            raise ConfigError(ErrorKind.PARSE, source, built)
        for finding in unfit:
            chosen[finding.keys] += 1
    raise ConfigError(ErrorKind.PARSE, source, unfit)


def _leaves(value: Any, keys: Keys) -> Iterator[Keys]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*keys, index))
    elif value != "":
        yield keys
