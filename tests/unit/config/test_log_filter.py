"""The configuration may import nothing of telemetry, so that both judge filters alike is a matter of this test."""

from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.config.advanced import is_log_filter
from deltaglider_proxy.telemetry.log_filter import FilterError, parse

PIECES = st.sampled_from(
    ["info", "WARN", "5", "6", "a", "a::b", "=", ",", " ", "!", "[", "verbose", "off", "a=info", ""]
)


@given(st.lists(PIECES, max_size=6).map("".join))
def test_both_accept_the_same(text: str) -> None:
    try:
        parse(text)
    except FilterError:
        assert not is_log_filter(text)
    else:
        assert is_log_filter(text)
