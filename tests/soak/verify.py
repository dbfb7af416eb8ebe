"""What must hold when all is quiet: every object, every listing, everything of the control plane, and the storage."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import httpx2

from deltaglider_proxy.engine import names
from deltaglider_proxy.storage.backend import Backend, Stored
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.soak.administrator import CONFIG, KEY, NAMES, USER, Administrator, config_state, key_is_known
from tests.soak.calls import Reply, call
from tests.soak.content import Content
from tests.soak.findings import Outcome
from tests.soak.ledger import ABSENT
from tests.soak.objects import BUCKET, PREFIX, Target, fits, listing, path_of, seen
from tests.soak.place import Place
from tests.support.engine.audit import Violation, litter, nothing_dangles, references_fit
from tests.support.server import Server
from tests.support.storage.s3 import opened, settings_for, verdicts_of

PATIENCE = 30.0
"""Seconds for which something may still be refused."""
_YEAR = 400 * 86_400.0
_STAGED = (names.UPLOADS, names.PARTS)


def objects(target: Target) -> int:
    """Every name reads as something that it may be, and everything that shows it agrees; how many there are."""
    ask = partial(call, target.wire, target.findings)
    shown = listing(lambda query: _patiently(lambda: ask("GET", f"/{BUCKET}", query)), "", 7) or {}
    whole = listing(lambda query: _patiently(lambda: ask("GET", f"/{BUCKET}", query)), "", 1000) or {}
    if shown != whole:
        target.findings.add("wrong listing", BUCKET, f"pages of 7 and of 1000 differ: {set(shown) ^ set(whole)}")
    known = {name[len(PREFIX) :] for name in target.ledger.names(PREFIX)}
    for key in set(whole) - known:
        target.findings.add("foreign", key, "is listed, but nobody has ever asked for it")
    for key in sorted(known):
        _object(target, key, whole.get(key))
    return len(whole)


def _patiently(ask: Callable[[], Reply]) -> Reply:
    deadline = time.monotonic() + PATIENCE
    while True:
        reply = ask()
        if reply.outcome is Outcome.DONE or reply.status == 404 or time.monotonic() > deadline:
            return reply
        time.sleep(0.2)


def _object(target: Target, key: str, listed: tuple[int, str] | None) -> None:
    add = target.findings.add
    reply = _patiently(lambda: call(target.wire, target.findings, "GET", path_of(key)))
    answer = reply.answer
    state: str | None = None
    if reply.why == "404 NoSuchKey":
        state = ABSENT
    elif answer is not None and reply.status == 200:
        state = seen(answer, target.findings, key)
    else:
        add("unreadable", key, f"GET: {reply.why}; allowed {_allowed(target, key)}")
    if state is None:
        return
    target.findings.read()
    if state not in target.ledger.allowed(PREFIX + key, target.ledger.now):
        add("lost" if state == ABSENT else "wrong state", key, f"is {state or 'gone'}, allowed {_allowed(target, key)}")
    if (listed is None) != (state == ABSENT) or (listed is not None and not fits(state, listed[0])):
        add("wrong listing", key, f"is listed as {listed}, but reads as {state or 'nothing'}")
    if answer is not None and state != ABSENT and listed is not None and (etag := answer.headers["etag"]) != listed[1]:
        if target.on_service and "-" in etag:
            # A service lists its own ETag of bytes that are stored as they are, and not that of the parts.
            target.findings.remark("an object of parts is listed with another ETag than it reads with")
        else:
            add("wrong listing", key, f"is listed with {listed[1]}, but reads with {etag}")
    if state != ABSENT:
        _attributes(target, key, state)
    target.ledger.settle(PREFIX + key, state)


def _allowed(target: Target, key: str) -> list[str]:
    return sorted(target.ledger.allowed(PREFIX + key, target.ledger.now))


def _attributes(target: Target, key: str, state: str) -> None:
    """Tags and long metadata, of the objects that have them."""
    ask = partial(call, target.wire, target.findings)
    content = Content.of(state)
    if content.variant % 7 == 0:
        reply = _patiently(lambda: ask("HEAD", path_of(key)))
        if reply.answer is None or len(reply.answer.headers.get("x-amz-meta-long", "")) != 1900:
            target.findings.add("wrong metadata", key, f"{state} has lost its long metadata: {reply.why}")
    if content.variant % 5 == 0:
        reply = _patiently(lambda: ask("GET", path_of(key), "tagging="))
        if reply.answer is None or reply.status != 200 or reply.answer.element("Value") != state:
            target.findings.add("wrong tags", key, f"{state} has the tags {reply.answer and reply.answer.body!r}")


def control_plane(target: Target, admin: Administrator, server: Server) -> None:
    """Users, keys and configuration are as they were asked to be, on every worker, and in the file."""
    observed = _observed(admin)
    for name, state in observed.items():
        allowed = target.ledger.allowed(name, target.ledger.now)
        if state not in allowed:
            target.findings.add("wrong control plane", name, f"is {state or 'nothing'}, allowed {sorted(allowed)}")
        target.ledger.settle(name, state)
    for user in NAMES:
        key, state = observed[KEY + user], observed[USER + user]
        if key.isdigit() and state.isdigit():
            number, enabled = int(key), bool(int(state) % 3)
            _everywhere(target, f"key of {user}", partial(_key_counts, server, user, number, enabled=enabled))
    _everywhere(target, "configuration", lambda: config_state(admin.ask("GET", _ADVANCED).json()) == observed[CONFIG])
    if observed[CONFIG].isdigit() and f"max_object_size: {(1 << 30) + int(observed[CONFIG])}" not in (
        server.config.read_text()
    ):
        target.findings.add("wrong control plane", CONFIG, f"is {observed[CONFIG]}, but the file says otherwise")


_ADVANCED = "/admin/config/section/advanced"


def _key_counts(server: Server, user: str, number: int, *, enabled: bool) -> bool:
    return key_is_known(server, user, number) == enabled


def _observed(admin: Administrator) -> dict[str, str]:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return admin.observed()
        except httpx2.HTTPError:
            admin.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _everywhere(target: Target, name: str, holds: Callable[[], bool]) -> None:
    """On the workers that several new connections reach; a change may take a moment to get there."""
    deadline = time.monotonic() + 10
    good = 0
    while good < 4:
        if holds():
            good += 1
        elif time.monotonic() > deadline:
            target.findings.add("wrong control plane", name, "does not hold on every worker after 10 s")
            return
        else:
            good = 0
            time.sleep(0.1)


def storage(target: Target, place: Place) -> int:
    """With the server stopped, everything that is not needed can be removed, and nothing that is; how much was."""
    place.stop()
    before = place.clock.passed
    if place.service is None:  # which would not take requests of another time
        place.clock.set(wall=_YEAR, passed=before + _YEAR)
    done = place.command("bucket", "gc", "--now", BUCKET)
    place.clock.set(wall=0.0, passed=before)
    if done.returncode:
        target.findings.add("collection", BUCKET, f"bucket gc ended with {done.returncode}: {done.stderr[-500:]}")
        return 0
    asyncio.run(_audit(target, place))
    return int(done.stderr.partition("removed ")[2].split()[0])


async def _audit(target: Target, place: Place) -> None:
    async with _backend(place) as backend:
        try:
            await nothing_dangles(backend)
            await references_fit(backend)
        except Violation as violation:
            target.findings.add("storage", BUCKET, str(violation))
        left = await litter(backend, BUCKET)
        page = await backend.list(BUCKET, names.INTERNAL, "")
        staged = {e.key for e in page.entries if isinstance(e, Stored) and e.key.startswith(_STAGED)}
        left = left | staged if place.service is None else left - staged  # there no time has passed for uploads
        if left:
            target.findings.add("leftovers", BUCKET, f"{len(left)} internal keys that nobody needs: {sorted(left)[:5]}")
    own = place.server.data / ".deltaglider.fs"
    files = [str(path) for name in ("tmp", "trash") for path in (own / name).rglob("*") if path.is_file()]
    spool = [str(path) for path in (place.server.root / "cache" / "spool").rglob("*") if path.is_file()]
    if files or spool:
        target.findings.add("leftovers", "files", f"{len(files + spool)} left: {(files + spool)[:5]}")


@asynccontextmanager
async def _backend(place: Place) -> AsyncIterator[Backend]:
    if place.service is not None:
        root = place.server.root
        async with opened(settings_for(place.service, root), await verdicts_of(place.service, root)) as service:
            yield service
        return
    pool = Pool(2)
    backend = FilesystemBackend(place.server.data, pool, SystemClock())
    try:
        yield backend
    finally:
        await backend.close()
        pool.close()
