import logging
from collections.abc import Iterator

import pytest
import structlog

from deltaglider_proxy.ops.cache_monitor import INTERVAL, CacheSample, startup_notices, warnings, watch

W, I = logging.WARNING, logging.INFO  # noqa: E741 - reads as the column of the table below


@pytest.mark.parametrize(
    ("size", "level", "parts"),
    [
        (0, W, ["DISABLED", "DGP_CACHE_MB", "cache_size_mb"]),
        (1, W, ["1 MB", "1024", "DGP_CACHE_MB", "cache_size_mb"]),
        (1023, W, ["1023 MB", "1024", "DGP_CACHE_MB", "cache_size_mb"]),
        (1024, I, ["1024 MB"]),
        (4096, I, ["4096 MB"]),
    ],
)
def test_the_startup_line_of_the_reference_cache(size: int, level: int, parts: list[str]) -> None:
    notice = startup_notices(size, 50)[0]
    assert notice.level == level
    assert notice.text.startswith("[cache] ")
    assert all(part in notice.text for part in parts)
    assert ("DISABLED" in notice.text) is (size == 0)


@pytest.mark.parametrize(("size", "level", "part"), [(0, W, "DISABLED"), (1, I, "1 MB"), (200, I, "200 MB")])
def test_the_startup_line_of_the_metadata_cache(size: int, level: int, part: str) -> None:
    notice = startup_notices(1024, size)[1]
    assert (notice.level, notice.text.startswith("[cache] "), part in notice.text) == (level, True, True)


def sample(size: int = 0, capacity: int = 1000 << 20, hits: int = 0, misses: int = 0) -> CacheSample:
    return CacheSample(size, capacity, 12, hits, misses)


@pytest.mark.parametrize(
    ("size", "capacity", "warns"), [(900, 1000, False), (901, 1000, True), (1000, 1000, True), (5, 0, False)]
)
def test_full_is_above_ninety_percent(size: int, capacity: int, warns: bool) -> None:
    found = warnings(sample(), sample(size << 20, capacity << 20))
    assert bool(found) is warns
    if warns and size == 901:
        assert all(part in found[0] for part in ("[cache] 90.1% full", "901 of 1000 MB", "12 entries"))


@pytest.mark.parametrize(
    ("hits", "misses", "warns"),
    [
        (0, 9, False),
        (0, 10, True),
        (5, 5, False),
        (4, 6, True),
        (50, 50, False),
        (49, 51, True),
        (100, 0, False),
        (0, 0, False),
    ],
)
def test_thrashing_is_more_than_half_of_at_least_ten(hits: int, misses: int, warns: bool) -> None:
    found = warnings(sample(hits=1000, misses=5000), sample(hits=1000 + hits, misses=5000 + misses))
    assert bool(found) is warns
    if warns:
        assert f"{misses} of {hits + misses}" in found[0]


def test_both_can_be_wrong() -> None:
    assert len(warnings(sample(), sample(999 << 20, misses=10))) == 2


class Stop(Exception):
    pass


@pytest.fixture
def log() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


async def test_the_loop_compares_with_the_interval_before_and_sees_a_resize(
    log: list[structlog.typing.EventDict],
) -> None:
    samples = iter(
        [
            sample(hits=0, misses=100),
            sample(hits=100, misses=110),
            sample(hits=100, misses=130),
            sample(90 << 20, 95 << 20, hits=100, misses=130),
        ]
    )
    pauses: list[float] = []

    async def read() -> CacheSample:
        return next(samples)

    async def pause(seconds: float) -> None:
        if len(pauses) == 3:
            raise Stop
        pauses.append(seconds)

    with pytest.raises(Stop):
        await watch(read, pause)
    assert pauses == [INTERVAL] * 3
    assert [(line["log_level"], line["event"].split(";")[0]) for line in log] == [
        ("warning", "[cache] 100.0% misses: 20 of 20 uses in the last interval"),
        ("warning", "[cache] 94.7% full: 90 of 95 MB in 12 entries"),
    ]
