"""Rules that say who joins which group at sign-in."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Row, delete, insert, select, update

from deltaglider_proxy.control.errors import NotFound
from deltaglider_proxy.control.model import MappingRule, MatchType
from deltaglider_proxy.control.repositories.numbers import Numbers
from deltaglider_proxy.control.repositories.revisions import Revisions
from deltaglider_proxy.control.tables import auth_providers, groups, mapping_rules

KIND = "mapping rule"


class MappingRules:
    def __init__(self, connection: Connection, revisions: Revisions, numbers: Numbers, now: float) -> None:
        self._connection = connection
        self._revisions = revisions
        self._numbers = numbers
        self._now = now

    def list(self) -> Sequence[MappingRule]:
        query = select(mapping_rules).order_by(mapping_rules.c.priority.desc(), mapping_rules.c.id)
        return [_rule(row) for row in self._connection.execute(query)]

    def get(self, rule_id: int) -> MappingRule:
        """Raises NotFound."""
        row = self._connection.execute(select(mapping_rules).where(mapping_rules.c.id == rule_id)).one_or_none()
        if row is None:
            raise NotFound(KIND, rule_id)
        return _rule(row)

    def create(
        self,
        provider_id: int | None,
        priority: int,
        match_type: MatchType,
        match_field: str,
        match_value: str,
        group_id: int,
        created_at: float | None = None,
    ) -> MappingRule:
        """Raises NotFound for a provider or group that is not there."""
        self._refuse_dangling(provider_id, group_id)
        number = self._connection.execute(
            insert(mapping_rules)
            .values(
                **self._numbers.fresh(),
                provider_id=provider_id,
                priority=priority,
                match_type=str(match_type),
                match_field=match_field,
                match_value=match_value,
                group_id=group_id,
                created_at=self._now if created_at is None else created_at,
            )
            .returning(mapping_rules.c.id)
        ).scalar_one()
        self._revisions.touch_sso()
        return self.get(number)

    def update(self, rule_id: int, values: Mapping[str, object]) -> MappingRule:
        """`values` by column. Raises NotFound."""
        before = self.get(rule_id)
        provider_id, group_id = values.get("provider_id", before.provider_id), values.get("group_id", before.group_id)
        assert provider_id is None or isinstance(provider_id, int)
        assert isinstance(group_id, int)
        self._refuse_dangling(provider_id, group_id)
        if values:
            self._connection.execute(update(mapping_rules).where(mapping_rules.c.id == rule_id).values(**values))
        self._revisions.touch_sso()
        return self.get(rule_id)

    def delete(self, rule_id: int) -> None:
        """Raises NotFound."""
        if not self._connection.execute(delete(mapping_rules).where(mapping_rules.c.id == rule_id)).rowcount:
            raise NotFound(KIND, rule_id)
        self._revisions.touch_sso()

    def clear(self) -> None:
        self._connection.execute(delete(mapping_rules))
        self._revisions.touch_sso()

    def _refuse_dangling(self, provider_id: int | None, group_id: int) -> None:
        if self._connection.execute(select(groups.c.id).where(groups.c.id == group_id)).scalar_one_or_none() is None:
            raise NotFound("group", group_id)
        if provider_id is None:
            return
        query = select(auth_providers.c.id).where(auth_providers.c.id == provider_id)
        if self._connection.execute(query).scalar_one_or_none() is None:
            raise NotFound("provider", provider_id)


def _rule(row: Row[tuple[object, ...]]) -> MappingRule:
    return MappingRule(
        row.id,
        row.provider_id,
        row.priority,
        MatchType(row.match_type),
        row.match_field,
        row.match_value,
        row.group_id,
        row.created_at,
    )
