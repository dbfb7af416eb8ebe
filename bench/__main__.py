"""`python -m bench`: measure, print tables with goals, keep the numbers in bench/.work/results.json."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict

from rich.console import Console

from bench import machine
from bench.cases import deltas, identity, listing, memory, service, small, users
from bench.measure import Case, as_json, show
from bench.peers import WORK, clean_up, scratch
from bench.plan import FULL, QUICK, Plan

_CASES: dict[str, Callable[[Plan], list[Case]]] = {
    "deltas": deltas.run,
    "identity": identity.run,
    "small": small.run,
    "listing": listing.run,
    "memory": memory.run,
    "users": users.run,
    "service": service.run,
}


def main() -> int:
    """Zero if everything could be measured, whatever the numbers say."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=_CASES, help="measure this case; may be repeated")
    parser.add_argument("--quick", action="store_true", help="few rounds, small sizes: to see that it works")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of tables")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    console = Console(stderr=arguments.json)
    clean_up()
    facts = machine.describe(scratch())
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), highlight=False)
    cases: list[Case] = []
    for name in arguments.only or _CASES:
        with console.status(f"measuring {name}"):
            found = _CASES[name](plan)
        cases += found
        for case in found:
            show(console, case)
    clean_up()
    results = {"machine": facts, "plan": asdict(plan), "cases": [as_json(case) for case in cases]}
    text = json.dumps(results, indent=1)
    (WORK / "results.json").write_text(text)
    if arguments.json:
        print(text)
    missed = sum(not goal.ok for case in cases for goal in case.goals)
    console.print(f"{sum(len(case.goals) for case in cases) - missed} goals met, {missed} missed", highlight=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
