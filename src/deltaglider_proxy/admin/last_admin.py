"""No change may leave nobody who can administer: whoever locks everyone out does it by mistake."""

from collections.abc import Iterator
from contextlib import contextmanager

from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.control.model import AuthSource, Effect, Permission
from deltaglider_proxy.control.unit import Unit


@contextmanager
def keep_an_administrator(unit: Unit, *, even_if_none: bool = False) -> Iterator[None]:
    """Raises ApiError(409), and so undoes the transaction, if there was an enabled administrator and now is none."""
    before = not even_if_none and has_administrator(unit)
    yield
    if before and not has_administrator(unit):
        raise ApiError(
            409,
            "last_admin",
            "this is the last enabled user who may administer everything",
            hint="make another administrator first",
        )


def has_administrator(unit: Unit) -> bool:
    groups = {group.id: group.permissions for group in unit.groups.list()}
    for user in unit.users.list():
        if user.enabled and (user.auth_source is AuthSource.EXTERNAL or any(key.usable(unit.now) for key in user.keys)):
            rules = [*user.permissions, *(rule for number in user.group_ids for rule in groups.get(number, ()))]
            if _administers(rules):
                return True
    return False


def _administers(rules: list[Permission]) -> bool:
    """Whatever the conditions say: they depend on where somebody is."""
    about_all = [rule for rule in rules if "*" in rule.resources and {"*", "admin"} & set(rule.actions)]
    return any(r.effect is Effect.ALLOW for r in about_all) and not any(
        r.effect is Effect.DENY and not r.conditions for r in about_all
    )
