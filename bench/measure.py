"""Numbers, the goals that they are held to, and how both are shown.

Peers are measured in alternating rounds of one run, so that whatever else the machine does hits all of them alike;
what counts is the median over the rounds and its ratio to a peer's.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table

MB: Final = 1_000_000
MIB: Final = 1 << 20


@dataclass
class Case:
    """One subject of the benchmark: samples by (row, column), goals and remarks.

    Tables are shown turned round, because there are more columns than rows.
    """

    name: str
    title: str
    samples: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    goals: list["Goal"] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, row: str, column: str, value: float) -> None:
        self.samples.setdefault((row, column), []).append(value)

    def median(self, row: str, column: str) -> float | None:
        found = self.samples.get((row, column))
        return statistics.median(found) if found else None

    def column(self, column: str) -> dict[str, float]:
        """The medians of a column by row."""
        return {row: statistics.median(found) for (row, name), found in self.samples.items() if name == column}

    def ratios(self, column: str, other: str) -> dict[str, float]:
        """By row, `column` divided by `other`, where both were measured."""
        left, right = self.column(column), self.column(other)
        return {row: value / right[row] for row, value in left.items() if right.get(row)}

    def at_least(self, text: str, value: float | None, limit: float) -> None:
        self._goal(text, value, f">= {limit:g}", value is not None and value >= limit)

    def at_most(self, text: str, value: float | None, limit: float) -> None:
        self._goal(text, value, f"<= {limit:g}", value is not None and value <= limit)

    def _goal(self, text: str, value: float | None, limit: str, ok: bool) -> None:
        if value is not None:
            self.goals.append(Goal(text, value, limit, ok))


@dataclass(frozen=True)
class Goal:
    text: str
    value: float
    limit: str
    ok: bool


def median(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None


def show(console: Console, case: Case) -> None:
    rows = list(dict.fromkeys(row for row, _ in case.samples))
    columns = list(dict.fromkeys(column for _, column in case.samples))
    table = Table(title=case.title, title_style="bold", title_justify="left")
    table.add_column(case.name, no_wrap=True)
    for row in rows:
        table.add_column(row, justify="right")
    for column in columns:
        table.add_row(column, *(_short(case.median(row, column)) for row in rows))
    console.print(table)
    for remark in case.remarks:
        console.print(f"[dim]{remark}[/dim]", highlight=False)
    for goal in case.goals:
        verdict = "[green]ok[/green]    " if goal.ok else "[red]missed[/red]"
        console.print(f"  {verdict} {goal.text}: {_short(goal.value)} (goal {goal.limit})", highlight=False)
    console.print()


def as_json(case: Case) -> dict[str, object]:
    return {
        "name": case.name,
        "title": case.title,
        "measurements": [
            {"row": row, "column": column, "median": statistics.median(values), "samples": values}
            for (row, column), values in case.samples.items()
        ],
        "goals": [{"goal": goal.text, "value": goal.value, "limit": goal.limit, "met": goal.ok} for goal in case.goals],
        "remarks": case.remarks,
    }


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    if value and abs(value) < 10:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
