"""What a merge promises, for any three states."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.control.sharing.merge import merge
from deltaglider_proxy.control.sharing.rows import (
    GROUPS,
    KEYS,
    MEMBERS,
    SHAPES,
    USERS,
    Digests,
    Key,
    Row,
    Shared,
    digests,
)


def user(number: int, name: str, *, enabled: bool = True, born: float = 1.0, permissions: str = "[]") -> Row:
    return {
        "id": number,
        "name": name,
        "enabled": enabled,
        "auth_source": "local",
        "created_at": born,
        "permissions": permissions,
    }


def key(name: str, owner: int, secret: str = "s", *, enabled: bool = True) -> Row:
    return {
        "access_key_id": name,
        "user_id": owner,
        "sealed_secret": secret,
        "created_at": 1.0,
        "enabled": enabled,
        "expires_at": None,
    }


def group(number: int, name: str) -> Row:
    return {"id": number, "name": name, "description": "", "created_at": 1.0, "permissions": "[]"}


def member(group_id: int, user_id: int) -> Row:
    return {"group_id": group_id, "user_id": user_id, "source": "manual"}


def shared(revocations: Mapping[str, float] | None = None, **tables: list[Row]) -> Shared:
    rows: dict[str, dict[Key, Row]] = {}
    for shape in SHAPES:
        rows[shape.name] = {shape.key_of(row): row for row in tables.get(shape.name, [])}
    return Shared(rows, revocations or {})


def named(state: Shared, table: str = USERS) -> set[object]:
    return {row["name"] for row in state.rows[table].values()}


def with_users(*users: Row, keys: list[Row] | None = None) -> Shared:
    return shared(users=list(users), access_keys=keys or [key(f"K{row['id']}", _number(row)) for row in users])


def _number(row: Row) -> int:
    number = row["id"]
    assert isinstance(number, int)
    return number


NOTHING: Digests = {shape.name: {} for shape in SHAPES}
ANA, BEA, CYD = user(1, "ana"), user(2, "bea"), user(3, "cyd")


def test_whoever_joins_takes_what_is_there_and_keeps_what_came_since() -> None:
    before = with_users(user(1, "mine", born=9.0))
    ours = with_users(user(1, "mine", born=9.0), CYD)
    assert merge(digests(before), ours, with_users(ANA, BEA)).shared == with_users(ANA, BEA, CYD)


def test_where_nothing_was_in_common_all_holds() -> None:
    assert merge(NOTHING, with_users(ANA), with_users(BEA)).shared == with_users(BEA, ANA)


def test_each_side_made_took_away_and_changed() -> None:
    base = with_users(ANA, BEA, CYD)
    ours = with_users({**ANA, "name": "anna"}, BEA, user(10, "dan"))
    theirs = with_users(ANA, CYD, user(11, "eve"))
    merged = merge(digests(base), ours, theirs)
    assert named(merged.shared) == {"anna", "dan", "eve"}
    assert merged.conflicts == ()


def test_what_both_changed_is_theirs_but_nobody_gets_rights_back() -> None:
    base = with_users(ANA, BEA)
    ours = with_users({**ANA, "enabled": False}, {**BEA, "name": "beatrice"})
    theirs = with_users({**ANA, "name": "anna"}, {**BEA, "enabled": False})
    merged = merge(digests(base), ours, theirs)
    assert {row["name"]: row["enabled"] for row in merged.shared.rows[USERS].values()} == {"anna": False, "bea": False}
    assert merged.conflicts == ("users 'ana'", "users 'beatrice'")


def test_rights_that_either_side_took_are_gone_whatever_the_other_changed() -> None:
    everything, reading, denied = '{"effect":"Allow","n":1}', '{"effect":"Allow","n":2}', '{"effect":"Deny","n":3}'
    before = {**ANA, "permissions": f"[{everything},{reading}]"}
    narrowed = {**ANA, "permissions": f"[{reading},{denied}]"}
    renamed = {**before, "name": "anna"}
    for ours, theirs in ((narrowed, renamed), (renamed, narrowed)):
        merged = merge(digests(with_users(before)), with_users(ours), with_users(theirs)).shared
        [row] = merged.rows[USERS].values()
        assert (row["name"], row["permissions"]) == (theirs["name"], f"[{reading},{denied}]")


def test_a_key_with_two_secrets_opens_nothing_and_ends_when_the_first_of_the_two_would() -> None:
    base = with_users(ANA, keys=[key("K", 1, "leaked")])
    fresh = {**key("K", 1, "fresh"), "expires_at": 50.0}
    ours, theirs = with_users(ANA, keys=[fresh]), with_users(ANA, keys=[{**key("K", 1, "leaked"), "expires_at": 99.0}])
    [row] = merge(digests(base), ours, theirs).shared.rows[KEYS].values()
    assert (row["enabled"], row["expires_at"]) == (False, 50.0)


def test_what_one_took_away_stays_away_though_the_other_changed_it() -> None:
    base, changed = with_users(ANA), with_users({**ANA, "name": "anna"})
    assert named(merge(digests(base), shared(), changed).shared) == set()
    assert named(merge(digests(base), changed, shared()).shared) == set()


def test_two_who_took_one_name() -> None:
    merged = merge(NOTHING, with_users(user(10, "dan")), with_users(user(11, "dan")))
    assert {row["id"]: row["name"] for row in merged.shared.rows[USERS].values()} == {11: "dan", 10: "dan~10"}


def test_two_who_took_one_id_never_get_the_keys_of_one_another() -> None:
    ours = with_users(user(7, "mine", born=1.0), keys=[key("MINE", 7)])
    theirs = with_users(user(7, "theirs", born=2.0), keys=[key("THEIRS", 7)])
    merged = merge(NOTHING, ours, theirs)
    assert named(merged.shared) == {"theirs"}
    assert {row["access_key_id"] for row in merged.shared.rows[KEYS].values()} == {"THEIRS"}


def test_what_hangs_on_a_row_that_went_goes_too() -> None:
    team = group(5, "team")
    base = shared(users=[ANA], access_keys=[key("K", 1)], groups=[team])
    ours = shared(users=[ANA], access_keys=[key("K", 1)], groups=[team], group_members=[member(5, 1)])
    theirs = shared(users=[ANA], access_keys=[key("K", 1)])
    merged = merge(digests(base), ours, theirs).shared
    assert merged.rows[GROUPS] == merged.rows[MEMBERS] == {}


def test_a_user_is_never_left_without_a_key() -> None:
    base = with_users(ANA, keys=[key("A", 1), key("B", 1)])
    ours, theirs = with_users(ANA, keys=[key("A", 1)]), with_users(ANA, keys=[key("B", 1)])
    left = list(merge(digests(base), ours, theirs).shared.rows[KEYS].values())
    assert left == [key("B", 1, enabled=False)]


def test_a_user_that_both_sides_made_with_one_key_is_one_user() -> None:
    ours = with_users(user(10, "ana"), keys=[key("K", 10)])
    theirs = with_users(user(11, "ana"), keys=[key("K", 11)])
    assert merge(NOTHING, ours, theirs).shared == theirs


def test_revocations_only_grow() -> None:
    ours, theirs = shared({"a": 5.0, "b": 1.0}), shared({"a": 3.0, "c": 2.0})
    assert merge(NOTHING, ours, theirs).shared.revocations == {"a": 5.0, "b": 1.0, "c": 2.0}


_users = st.dictionaries(
    st.integers(1, 5),
    st.tuples(st.sampled_from("abcd"), st.booleans(), st.sampled_from(["[]", "[1]"])),
    max_size=5,
)


@st.composite
def states(draw: st.DrawFn) -> Shared:
    users: dict[int, Row] = {}
    for number, (name, enabled, permissions) in draw(_users).items():
        users[number] = user(number, f"{name}{number}", enabled=enabled, permissions=permissions)
    owned = draw(st.permutations(range(1, 6)))
    keys = [key(f"K{owned[number - 1]}", number, draw(st.sampled_from("xy"))) for number in users]
    groups = [group(number, f"g{number}") for number in draw(st.sets(st.integers(1, 3)))]
    members = [
        member(_number(g), number) for g in groups for number in users if draw(st.booleans())
    ]  # fmt: skip
    return shared(users=list(users.values()), access_keys=keys, groups=groups, group_members=members)


@given(states(), states(), states())
def test_any_merge_is_sound_and_settles(base: Shared, ours: Shared, theirs: Shared) -> None:
    merged = merge(digests(base), ours, theirs).shared
    ids = [row["id"] for row in merged.rows[USERS].values()]
    assert len(set(ids)) == len(ids)
    assert len(named(merged)) == len(merged.rows[USERS])
    for shape in SHAPES:
        for parent in shape.parents:
            there = {row["id"] for row in merged.rows[parent.table].values()}
            assert {row[parent.column] for row in merged.rows[shape.name].values()} <= there
    assert {row["user_id"] for row in merged.rows[KEYS].values()} == set(ids), "all have a key"
    # The other side takes what came of it, and both are the same.
    assert merge(digests(theirs), theirs, merged).shared == merged
    assert merge(digests(merged), merged, merged).shared == merged


@given(states(), states())
def test_what_only_one_side_changed_holds(base: Shared, changed: Shared) -> None:
    assert merge(digests(base), base, changed).shared == changed
    assert merge(digests(base), changed, base).shared == changed


@given(states(), states(), states())
def test_nobody_gets_rights_back(base: Shared, ours: Shared, theirs: Shared) -> None:
    """Who was enabled before and is disabled by either side, or gone, is not enabled afterwards."""
    merged = merge(digests(base), ours, theirs).shared
    for number, before in base.rows[USERS].items():
        sides = [side.rows[USERS].get(number) for side in (ours, theirs)]
        taken = any(side is None for side in sides)
        disabled = before["enabled"] and any(side is not None and not side["enabled"] for side in sides)
        after = merged.rows[USERS].get(number)
        if taken:
            assert after is None
        elif disabled:
            assert after is not None
            assert not after["enabled"]
        narrowed = before["permissions"] == "[1]" and any(side and side["permissions"] == "[]" for side in sides)
        if narrowed and not taken:
            assert after is not None
            assert after["permissions"] == "[]"
