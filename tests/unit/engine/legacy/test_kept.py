"""The files that are kept: within a budget, of this boot only, never more than one maker."""

import asyncio
from pathlib import Path

import pytest

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.legacy.kept import Kept
from tests.support.engine.place import Place


async def put(kept: Kept, name: str, size: int) -> None:
    async with kept.alone(name):
        file = kept.scratch()
        file.append(bytes(size))
        await kept.keep(name, file)
        file.close()


async def has(kept: Kept, name: str) -> bool:
    file = await kept.open(name)
    if file is None:
        return False
    file.close()
    return True


@pytest.fixture
def directory(place: Place) -> Path:
    return place.directory / "cache" / "legacy"


def kept_by(place: Place, cache_bytes: int = 1 << 20, codec_timeout: float = 60.0) -> Kept:
    process = place.process(cold=False, cache_bytes=cache_bytes, codec_timeout=codec_timeout)
    return Kept(process.engine.ctx)


async def test_nothing_is_made_before_it_is_needed(place: Place, directory: Path) -> None:
    kept = kept_by(place)
    assert not await has(kept, "a")
    assert not directory.exists()


async def test_what_is_kept_is_found_by_others(place: Place) -> None:
    await put(kept_by(place), "a", 10)
    file = await kept_by(place).open("a")
    assert file is not None
    assert (file.size, file.read(0, 20)) == (10, bytes(10))
    file.close()


async def test_the_budget_holds_and_the_newest_stays(place: Place, directory: Path) -> None:
    kept = kept_by(place, cache_bytes=100)
    for number in range(5):
        await put(kept, str(number), 40)
        assert await has(kept, str(number))
        assert sum(path.stat().st_size for path in directory.glob("*/*")) <= 100
    await put(kept, "large", 1000)
    assert await has(kept, "large")
    assert not await has(kept, "4")


async def test_readers_keep_what_is_removed(place: Place) -> None:
    kept = kept_by(place, cache_bytes=100)
    await put(kept, "a", 60)
    file = await kept.open("a")
    assert file is not None
    await put(kept, "b", 60)
    assert not await has(kept, "a")
    assert file.read(0, 60) == bytes(60)
    file.close()


async def test_no_budget_keeps_nothing(place: Place) -> None:
    kept = kept_by(place, cache_bytes=0)
    await put(kept, "a", 10)
    assert not await has(kept, "a")


async def test_another_boot_begins_anew(place: Place, directory: Path) -> None:
    await put(kept_by(place), "a", 10)
    place.clock.boot = "boot-2"
    kept = kept_by(place)
    assert not await has(kept, "a")
    await put(kept, "b", 10)
    assert len([path for path in directory.iterdir() if path.is_dir()]) == 1


async def test_one_maker_at_a_time(place: Place) -> None:
    kept, other = kept_by(place, codec_timeout=0.005), kept_by(place, codec_timeout=0.005)
    async with kept.alone("a"):
        with pytest.raises(errors.Busy):
            async with other.alone("a"):
                raise AssertionError("the first one still makes it")
        async with other.alone("b"), asyncio.timeout(10):
            pass
    async with other.alone("a"):
        pass
