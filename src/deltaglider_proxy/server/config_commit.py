"""The transaction of a change of the configuration."""

from dataclasses import dataclass, field

from deltaglider_proxy.access.declarative.reconcile import CannotReconcile, Plan
from deltaglider_proxy.admin.last_admin import has_administrator
from deltaglider_proxy.admin.ports import Restoring
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.server.declared_iam import Reconcile
from deltaglider_proxy.server.restore_journal import RestoreJournal


@dataclass(frozen=True, slots=True)
class Commit:
    """Users, if it changes them, and its place in the history."""

    user: str
    action: str
    before: str = field(repr=False)
    """What runs, as text."""
    text: str = field(repr=False)
    summary: str
    reconcile: Reconcile | None
    restoring: Restoring | None
    journal: RestoreJournal | None

    @property
    def changes_users(self) -> bool:
        return self.reconcile is not None or self.restoring is not None

    def __call__(self, unit: Unit) -> tuple[Plan | None, int]:
        """Raises CannotReconcile."""
        had = self.changes_users and has_administrator(unit)
        if self.restoring is not None:
            self.restoring.change(unit)
        if self.journal is not None:
            self.journal.mark(unit)
        plan = self.reconcile(unit) if self.reconcile is not None else None
        if had and not has_administrator(unit):
            raise CannotReconcile("nobody would be left who may administer everything; declare such a user")
        self._keep_what_runs(unit)
        return plan, unit.config_revisions.append(self.user, self.action, self.text, self.summary).id

    def _keep_what_runs(self, unit: Unit) -> None:
        """The server may have started with what no change has made, and a roll-back needs it."""
        newest = unit.config_revisions.list(limit=1)
        if not newest or newest[0].document.reveal() != self.before:
            unit.config_revisions.append("system", "start", self.before, "what ran before the next change")
