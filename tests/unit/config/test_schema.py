import json

import jsonschema_rs
import pytest
from jsonschema_rs import Draft202012Validator

from deltaglider_proxy.config.schema import DIALECT, schema, section_schema, text
from deltaglider_proxy.config.settings import Settings, section_names
from deltaglider_proxy.config.yaml_text import parse
from tests.unit.config import samples
from tests.unit.config.json_schema import is_valid
from tests.unit.config.test_lint import VALIDATION, WARNINGS
from tests.unit.config.test_unknown_keys import NEAREST


@pytest.mark.parametrize("name", samples.VALID)
def test_accepts_what_lint_accepts(name: str) -> None:
    value = parse(samples.VALID[name]).value
    if name != "empty sections":
        assert is_valid(schema(), {} if value is None else value)


@pytest.mark.parametrize("text", [text for text in WARNINGS if ".nan" not in text])
def test_accepts_what_lint_warns_about(text: str) -> None:
    assert is_valid(schema(), parse(text).value)


@pytest.mark.parametrize(
    "text",
    [
        "storage: {backend: {type: disk}}",
        "storage: {backend: {type: filesystem}}",
        "storage: {backend: {type: s3, path: x}}",
        "storage: {buckets: {abc: {quota_bytes: -1}}}",
        "storage: {buckets: [abc]}",
        "access: {iam_mode: x}",
        "advanced: {workers: 0}",
        "advanced: {gc_grace: 5}",
        "advanced: {gc_grace: 5 parsecs}",
        "advanced: {listen_addr: localhost}",
        "advanced: {cache_size_mb: '1'}",
        "admission: {blocks: [{name: a b, action: deny}]}",
        "admission: {blocks: [{name: a, action: {type: reject, status: 200}}]}",
        "listen_addr: 127.0.0.1:1\nstorage: {}",
        "[]",
        "a",
    ],
)
def test_rejects(text: str) -> None:
    assert not is_valid(schema(), parse(text).value)


@pytest.mark.parametrize(
    "text",
    [
        "storage: {backend: {type: '${env:T}'}}",
        "advanced: {workers: '${env:N}', fsync: '${env:F:-true}', gc_grace: '${env:G}', listen_addr: '${env:A}'}",
        "access: {iam_mode: '${env:M}'}",
        "storage: {buckets: {abc: {max_delta_ratio: '${env:R:-0.5}'}}}",
    ],
)
def test_a_reference_may_stand_for_every_scalar(text: str) -> None:
    assert is_valid(schema(), parse(text).value)


def test_describes_itself() -> None:
    document = json.loads(text())
    assert document == schema()
    assert document["$schema"] == DIALECT
    assert document["$id"]
    assert text().endswith("}\n")


def test_gives_defaults() -> None:
    advanced = schema()["$defs"]["Advanced"]["properties"]
    assert advanced["listen_addr"]["default"] == "0.0.0.0:9000"
    assert advanced["max_object_size"]["default"] == 104_857_600
    assert advanced["gc_grace"]["default"] == "1d"
    assert set(advanced) == set(Settings.model_fields["advanced"].annotation.model_fields)  # type: ignore[union-attr] # it is a model


def test_holds_no_unresolved_reference() -> None:
    document = schema()
    names = {part.split('"')[0] for part in json.dumps(document).split("#/$defs/")[1:]}
    assert names <= set(document["$defs"])


def test_the_rejected_samples_are_no_accident_of_the_validator() -> None:
    accepted = [sample for sample in VALIDATION if is_valid(schema(), parse(sample).value)]
    assert len(accepted) > len(VALIDATION) / 2


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    """Of somebody else, as editors use."""
    return Draft202012Validator(schema())


@pytest.mark.parametrize("name", [name for name in samples.VALID if name != "empty sections"])
def test_another_validator_accepts_what_lint_accepts(validator: Draft202012Validator, name: str) -> None:
    value = parse(samples.VALID[name]).value
    assert validator.is_valid({} if value is None else value)


@pytest.mark.parametrize("text", NEAREST)
def test_another_validator_refuses_unknown_keys(validator: Draft202012Validator, text: str) -> None:
    assert not validator.is_valid(parse(text).value)


@pytest.mark.parametrize("section", list(section_names()))
def test_a_section_by_itself(section: str) -> None:
    alone = Draft202012Validator(section_schema(section))
    whole = parse(samples.EVERYTHING).value
    assert isinstance(whole, dict)
    assert alone.is_valid(whole[section])
    assert not alone.is_valid({"zzz": 1})


def test_the_meta_schema_holds() -> None:
    assert jsonschema_rs.meta.is_valid(schema())
