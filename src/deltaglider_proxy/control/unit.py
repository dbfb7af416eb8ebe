"""One transaction, with a repository for each kind of thing that it is about."""

from functools import cached_property

from sqlalchemy import Connection

from deltaglider_proxy.control.model import SessionAuth, User
from deltaglider_proxy.control.repositories.changes import Changes, changes_since
from deltaglider_proxy.control.repositories.config_revisions import ConfigRevisions
from deltaglider_proxy.control.repositories.groups import Groups
from deltaglider_proxy.control.repositories.identities import Identities
from deltaglider_proxy.control.repositories.mapping_rules import MappingRules
from deltaglider_proxy.control.repositories.numbers import Numbers
from deltaglider_proxy.control.repositories.providers import Providers
from deltaglider_proxy.control.repositories.revisions import Revisions
from deltaglider_proxy.control.repositories.sessions import Revocations, Sessions
from deltaglider_proxy.control.repositories.state import State
from deltaglider_proxy.control.repositories.tokens import Tokens
from deltaglider_proxy.control.repositories.users import Users
from deltaglider_proxy.crypto.sealing import Sealer


class Unit:
    def __init__(self, connection: Connection, sealer: Sealer, now: float, *, scattered_ids: bool = False) -> None:
        self.connection = connection
        self.sealer = sealer
        self._numbers = Numbers(scattered=scattered_ids)
        self.now = now

    @cached_property
    def revisions(self) -> Revisions:
        return Revisions(self.connection)

    @cached_property
    def users(self) -> Users:
        return Users(self.connection, self.sealer, self.revisions, self._numbers, self.now)

    @cached_property
    def groups(self) -> Groups:
        return Groups(self.connection, self.revisions, self._numbers, self.now)

    @cached_property
    def providers(self) -> Providers:
        return Providers(self.connection, self.sealer, self.revisions, self._numbers, self.now)

    @cached_property
    def rules(self) -> MappingRules:
        return MappingRules(self.connection, self.revisions, self._numbers, self.now)

    @cached_property
    def identities(self) -> Identities:
        return Identities(self.connection, self.revisions, self.now)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.connection, self.sealer, self.now)

    @cached_property
    def revocations(self) -> Revocations:
        return Revocations(self.connection, self.revisions)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.connection, self.now)

    @cached_property
    def config_revisions(self) -> ConfigRevisions:
        return ConfigRevisions(self.connection, self.sealer, self.now)

    @cached_property
    def state(self) -> State:
        return State(self.connection)

    def end_sessions(self, identity: str) -> int:
        """How many there were in this database."""
        self.revocations.revoke(identity, self.now)
        return self.sessions.delete_of(identity)

    def end_access_of(self, user: User) -> None:
        """Sessions, whatever the user signed in with, and tokens."""
        self.tokens.delete_of(user.id)
        for key in user.keys:
            self.end_sessions(key.access_key_id)
        for identity in self.identities.of_user(user.id):
            self.end_sessions(f"{self.providers.get(identity.provider_id).name}:{user.id}")

    def end_bootstrap_access(self) -> None:
        """Sessions and tokens that the bootstrap password has opened: whoever replaces it may have cause to."""
        self.end_sessions(SessionAuth.BOOTSTRAP)
        self.tokens.delete_of(None)

    def changes_since(self, revision: int) -> Changes:
        return changes_since(self.connection, self.sealer, revision)
