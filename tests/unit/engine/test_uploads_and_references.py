import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deltaglider_proxy.engine import references
from deltaglider_proxy.engine.context import Context, Events
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.engine.errors import TooManyUploads
from deltaglider_proxy.engine.model import Attributes, Body, Kind
from deltaglider_proxy.engine.settings import EngineSettings
from deltaglider_proxy.storage.backends.memory import MemoryBackend
from deltaglider_proxy.telemetry.clock import ManualClock
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background
from tests.support.engine.bodies import edited, noise
from tests.support.engine.nodes import BUCKET
from tests.support.engine.place import Place


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, max(len(data), 1), 64 << 10):
        yield data[start : start + (64 << 10)]


async def test_parts_may_take_so_much_together_and_aborted_ones_give_it_back(tmp_path: Path) -> None:
    clock, pool, codec_pool = ManualClock(), Pool(2), Pool(1)
    settings = EngineSettings(tmp_path, tmp_path / "spool", max_staged_bytes=2500)
    engine = Engine(Context(MemoryBackend(clock), settings, clock, pool, codec_pool, Events(), Background()))
    await engine.create_bucket("bucket")
    first = await engine.create_upload("bucket", "key", Attributes(), None, None)
    for number in (1, 2):
        await engine.put_part("bucket", "key", first, number, Body(chunks(bytes(1000)), 1000))
    with pytest.raises(TooManyUploads):
        await engine.put_part("bucket", "key", first, 3, Body(chunks(bytes(1000)), 1000))
    await engine.abort_upload("bucket", "key", first)
    clock.advance(11)
    second = await engine.create_upload("bucket", "key", Attributes(), None, None)
    await engine.put_part("bucket", "key", second, 1, Body(chunks(bytes(1000)), 1000))
    await engine.close()
    pool.close()
    codec_pool.close()


async def test_small_objects_that_drift_get_a_reference_of_their_own(tmp_path: Path) -> None:
    clock, pool, codec_pool = ManualClock(), Pool(2), Pool(1)
    settings = EngineSettings(tmp_path, tmp_path / "spool")
    engine = Engine(Context(MemoryBackend(clock), settings, clock, pool, codec_pool, Events(), Background()))
    await engine.create_bucket("bucket")
    kinds = []
    for number, seed in enumerate([1, 1, 2, 2, 2]):
        data = random.Random(seed).randbytes(100_000) + bytes([number])
        info = await engine.put("bucket", f"v{number}", Body(chunks(data), len(data)), Attributes())
        kinds.append(info.kind)
        await engine.ctx.background.drain()
    assert kinds == [Kind.IDENTITY, Kind.DELTA, Kind.IDENTITY, Kind.DELTA, Kind.DELTA]
    await engine.close()
    pool.close()
    codec_pool.close()


@pytest.mark.parametrize("shift", [1 << 20, (1 << 20) + (300 << 10), (1 << 20) + (700 << 10)])
async def test_a_release_whose_head_lies_anywhere_in_the_first_one_becomes_a_delta(tmp_path: Path, shift: int) -> None:
    clock, pool, codec_pool = ManualClock(), Pool(2), Pool(1)
    settings = EngineSettings(tmp_path, tmp_path / "spool")
    engine = Engine(Context(MemoryBackend(clock), settings, clock, pool, codec_pool, Events(), Background()))
    await engine.create_bucket("bucket")
    first = random.Random(5).randbytes(6 << 20)
    kinds = []
    for number, data in enumerate([first, first[shift:]]):
        info = await engine.put("bucket", f"v{number}", Body(chunks(data), len(data)), Attributes())
        kinds.append(info.kind)
        await engine.ctx.background.drain()
    assert kinds == [Kind.IDENTITY, Kind.DELTA]
    await engine.close()
    pool.close()
    codec_pool.close()


async def test_what_resembles_none_of_all_references_is_compressed_alone(place: Place) -> None:
    node = place.process()
    for seed in range(references.MAX_REFERENCES):
        for edit in range(2):
            await node.put(f"v{2 * seed + edit}", edited(noise(seed, references.ALWAYS_TRIED + 5000), edit))
            await node.quiet()
    assert len(await place.references()) == references.MAX_REFERENCES
    for number, (data, kind) in enumerate([(text(400_000), Kind.DELTA), (noise(9, 400_000), Kind.IDENTITY)]):
        info = await node.put(f"v{100 + number}", data)
        assert info.kind is kind
        assert (info.stored_size < len(data) / 2) is (kind is Kind.DELTA)
        assert await node.read(f"v{100 + number}") == data
        assert await node.read(f"v{100 + number}", 300_000, 300_100) == data[300_000:300_100]
    await node.engine.collect(BUCKET)
    assert await place.process().read("v100") == text(400_000)


def text(size: int) -> bytes:
    choice = random.Random(7)
    words = [choice.randbytes(4).hex() for _ in range(300)]
    return " ".join(choice.choices(words, k=size // 9 + 1)).encode()[:size]
