import pickle

import pytest
from pydantic import BaseModel, ValidationError

from deltaglider_proxy.config.secret import MASK, Secret


class Holder(BaseModel):
    key: Secret | None = None


def test_no_rendering_shows_the_text() -> None:
    secret = Secret("hunter2")
    holder = Holder(key=secret)
    rendered = [
        repr(secret),
        str(secret),
        f"{secret}",
        repr(holder),
        str(holder.model_dump()),
        holder.model_dump_json(),
    ]
    assert not [text for text in rendered if "hunter2" in text]
    assert holder.model_dump() == {"key": MASK}


def test_reveal_returns_the_text() -> None:
    assert Secret("hunter2").reveal() == "hunter2"


def test_equal_secrets_are_equal_and_hash_alike() -> None:
    assert Secret("ä") == Secret("ä")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_an_empty_secret_is_none() -> None:
    assert not Secret("")
    assert Secret("x")


def test_other_processes_get_the_text() -> None:
    assert pickle.loads(pickle.dumps(Secret("a"))).reveal() == "a"


def test_only_text_is_accepted() -> None:
    assert Holder.model_validate({"key": "a"}).key == Secret("a")
    with pytest.raises(ValidationError, match="valid string"):
        Holder.model_validate({"key": 5})
