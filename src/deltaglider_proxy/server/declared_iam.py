"""Users that the configuration declares: tried with a configuration, made with it, and looked after at start."""

from collections.abc import Callable

import structlog

from deltaglider_proxy.access.auditor import Actor, Auditor
from deltaglider_proxy.access.declarative.desired import Desired, InvalidIam, desired_of
from deltaglider_proxy.access.declarative.reconcile import CannotReconcile, Names, Plan, plan, reconcile
from deltaglider_proxy.admin.ports import Control, Refused
from deltaglider_proxy.config.access import Access
from deltaglider_proxy.control.audit.record import Outcome
from deltaglider_proxy.control.database import Database
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.server.from_config import CannotStart

_log = structlog.get_logger("deltaglider_proxy.iam")

DECLARATIVE = "declarative"

Reconcile = Callable[[Unit], Plan]
"""Raises CannotReconcile, and then the transaction must be undone."""


class DeclaredIam:
    def __init__(self, control: Control, auditor: Auditor) -> None:
        self._control = control
        self._auditor = auditor

    async def preview(self, before: Access, after: Access) -> list[str]:
        """What applying would do, as a warning. Raises Refused."""
        desired = _wanted(before, after)
        if desired is None:
            return []
        try:
            found = await self._control.read(lambda unit: plan(unit, desired))
        except CannotReconcile as error:
            raise refused(str(error)) from error
        if not found:
            return ["declarative IAM preview: no IAM changes (idempotent apply)"]
        return [f"declarative IAM preview: {found.text()}"]

    async def change(self, before: Access, after: Access, by: Actor) -> Reconcile | None:
        """What makes it so, in a transaction. None: there is nothing to do. Raises Refused."""
        desired = _wanted(before, after)
        if before.iam_mode != after.iam_mode:
            _log.warning("IAM mode changes", before=before.iam_mode, after=after.iam_mode)
            target = f"{before.iam_mode} -> {after.iam_mode}"
            await self._auditor.administered(by, "iam_mode_change", target, Outcome.BEGUN)
        return None if desired is None else lambda unit: reconcile(unit, desired)

    async def changed(self, before: Access, after: Access, by: Actor) -> None:
        """After the transaction."""
        if before.iam_mode != after.iam_mode:
            await self._auditor.ended(by, "iam_mode_change", f"{before.iam_mode} -> {after.iam_mode}")

    async def done(self, found: Plan) -> list[str]:
        """After the transaction."""
        for action, target in _changes(found):
            await self._auditor.ended(Actor(user=DECLARATIVE), action, target)
        return [f"declarative IAM reconciled: {found.text()}"] if found else []


def _changes(found: Plan) -> list[tuple[str, str]]:
    changes = [
        (f"iam_reconcile_{kind}_{verb}", name)
        for kind, names in (("user", found.users), ("group", found.groups), ("provider", found.providers))
        for verb, listed in _verbs(names)
        for name in listed
    ]
    if found.rules is not None:
        changes.append(("iam_reconcile_mapping_rules_replaced", str(found.rules)))
    return changes


def _verbs(names: Names) -> list[tuple[str, list[str]]]:
    return [("create", names.created), ("update", names.updated), ("delete", names.deleted)]


def _wanted(before: Access, after: Access) -> Desired | None:
    """None: there is nothing to do. Raises Refused."""
    if after.iam_mode != DECLARATIVE:
        return None
    lists = ("iam_mode", "iam_users", "iam_groups", "auth_providers", "group_mapping_rules")
    if all(getattr(before, name) == getattr(after, name) for name in lists):
        return None
    try:
        desired = desired_of(after)
    except InvalidIam as error:
        raise refused(error.problems[0], error.problems) from error
    if desired.empty and before.iam_mode != DECLARATIVE:
        raise refused("access.iam_mode: declarative without any users or groups would delete all that there are")
    return desired


def refused(message: str, problems: tuple[str, ...] = ()) -> Refused:
    return Refused(422, "iam_refused", message, problems)


def reconcile_at_start(database: Database, access: Access, now: float) -> None:
    """Before any worker runs. What only a person has made is never removed by a start. Raises CannotStart."""
    if access.iam_mode != DECLARATIVE:
        return
    try:
        desired = desired_of(access)
        if desired.empty:
            _log.warning("access.iam_mode is declarative, and nothing is declared: users stay as they are")
            return
        with database.write(now) as unit:
            found = plan(unit, desired)
            if found.removes:
                raise CannotStart(
                    f"access.iam_mode: declarative would remove {', '.join(found.removes)}; declare them, or apply the "
                    "configuration to the running server once"
                )
            reconcile(unit, desired)
    except InvalidIam as error:
        raise CannotStart(f"access: {error}") from error
    except CannotReconcile as error:
        raise CannotStart(f"access: {error}") from error
    if found:
        _log.info("declared users were made", changes=found.text())
