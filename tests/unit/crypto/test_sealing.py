import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deltaglider_proxy.crypto.sealing import CannotUnseal, Sealed, Sealer, derive, new_sealer, unwrap

SEALER = Sealer(b"k" * 32)


@given(st.text(), st.text(max_size=40))
def test_what_is_sealed_opens_at_its_place_only(text: str, place: str) -> None:
    sealed = SEALER.seal(text, place)
    assert SEALER.unseal(sealed, place) == text
    assert sealed != SEALER.seal(text, place)
    with pytest.raises(CannotUnseal):
        SEALER.unseal(sealed, place + "x")
    with pytest.raises(CannotUnseal):
        Sealer(b"o" * 32).unseal(sealed, place)


@example(b"\x01")
@given(st.binary(max_size=80))
def test_anything_else_does_not_open(data: bytes) -> None:
    with pytest.raises(CannotUnseal):
        SEALER.unseal(data, "here")


@given(st.integers(0, 200))
def test_a_changed_byte_is_found(position: int) -> None:
    sealed = bytearray(SEALER.seal("a text of some length", "here"))
    sealed[position % len(sealed)] ^= 1
    with pytest.raises(CannotUnseal):
        SEALER.unseal(bytes(sealed), "here")


def test_the_data_key_is_wrapped() -> None:
    sealer, wrapping = new_sealer(), os.urandom(32)
    again = unwrap(sealer.wrapped(wrapping), wrapping)
    assert again.unseal(sealer.seal("x", "p"), "p") == "x"
    assert again.derived_key("a") == sealer.derived_key("a") != sealer.derived_key("b")
    with pytest.raises(CannotUnseal):
        unwrap(sealer.wrapped(wrapping), os.urandom(32))
    assert derive(b"s", b"1", "p") != derive(b"s", b"2", "p")


def test_nothing_is_shown() -> None:
    sealed = Sealed(SEALER, SEALER.seal("hidden", "p"), "p")
    assert (sealed.reveal(), "hidden" in repr(sealed), "k" * 8 in repr(SEALER)) == ("hidden", False, False)
