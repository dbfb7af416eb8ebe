"""Nodes that share users, and what can happen between two steps: lost answers, crashes, others in between."""

import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from deltaglider_proxy.control.database import Database, Keys, SqliteTarget, open_database
from deltaglider_proxy.control.repositories.users import NewKey
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.server.config_sync import ConfigSync, SyncFailed
from deltaglider_proxy.server.config_sync_boot import SoleReplica
from deltaglider_proxy.server.storage import Service
from deltaglider_proxy.server.sync_bucket import SyncBucket, SyncSettings
from deltaglider_proxy.storage.backends.s3.settings import KeyPair, S3Settings
from deltaglider_proxy.storage.errors import ConditionFailed, Unavailable, Uncertain
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.server import PASSWORD_HASH
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import NO_CONDITIONS, Rule
from tests.support.storage.services.versitygw import versitygw

KEYS = Keys(PASSWORD_HASH)


class Crash(BaseException):
    """The process ends here."""


@dataclass
class OneObject:
    """As an S3 service that honours conditions, and what goes wrong on the way to it."""

    data: bytes | None = None
    trouble: Callable[[str], str] = lambda _step: ""
    """Before each step: `away`, `lost` or `crash`, or nothing."""
    place: str = "bucket/key"

    async def can_be_shared(self) -> bool:
        return True

    async def etag(self) -> str | None:
        self._meet("etag")
        return hashlib.md5(self.data).hexdigest() if self.data is not None else None

    async def fetch(self, etag: str, into: Path) -> None:
        self._meet("fetch")
        assert self.data is not None
        if hashlib.md5(self.data).hexdigest() != etag:
            raise ConditionFailed("another generation")
        into.write_bytes(self.data)

    async def store(self, path: Path, etag: str | None) -> str:
        now = hashlib.md5(self.data).hexdigest() if self.data is not None else None
        trouble = self.trouble("store")
        if trouble == "away":
            raise Unavailable("away")
        if now != etag:
            raise ConditionFailed("another generation")
        self.data = path.read_bytes()
        if trouble == "lost":
            raise Uncertain("the answer was lost")
        if trouble == "crash":
            raise Crash
        return hashlib.md5(self.data).hexdigest()

    async def close(self) -> None:
        return None

    def _meet(self, step: str) -> None:
        trouble = self.trouble(step)
        if trouble in ("away", "lost"):
            raise Unavailable("away")
        if trouble == "crash":
            raise Crash


@dataclass
class Quiet:
    conflicts: int = 0

    def config_sync_succeeded(self, now: float) -> None:
        return None

    def config_sync_conflict(self) -> None:
        self.conflicts += 1


@dataclass
class Node:
    root: Path
    bucket: OneObject
    pool: Pool = field(default_factory=lambda: Pool(1))

    def __post_init__(self) -> None:
        self.root.mkdir()
        self.open()

    def open(self) -> None:
        """Also after a crash."""
        clock = SystemClock()
        self.database: Database = open_database(SqliteTarget(self.root / "db", KEYS, shared=True))
        replica = SoleReplica(self.database, self.root / "db", self.pool, clock)
        self.sync = ConfigSync(self.bucket, replica, self.root, 1.0, clock, Quiet())

    async def exchange(self) -> None:
        try:
            await self.sync.exchange()
        except SyncFailed:
            return
        except Crash:
            self.database.close()
            self.open()

    def change(self, work: Callable[[Unit], object]) -> None:
        with self.database.write(1.0) as unit:
            work(unit)

    def users(self) -> dict[str, bool]:
        with self.database.read() as unit:
            return {user.name: user.enabled for user in unit.users.list()}


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[Node]]:
    bucket = OneObject()
    made = [Node(tmp_path / str(number), bucket) for number in range(3)]
    yield made
    for node in made:
        node.database.close()
        node.pool.close()


@pytest.mark.parametrize("seed", [pytest.param(n, marks=[pytest.mark.slow] if n else []) for n in range(12)])
async def test_every_acknowledged_change_arrives_everywhere(nodes: list[Node], seed: int) -> None:
    for node in nodes:
        await node.exchange()
    dice = random.Random(seed)
    expected: dict[str, bool] = {}
    owners: dict[str, int] = {}
    nodes[0].bucket.trouble = lambda _step: dice.choice(["", "", "", "away", "lost", "crash"])
    for number in range(30):
        index = dice.randrange(3)
        node = nodes[index]
        mine = [name for name in expected if owners[name] == index]
        match dice.choice(["create", "create", "disable", "delete", "sync"]):
            case "create":
                name = f"user-{number}"
                node.change(partial(_create, name))
                expected[name], owners[name] = True, index
            case "disable" if mine:
                name = dice.choice(mine)
                node.change(partial(_disable, name))
                expected[name] = False
            case "delete" if mine:
                name = dice.choice(mine)
                node.change(partial(_delete, name))
                del expected[name]
        await dice.choice(nodes).exchange()
    nodes[0].bucket.trouble = lambda _step: ""
    for node in (*nodes, *nodes):
        await node.exchange()
    assert [node.users() for node in nodes] == [expected] * 3
    assert not [left for node in nodes for left in node.root.glob("*.sync-*")]


def _create(name: str, unit: Unit) -> None:
    unit.users.create(name, NewKey(f"AK{name}", "s"))


def _disable(name: str, unit: Unit) -> None:
    found = unit.users.find(name)
    assert found is not None
    unit.users.update(found.id, enabled=False)


def _delete(name: str, unit: Unit) -> None:
    found = unit.users.find(name)
    assert found is not None
    unit.users.delete(found.id)


async def test_a_service_that_does_not_honour_conditions_is_not_used(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        service = stack.enter_context(versitygw(tmp_path))
        pair = KeyPair(service.access_key, service.secret_key)
        name = service.new_bucket()
        honest = S3Settings(tmp_path / "locks", service.endpoint, service.region, key_pair=pair, allow_local=True)
        proxy = await stack.enter_async_context(FaultProxy(service, [Rule(NO_CONDITIONS, times=None)]))
        careless = S3Settings(tmp_path / "locks", proxy.endpoint, service.region, key_pair=pair, allow_local=True)
        pool = Pool(2)
        for settings, good in ((honest, True), (careless, False)):
            bucket = SyncBucket(SyncSettings(Service("far", settings), name, "k", 1.0), pool, SystemClock())
            assert await bucket.can_be_shared() is good
            await bucket.close()
        pool.close()
