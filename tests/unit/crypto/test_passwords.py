from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.crypto.passwords import (
    NotAHash,
    WeakPassword,
    check_policy,
    generate_password,
    hash_password,
    parse_hash,
    verify_password,
)

HASH = "$2b$04$abcdefghijklmnopqrstuuTnQHg9s5mCzBbFQWFmo4Gm0EGSyQ6Vi"


@pytest.mark.parametrize(
    ("password", "accepted"),
    [
        ("a" * 11, False),
        ("ab" * 6, True),
        ("ab" * 36, True),
        ("ab" * 36 + "c", False),
        ("é" * 36, True),
        ("é" * 37, False),
        ("PasswordPassword", False),
        ("a b c d e f g h", True),
    ],
)
def test_policy(password: str, *, accepted: bool) -> None:
    if accepted:
        check_policy(password)
    else:
        with pytest.raises(WeakPassword) as caught:
            check_policy(password)
        assert password not in str(caught.value)


def test_hash_and_verify() -> None:
    hashed = hash_password("correct horse battery", cost=4)
    assert verify_password("correct horse battery", hashed)
    assert not verify_password("correct horse batterx", hashed)
    assert not verify_password("", hashed)


def test_old_passwords_that_are_too_long_still_open() -> None:
    import bcrypt

    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert verify_password("x" * 90, hashed)


@pytest.mark.parametrize("form", [HASH, HASH.replace("$2b", "$2a"), HASH.replace("$2b", "$2y")])
def test_forms_of_a_hash(form: str) -> None:
    assert parse_hash(f"  {form}\n", "X") == form
    assert parse_hash(b64encode(form.encode()).decode(), "X") == form


@given(st.text())
def test_everything_else_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(NotAHash) as caught:
        parse_hash(text, "DGP_BOOTSTRAP_PASSWORD_HASH")
    assert str(caught.value).startswith("DGP_BOOTSTRAP_PASSWORD_HASH is no bcrypt hash")
    if len(text.strip()) > 30:
        assert text.strip() not in str(caught.value)


def test_generated_passwords_are_accepted_and_differ() -> None:
    made = {generate_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check_policy(password)
