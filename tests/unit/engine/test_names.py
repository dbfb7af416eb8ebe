import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.engine import names
from deltaglider_proxy.engine.family import deltaspace_of, family_of

keys = st.text(min_size=1, max_size=40) | st.text(max_size=20).map(lambda t: ".deltaglider/" + t)


@given(keys)
def test_every_client_key_has_a_storage_key_of_its_own(key: str) -> None:
    assert names.to_client(names.to_storage(key)) == key
    assert not names.to_storage(key).startswith(names.INTERNAL)


@given(keys, keys)
def test_escaping_keeps_the_order(one: str, other: str) -> None:
    a, b = one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    x, y = (
        names.to_storage(one).encode("utf-8", "surrogatepass"),
        names.to_storage(other).encode("utf-8", "surrogatepass"),
    )
    assert (a < b) == (x < y)


def test_internal_keys_are_no_clients() -> None:
    for key in (names.INTERNAL + "refs/a/b", ".deltaglider/config.db"):
        assert names.to_client(key) is None


def test_markers_know_what_they_are_about_and_no_name_is_used_twice() -> None:
    name = names.INTERNAL + names.reference("d", "ab" * 32)
    assert names.condemned_target(names.condemned(name)) == name
    assert names.condemned_target(name) is None
    assert names.condemned(name) != names.condemned(name)
    assert names.reference("d", "ab" * 32) != names.reference("d", "ab" * 32)
    assert names.sha256_of(name) == "ab" * 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fw-1.4.0.tar", "fw-1.4.1.tar"),
        ("1.2.3/app.zip", "1.2.4/app.zip"),
        ("next-15.0.1-canary.3.tgz", "next-15.0.1.tgz"),
        ("app-v2.tar", "app-v10.tar"),
        ("dump-2026-11-24.sql", "dump-2026-11-25.sql"),
        ("builds/3f2a9c1d0/app", "builds/0b77cafe1/app"),
        ("fw-1.4.0-rc1.tar", "fw-1.4.0.tar"),
        ("release/linux-6.1.0-51-amd64.deb", "release/linux-6.1.0-52-amd64.deb"),
    ],
)
def test_versions_of_one_thing_are_a_family(one: str, other: str) -> None:
    assert family_of(one) == family_of(other)
    assert deltaspace_of(one, by_prefix=False) == deltaspace_of(other, by_prefix=False)


@pytest.mark.parametrize(
    ("one", "other"),
    [("app.tar", "lib.tar"), ("a/app-1.tar", "b/app-1.tar"), ("app-1.tar", "app-1.zip"), ("abba/x", "cafe/x")],
)
def test_other_things_are_other_families(one: str, other: str) -> None:
    assert family_of(one) != family_of(other)


def test_by_prefix_a_folder_is_the_deltaspace() -> None:
    assert deltaspace_of("a/x.bin", by_prefix=True) == deltaspace_of("a/y.tar", by_prefix=True)
    assert deltaspace_of("a/x.bin", by_prefix=True) != deltaspace_of("b/x.bin", by_prefix=True)
