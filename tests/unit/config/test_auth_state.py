import pytest

from deltaglider_proxy.config.access import Access
from deltaglider_proxy.config.auth_state import OpenAccess, SignedRequests, Undecided, classify
from deltaglider_proxy.config.secret import Secret


def test_a_pair_signs() -> None:
    state = classify(Access(access_key_id="AK", secret_access_key=Secret("s")))
    assert state == SignedRequests("AK", Secret("s"), overrides_open_access=False)


def test_a_pair_comes_before_open_access() -> None:
    state = classify(Access(access_key_id="AK", secret_access_key=Secret("s"), authentication="none"))
    assert state == SignedRequests("AK", Secret("s"), overrides_open_access=True)


@pytest.mark.parametrize("mode", ["none", " NONE ", "None"])
def test_open_access_must_be_asked_for(mode: str) -> None:
    assert classify(Access(authentication=mode)) == OpenAccess()


@pytest.mark.parametrize(
    ("access", "word"),
    [
        (Access(), "neither"),
        (Access(access_key_id="AK"), "half"),
        (Access(secret_access_key=Secret("s")), "half"),
        (Access(access_key_id="", secret_access_key=Secret("")), "neither"),
        (Access(access_key_id="AK", secret_access_key=Secret("")), "half"),
        (Access(authentication="basic"), "'basic'"),
    ],
)
def test_anything_else_is_undecided_and_names_both_remedies(access: Access, word: str) -> None:
    state = classify(access)
    assert isinstance(state, Undecided)
    assert word in state.reason
    assert "DGP_ACCESS_KEY_ID" in state.reason
    assert "DGP_AUTHENTICATION=none" in state.reason
