"""Whatever types a document or a patch has: it is used, or refused with reasons; nothing else happens."""

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaglider_proxy.access.declarative.desired import InvalidIam, desired_of
from deltaglider_proxy.config import yaml_out
from deltaglider_proxy.config.diff import diff
from deltaglider_proxy.config.findings import ConfigError, Keys
from deltaglider_proxy.config.load import LoadedConfig, Sources, load_text
from deltaglider_proxy.config.preserve import BootstrapHashChanged
from deltaglider_proxy.config.render import Tier, render
from deltaglider_proxy.config.restart import restart_findings
from deltaglider_proxy.config.section_patch import NotAPatch, patched
from deltaglider_proxy.config.settings import Settings, section_names
from deltaglider_proxy.config.storage import StorageShorthands
from deltaglider_proxy.config.typing_errors import at
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from tests.unit.config.test_changing import FULL

SOURCES = Sources(None, {"KEY": "k" * 8, "DGP_AUTHENTICATION": "none"}, None)
MORE = """\
  tls: {enabled: false, cert_path: a, key_path: b}
admission:
  blocks:
  - {name: one, match: {method: [GET], source_ip_list: [10.0.0.0/8]}, action: deny}
"""
RUNNING = load_text(FULL + MORE, SOURCES)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["", "${env:KEY}", "${env:NONE}", "***", "s3", "none", "aes256-gcm-proxy", 0, 1.5, 1 << 80]),
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4) | st.sampled_from(["name", "type", "mode", "key", "public"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def places(value: object, keys: Keys) -> Iterator[Keys]:
    yield keys
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*keys, index))


def fields(section: str) -> list[str]:
    model = Settings.model_fields[section].annotation
    assert model is not None
    return [*model.model_fields, *(StorageShorthands.model_fields if section == "storage" else ())]


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """The running document with other values in up to three places."""
    data: dict[str, Any] = deepcopy(dict(RUNNING.file_data))
    for _ in range(draw(st.integers(1, 3))):
        keys = draw(st.sampled_from([keys for keys in places(data, ()) if keys]))
        parent: Any = at(data, keys[:-1])
        parent[keys[-1]] = draw(anything)
    return data


def survives(text: str, running: LoadedConfig | None) -> None:
    try:
        loaded = load_text(text, SOURCES, running)
    except (ConfigError, BootstrapHashChanged) as error:
        assert str(error)  # noqa: PT017 - either outcome is right, this one needs a reason
        return
    with suppress(CannotStart):
        settings_of(loaded, verbose=False)
    with suppress(InvalidIam):
        desired_of(loaded.file_settings.access)
    before = RUNNING
    diff(before.file_settings, loaded.file_settings, b"key", (before.references, loaded.references))
    list(restart_findings(before.settings, loaded.settings))
    for tier in Tier:
        render(loaded.file_settings, loaded.references, tier)


@pytest.mark.parametrize("section", [*section_names()])
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_patch_of_any_types(section: str, data: st.DataObject) -> None:
    patch = data.draw(st.dictionaries(st.sampled_from(fields(section)), anything, min_size=1, max_size=3) | anything)
    try:
        text = patched(RUNNING, section, patch)
    except NotAPatch:
        return
    survives(text, RUNNING)


@given(spoilt())
@settings(max_examples=200, deadline=None)
def test_a_document_of_any_types(document: dict[str, Any]) -> None:
    text = yaml_out.dump(document)
    survives(text, RUNNING)
    survives(text, None)


@pytest.mark.parametrize("value", [1.5, True, 5, "ana", {"name": "ana"}, [1, [2], {"name": ["ana"]}, {"name": {}}]])
@pytest.mark.parametrize("name", ["iam_users", "auth_providers"])
def test_lists_with_secrets_that_are_none(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        load_text(patched(RUNNING, "access", {name: value}), SOURCES, RUNNING)
