from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from deltaglider_proxy.config.duration import Duration, format_duration, parse_duration


class Holder(BaseModel):
    value: Duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("0s", 0),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("5 minutes", 300),
        ("7d", 604_800),
        ("1w", 604_800),
        ("2M", 2 * 30.44 * 86400),
        ("2m", 120),
        ("1y", 365.25 * 86400),
        ("250ms", 0.25),
        ("1500us", 0.0015),
        ("2000ns", 0.000002),
    ],
)
def test_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "s", "1.5h", "-1s", "1h30", "1x", "30S", "1 0s x", "9" * 30 + "y"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400_000)))
def test_format_and_parse_are_inverse(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(("text", "short"), [("300s", "5m"), ("86400s", "1d"), ("90s", "1m30s"), ("0s", "0s")])
def test_formatting_is_short(text: str, short: str) -> None:
    assert format_duration(parse_duration(text)) == short


def test_a_number_needs_its_unit() -> None:
    with pytest.raises(ValidationError, match="unit"):
        Holder.model_validate({"value": 30})


def test_dumps_as_text() -> None:
    assert Holder(value=timedelta(hours=24)).model_dump() == {"value": "1d"}
