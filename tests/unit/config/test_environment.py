import re

import pytest

from deltaglider_proxy.config.environment import VARIABLES, WITHOUT_EFFECT, Variable, check_names, dotenv
from deltaglider_proxy.config.overlay import boolean, read
from deltaglider_proxy.config.runtime import RuntimeSettings


def test_names_are_unique() -> None:
    names = [variable.name for variable in VARIABLES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_variable_is_described_and_bound(variable: Variable) -> None:
    assert variable.description.endswith(".")
    assert variable.category
    if variable.field:
        assert variable.info is not None
    if variable.category != WITHOUT_EFFECT:
        assert variable.sample or variable.runtime_field is not None


def test_every_runtime_setting_has_a_variable() -> None:
    assert {variable.runtime_field for variable in VARIABLES} - {None} == set(RuntimeSettings.model_fields)


@pytest.mark.parametrize("variable", [v for v in VARIABLES if v.field and v.sample], ids=lambda v: v.name)
def test_samples_are_accepted(variable: Variable) -> None:
    if variable.name != "DGP_TRUSTED_PROXY_CIDRS":
        read(variable, variable.sample)


def test_dotenv_lists_every_variable_with_its_description() -> None:
    text = dotenv()
    for variable in VARIABLES:
        assert variable.name.replace("<NAME>", "ARCHIVE") + "=" in text
    assert "# Limits\n" in text
    for line in text.splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[A-Z0-9_]+=.*", line)


def test_unknown_names_give_one_warning_with_the_nearest() -> None:
    [finding] = check_names({"DGP_CACHEMB": "1", "DGP_XYZZY": "1", "OTHER": "1", "DGP_CACHE_MB": "1"})
    assert "DGP_CACHEMB (did you mean DGP_CACHE_MB?)" in finding.message
    assert "DGP_XYZZY" in finding.message
    assert "OTHER" not in finding.message


def test_names_of_backends_are_known() -> None:
    assert list(check_names({"DGP_BACKEND_EU_WEST_ENCRYPTION_KEY": "a", "DGP_BACKEND_X_SSE_KMS_KEY_ID": "b"})) == []


def test_names_without_effect_give_one_warning() -> None:
    [finding] = check_names({"DGP_CODEC_STALL_SECS": "1", "DGP_REFERENCE_LOCK_TTL_SECS": "1"})
    assert "DGP_CODEC_STALL_SECS, DGP_REFERENCE_LOCK_TTL_SECS" in finding.message


def test_switches_for_tests_are_listed() -> None:
    [finding] = check_names({"DGP_TEST_CRASH": "1"})
    assert "DGP_TEST_CRASH" in finding.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        (" 1 ", True),
        ("YES", True),
        ("On", True),
        ("False", False),
        ("0", False),
        ("no", False),
        ("off", False),
    ],
)
def test_booleans(text: str, value: bool) -> None:
    assert boolean(text) is value


@pytest.mark.parametrize("text", ["", "y", "2", "truee", "enabled"])
def test_what_is_no_boolean(text: str) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        boolean(text)
