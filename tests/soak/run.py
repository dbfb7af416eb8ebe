"""A run: rounds of load with one fault each, and after each a look at everything."""

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.integration.wire import Wire
from tests.soak import verify
from tests.soak.administrator import Administrator, config_document
from tests.soak.faults import FAULTS, Blow, Fault
from tests.soak.findings import Finding, Findings
from tests.soak.ledger import Journal, Ledger
from tests.soak.objects import BUCKET, ObjectClient, Target
from tests.soak.place import Kind, Place, Wrong, opened

_SETTLE = {Kind.FILESYSTEM: 0.2, Kind.VERSITYGW: 3.0}
"""Seconds until nothing that was asked of a backend can still be done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` or `seconds` end it, whichever comes first."""

    seed: int
    seconds: float = 60.0
    rounds: int = 1_000_000
    kind: Kind = Kind.FILESYSTEM
    workers: int = 2
    clients: int = 6
    faults: tuple[str, ...] = ()
    """None: all that can be had here, each once before any comes twice."""
    blow: float = 4.0
    """Seconds of one fault."""
    calm: float = 0.6
    """Seconds before and after it."""
    storage_every: int = 3
    """Rounds between two looks at the storage with the server stopped."""
    with_disk: bool = True


@dataclass
class Report:
    seed: int
    kind: str
    rounds: int = 0
    asked: int = 0
    acknowledged: int = 0
    unknown: int = 0
    refused: int = 0
    reads: int = 0
    collected: int = 0
    saved: float = 0.0
    """Share of the bytes of all objects that was not stored, at the end of the last round."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Faults that cannot be had here, and why."""
    struck: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    journal: str = ""

    @property
    def good(self) -> bool:
        return not self.findings

    def json(self) -> str:
        return json.dumps({**asdict(self), "good": self.good}, indent=2)


class Soak:
    def __init__(self, plan: Plan, place: Place, root: Path, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._place = place
        self._tell = tell
        self._journal = Journal(root / "journal.jsonl")
        self._dice = random.Random(plan.seed)
        self._findings = Findings()
        self._ledger = Ledger(self._journal.write)
        on_service = plan.kind is not Kind.FILESYSTEM
        self._target = Target(Wire(place.server), self._ledger, self._findings, on_service)
        self._report = Report(plan.seed, plan.kind, journal=str(root / "journal.jsonl"))
        self._admin_number = 1

    def run(self) -> Report:
        report, plan = self._report, self._plan
        deadline = time.monotonic() + plan.seconds
        try:
            self._prepare()
            for fault in self._order():
                if report.rounds >= plan.rounds or time.monotonic() > deadline:
                    break
                report.rounds += 1
                self._round(fault)
            if report.rounds % plan.storage_every:
                self._storage()
        except Wrong as wrong:
            self._findings.add("server", "server", str(wrong))
        finally:
            self._journal.close()
        self._count()
        return report

    def _prepare(self) -> None:
        self._place.server.client().create_bucket(Bucket=BUCKET)
        admin = self._administrator(threading.Event())
        admin.ask("PUT", "/admin/config/section/advanced", config_document(0)).raise_for_status()
        for name, state in admin.observed().items():
            self._ledger.settle(name, state)
        admin.close()

    def _order(self) -> Sequence[Fault]:
        report = self._report
        possible = []
        for fault in FAULTS:
            if self._plan.faults and fault.name not in self._plan.faults:
                continue
            if lacking := fault.lacks(self._place):
                report.left_out[fault.name] = lacking
            else:
                possible.append(fault)
        order: list[Fault] = []
        while possible and len(order) < min(self._plan.rounds, 10_000):
            order += self._dice.sample(possible, len(possible))
        return order

    def _round(self, fault: Fault) -> None:
        findings, plan, place = self._findings, self._plan, self._place
        findings.round, findings.fault, findings.calm = self._report.rounds, fault.name, True
        place.start()
        before = dict(self._ledger.counts)
        stop = threading.Event()
        clients = [
            ObjectClient(self._target, n, plan.clients, random.Random(self._dice.random()), stop, self._report.rounds)
            for n in range(plan.clients)
        ]
        admin = self._administrator(stop)
        with ThreadPoolExecutor(plan.clients + 1) as pool:
            doing = [pool.submit(client.run) for client in clients] + [pool.submit(admin.run)]
            try:
                time.sleep(plan.calm)
                findings.calm = False
                fault.strike(Blow(place, self._dice, plan.blow, findings))
                told = place.recover()
                time.sleep(plan.calm)
            finally:
                stop.set()
        for each in doing:
            each.result()
        self._admin_number = admin.number
        self._look(fault, told, before)

    def _look(self, fault: Fault, told: str, before: dict[str, int]) -> None:
        report, findings = self._report, self._findings
        time.sleep(_SETTLE[self._plan.kind])
        self._place.recover()
        found = len(findings.found)
        present = verify.objects(self._target)
        admin = self._administrator(threading.Event())
        try:
            verify.control_plane(self._target, admin, self._place.server)
        finally:
            admin.close()
        report.struck[fault.name] = report.struck.get(fault.name, 0) + 1
        stats = self._place.server.stats(BUCKET)
        report.saved = 1 - stats["total_stored_size"] / max(stats["total_original_size"], 1)
        if report.rounds % self._plan.storage_every == 0:
            self._storage()
        counts = {name: count - before.get(name, 0) for name, count in self._ledger.counts.items()}
        unknown = counts.get("lost", 0) + counts.get("lasting", 0)
        verdict = "ok" if len(findings.found) == found else f"{len(findings.found) - found} FINDINGS"
        self._tell(
            f"round {report.rounds:3}  {fault.name:15} {counts.get('ack', 0):5} acknowledged {unknown:4} unknown "
            f"{counts.get('refused', 0):4} refused {present:4} objects, {report.saved:4.0%} saved; {told}; {verdict}"
        )
        for finding in findings.found[found:][:5]:
            self._tell(f"    {finding.kind}: {finding.name}: {finding.what}")

    def _storage(self) -> None:
        self._report.collected += verify.storage(self._target, self._place)

    def _administrator(self, stop: threading.Event) -> Administrator:
        server, dice = self._place.server, random.Random(self._dice.random())
        return Administrator(server, self._ledger, self._findings, dice, stop, self._admin_number)

    def _count(self) -> None:
        report, counts = self._report, self._ledger.counts
        report.asked = counts["begin"]
        report.acknowledged = counts["ack"]
        report.unknown = counts["lost"] + counts["lasting"]
        report.refused = counts["refused"]
        report.reads = self._findings.reads
        report.findings = self._findings.found
        report.remarks = dict(self._findings.remarks.most_common(60))


def run(plan: Plan, root: Path, tell: Callable[[str], None] = lambda _: None) -> Report:
    """In `root`, where the journal and the server's log stay."""
    with opened(root, plan.kind, plan.workers, with_disk=plan.with_disk) as place:
        return Soak(plan, place, root, tell).run()
