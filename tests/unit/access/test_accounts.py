"""Users and groups as requests look them up: however the changes come, what is known at the end is the same."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.accounts import Accounts
from deltaglider_proxy.control.model import AccessKey, AuthSource, Group, User

KEYS = ("K1", "K2", "K3", "K4")


@dataclass(frozen=True)
class Secret:
    value: str

    def reveal(self) -> str:
        return self.value


def user(number: int, keys: tuple[str, ...], groups: tuple[int, ...] = ()) -> User:
    made = tuple(AccessKey(key, Secret(f"{number}-{key}"), 0.0) for key in keys)
    return User(number, f"user{number}", made, True, AuthSource.LOCAL, 0.0, group_ids=groups)


def seen(accounts: Accounts) -> object:
    owners = {key: found.user if (found := accounts.with_key(key)) is not None else None for key in KEYS}
    by_id = {account.user.id: (account.user, account.groups) for account in accounts}
    return owners, by_id, dict(accounts.groups)


def test_a_key_that_went_to_another_user_is_theirs_also_if_the_former_owner_is_told_last() -> None:
    accounts = Accounts.of([user(1, ("K1", "K2")), user(2, ("K3",))], [])
    accounts = accounts.after([user(2, ("K3", "K1"))]).after([user(1, ("K2",))])
    assert accounts.secret_for("K1", 0.0) == b"2-K1"
    assert accounts.after(removed_users=[2]).with_key("K1") is None


_owners = st.fixed_dictionaries({key: st.integers(1, 3) for key in KEYS})
_groups = st.dictionaries(st.integers(1, 3), st.frozensets(st.integers(1, 2)), max_size=3)


@given(st.lists(st.tuples(_owners, _groups, st.frozensets(st.integers(1, 2)), st.permutations([1, 2, 3])), min_size=1))
def test_one_change_after_another_leads_where_all_at_once_does(
    states: list[tuple[dict[str, int], dict[int, frozenset[int]], frozenset[int], list[int]]],
) -> None:
    accounts = Accounts.of([], [])
    for owners, members, existing, order in states:
        groups = {number: Group(number, f"g{number}", "", 0.0) for number in existing}
        users = {
            number: user(number, keys, tuple(sorted(members.get(number, frozenset()) & existing)))
            for number in order
            if (keys := tuple(key for key in KEYS if owners[key] == number))
        }
        accounts = accounts.after(groups=groups.values(), removed_groups=set(accounts.groups) - existing)
        for number in order:
            known, gone = ([users[number]], []) if number in users else ([], [number])
            accounts = accounts.after(known, removed_users=gone)
        assert seen(accounts) == seen(Accounts.of(users.values(), groups.values()))
