"""`python -m tests.soak`: load and faults for some minutes, and a verdict. See docs/internals/soak.md."""

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.soak.faults import FAULTS
from tests.soak.place import Kind
from tests.soak.run import Plan, Report, run


def main() -> int:
    """0: nothing was found; 1: something was; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="the same faults in the same order; random if absent")
    parser.add_argument("--workers", type=int, default=2, help="processes of the server")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--backend", type=Kind, choices=list(Kind), default=Kind.FILESYSTEM)
    parser.add_argument("--faults", default="", metavar="NAME,...", help=", ".join(fault.name for fault in FAULTS))
    parser.add_argument("--no-disk", action="store_true", help="mount nothing")
    parser.add_argument("--root", type=Path, default=None, help="an empty folder for the journal and the log; kept")
    parser.add_argument("--json", action="store_true", help="the report as JSON on stdout; progress goes to stderr")
    given = parser.parse_args()
    faults = tuple(filter(None, given.faults.split(",")))
    if unknown := set(faults) - {fault.name for fault in FAULTS}:
        parser.error(f"--faults: there is no {', '.join(sorted(unknown))}")
    plan = Plan(
        given.seed if given.seed is not None else secrets.randbelow(1_000_000),
        given.minutes * 60,
        kind=given.backend,
        workers=given.workers,
        clients=given.clients,
        faults=faults,
        with_disk=not given.no_disk,
    )
    root = given.root or Path(tempfile.mkdtemp(prefix="soak-"))
    out = sys.stderr if given.json else sys.stdout
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", file=out, flush=True)

    tell(f"seed {plan.seed}, {plan.kind}, {plan.workers} workers, {plan.clients} clients, in {root}")
    report = run(plan, root, tell)
    if given.json:
        print(report.json())
    _conclude(report, tell)
    return 0 if report.good else 1


def _conclude(report: Report, tell: Callable[[str], None]) -> None:
    for name, why in report.left_out.items():
        tell(f"left out: {name}: {why}")
    for finding in report.findings:
        tell(f"found: round {finding.round}, {finding.fault}: {finding.kind}: {finding.name}: {finding.what}")
    for text, count in report.remarks.items():
        tell(f"seen: {count:4} x {text}")
    tell(
        f"{report.rounds} rounds: {report.asked} changes asked, {report.acknowledged} acknowledged, {report.unknown} "
        f"unknown, {report.refused} refused; {report.reads} reads judged; {report.collected} pieces of garbage removed"
    )
    if report.good:
        tell("GOOD: nothing that was acknowledged was lost, and nothing was wrong")
    else:
        tell(f"BAD: {len(report.findings)} findings; again with --seed {report.seed}; the journal is {report.journal}")


if __name__ == "__main__":
    sys.exit(main())
