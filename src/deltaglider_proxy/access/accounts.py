"""All users and groups of one moment, as requests look them up.

Immutable: a change makes another one, which shares what did not change, and requests that have begun keep theirs.
Rules are compiled and secrets unsealed when they are first needed, so that ten thousand users cost nothing at start.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import structlog

from deltaglider_proxy.access.errors import NO_SUCH_KEY, AccessError, Reason
from deltaglider_proxy.access.identity import Identity
from deltaglider_proxy.access.policy.rules import NOTHING, BrokenRules, Rules, compile_rules
from deltaglider_proxy.control.model import AccessKey, Group, User

_log = structlog.get_logger("deltaglider_proxy.access")


class Account:
    """A user with the rules of all their groups."""

    __slots__ = ("_identities", "groups", "user")

    def __init__(self, user: User, groups: Iterable[Group]) -> None:
        self.user = user
        self.groups = tuple(groups)
        self._identities: dict[str, Identity] = {}

    def identity(self, access_key_id: str) -> Identity:
        found = self._identities.get(access_key_id)
        if found is None:
            found = Identity(self.user.name, self._rules(access_key_id), access_key_id, self.user.id)
            self._identities[access_key_id] = found
        return found

    def key(self, access_key_id: str) -> AccessKey:
        return next(key for key in self.user.keys if key.access_key_id == access_key_id)

    def _rules(self, access_key_id: str) -> Rules:
        permissions = [*self.user.permissions, *(rule for group in self.groups for rule in group.permissions)]
        try:
            return compile_rules(permissions, username=self.user.name, access_key_id=access_key_id)
        except BrokenRules as error:
            _log.error(
                "rules of a user cannot be understood: the user may do nothing until they are mended",
                user=self.user.name,
                problem=str(error),
            )
            return NOTHING


class Accounts:
    """Make one with `of`, and the next with `after`."""

    def __init__(
        self, by_id: Mapping[int, Account], by_key: Mapping[bytes, Account], groups: Mapping[int, Group]
    ) -> None:
        self._by_id = by_id
        self._by_key = by_key
        self.groups = groups

    @classmethod
    def of(cls, users: Iterable[User], groups: Iterable[Group]) -> "Accounts":
        return cls({}, {}, {}).after(users, groups)

    def after(
        self,
        users: Iterable[User] = (),
        groups: Iterable[Group] = (),
        removed_users: Iterable[int] = (),
        removed_groups: Iterable[int] = (),
    ) -> "Accounts":
        """With these users and groups instead of those of the same ids, and without those that were removed."""
        all_groups = dict(self.groups)
        touched = set(removed_groups)
        for group_id in touched:
            all_groups.pop(group_id, None)
        for group in groups:
            all_groups[group.id] = group
            touched.add(group.id)
        by_id, by_key = dict(self._by_id), dict(self._by_key)
        changed = {user.id: user for user in users}
        for user_id in (*changed, *removed_users):
            old = by_id.pop(user_id, None)
            for key in old.user.keys if old is not None else ():
                if by_key.get(digest := hash_of(key.access_key_id)) is old:  # another user may have it by now
                    del by_key[digest]
        if touched:
            for account in self._by_id.values():
                if account.user.id in by_id and not touched.isdisjoint(account.user.group_ids):
                    changed[account.user.id] = account.user
        for user in changed.values():
            account = Account(user, (all_groups[number] for number in user.group_ids if number in all_groups))
            by_id[user.id] = account
            for key in user.keys:
                by_key[hash_of(key.access_key_id)] = account
        return Accounts(by_id, by_key, all_groups)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_id.values())

    def get(self, user_id: int) -> Account | None:
        return self._by_id.get(user_id)

    def with_key(self, access_key_id: str) -> Account | None:
        return self._by_key.get(hash_of(access_key_id))

    def secret_for(self, access_key: str, now: float) -> bytes | None:
        account = self._by_key.get(hash_of(access_key))
        if account is None:
            return None
        key = account.key(access_key)
        if not account.user.enabled or not key.usable(now):
            raise AccessError(Reason.DISABLED_KEY, NO_SUCH_KEY, {"AWSAccessKeyId": access_key})
        return key.secret.reveal().encode()

    def identity_for(self, access_key: str) -> Identity:
        return self._by_key[hash_of(access_key)].identity(access_key)


def hash_of(access_key_id: str) -> bytes:
    """What keys are looked up by, so that the time of a look-up says nothing about keys that exist."""
    return hashlib.sha256(access_key_id.encode()).digest()
