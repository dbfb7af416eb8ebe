"""A misspelt key is an error wherever it stands: silently ignored settings are worse than a refused start."""

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deltaglider_proxy.config.findings import ErrorKind
from deltaglider_proxy.config.load import lint
from deltaglider_proxy.config.schema import schema
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.config.typing_errors import at
from deltaglider_proxy.config.yaml_text import parse
from tests.unit.config import samples
from tests.unit.config.json_schema import is_valid

NEAREST = {
    "storag: {}": "storage",
    "listen_adr: 127.0.0.1:1": "listen_addr",
    "storage: {bucket: {}}": "buckets",
    "storage: {filesystm: x}": "filesystem",
    "storage: {backend: {type: filesystem, pth: x, path: y}}": "path",
    "storage: {backend: {type: s3, endpont: x}}": "endpoint",
    "storage: {backend: {type: s3, path_style: true}}": "force_path_style",
    "storage: {backends: [{name: a, type: s3, encrypton: {}}]}": "encryption",
    "storage: {backends: [{name: a, type: s3, encryption: {mode: sse-kms, kms_key: a}}]}": "kms_key_id",
    "storage: {backend_encryption: {legacy_keys: x}}": "legacy_key",
    "storage: {buckets: {abc: {compresion: true}}}": "compression",
    "storage: {buckets: {abc: {pubic: true}}}": "public",
    "storage: {replication: {rules: [{name: a, source: {bucket: b, prefx: c}, destination: {bucket: d}}]}}": "prefix",
    "storage: {lifecycle: {rule: []}}": "rules",
    "storage: {lifecycle: {rules: [{name: a, bucket: b, action: {type: retain-newest, cont: 1, count: 1}}]}}": "count",
    "access: {acces_key_id: a}": "access_key_id",
    "access: {iam_users: [{name: a, access_key_id: b, permisions: []}]}": "permissions",
    "admission: {block: []}": "blocks",
    "admission: {blocks: [{name: a, action: deny, match: {methods: [GET]}}]}": "method",
    "admission: {blocks: [{name: a, action: {type: reject, status: 403, mesage: x}}]}": "message",
    "advanced: {CACHE_SIZE_MB: 1}": "cache_size_mb",
    "advanced: {tls: {enable: true}}": "enabled",
    "advanced: {event_delivery: {webhook: x}}": "webhook_url",
    "advanced: {event_delivery: {slack_routes: [{chanel: x, channel: y}]}}": "channel",
}


@pytest.mark.parametrize("text", NEAREST)
def test_the_nearest_key_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    report = lint(path, {})
    assert report.kind is ErrorKind.PARSE
    [finding] = report.errors
    assert finding.message == "unknown key"
    assert finding.remedy == f"did you mean `{NEAREST[text]}`?"
    assert (finding.line, finding.value) == (1, None)
    assert not is_valid(schema(), parse(text).value)


def mappings(value: object, keys: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [keys, *(found for key, item in value.items() for found in mappings(item, (*keys, key)))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in mappings(item, (*keys, index))]
    return []


FREE = {"buckets", "webhook_headers", "conditions", "IpAddress"}
PLACES = [keys for keys in mappings(parse(samples.EVERYTHING).value) if not (keys and keys[-1] in FREE)]


@pytest.mark.parametrize("keys", PLACES, ids=str)
def test_at_every_depth(tmp_path: Path, keys: tuple[str | int, ...]) -> None:
    data = parse(samples.EVERYTHING).value
    part = at(data, keys)
    assert isinstance(part, dict)
    part["zzz"] = "x"
    path = tmp_path / "c.yaml"
    path.write_text(as_yaml(data))
    report = lint(path, {})
    assert report.kind is ErrorKind.PARSE
    assert [(finding.keys, finding.message) for finding in report.errors] == [((*keys, "zzz"), "unknown key")]
    assert not is_valid(schema(), data)


def as_yaml(value: object) -> str:
    """Flow style, in which every text is quoted."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_yaml(key)}: {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def models(annotation: Any) -> set[type[BaseModel]]:
    """Every model that can be reached from a type."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = [models(field.annotation) for field in annotation.model_fields.values()]
        return {annotation}.union(*inner)
    if origin is Literal or annotation is NoneType:
        return set()
    assert origin is None or isinstance(origin, type) or origin in (Annotated, Union, UnionType)
    return set().union(*(models(item) for item in get_args(annotation)))


MODELS = sorted(models(Settings), key=lambda model: str(model))


def test_the_sample_reaches_the_usual_parts() -> None:
    assert len(PLACES) > 30
    assert len(MODELS) > 30


@pytest.mark.parametrize("model", MODELS)
def test_every_part_is_closed_strict_and_frozen(model: type[BaseModel]) -> None:
    config = model.model_config
    assert (config.get("extra"), config.get("strict"), config.get("frozen")) == ("forbid", True, True)


@pytest.mark.parametrize(
    ("name", "field"),
    [(f"{model.__name__}.{name}", field) for model in MODELS for name, field in model.model_fields.items()],
)
def test_every_field_is_described(name: str, field: FieldInfo) -> None:
    assert field.description, name
