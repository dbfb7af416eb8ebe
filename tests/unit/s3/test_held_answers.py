"""Who guesses waits for the answer, as long as there is room to wait; others are never kept."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from deltaglider_proxy.access.authenticator import Authenticator, Caller, Moment
from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.state import AccessState
from deltaglider_proxy.s3.call import S3Settings
from tests.support.engine.nodes import BUCKET, InlinePool
from tests.support.engine.place import Place
from tests.support.s3_app import NEVER, app, ask, captured_log

HELD = 32


class Suspicious(Authenticator):
    """Takes every signature for a guess."""

    @override
    def request(
        self,
        state: AccessState,
        method: str,
        raw_path: bytes,
        query: bytes,
        headers: Mapping[bytes, bytes],
        at: Moment,
    ) -> Caller:
        if b"authorization" in headers:
            error = AccessError(Reason.BAD_SIGNATURE, "No.")
            error.delay = NEVER
            raise error
        return super().request(state, method, raw_path, query, headers, at)


async def test_guesses_wait_and_nobody_else(tmp_path: Path) -> None:
    place = Place(tmp_path)
    await place.begin()
    target = app(place.process().engine, tmp_path / "run", S3Settings(1 << 20), InlinePool(), Suspicious())
    signed = [(b"authorization", b"guess")]
    with captured_log():
        waiting = [asyncio.create_task(ask(target, "GET", f"/{BUCKET}", headers=signed)) for _ in range(HELD)]
        assert (await ask(target, "GET", f"/{BUCKET}")).status == 200
        assert (await ask(target, "GET", f"/{BUCKET}", headers=signed)).status == 403
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        last = asyncio.create_task(ask(target, "GET", f"/{BUCKET}", headers=signed))
        assert (await ask(target, "GET", f"/{BUCKET}")).status == 200
        assert not last.done()
        last.cancel()
    await place.close()
