import pytest

from deltaglider_proxy.cli.s3.counting import STATS, Count, Found, Health, grade
from deltaglider_proxy.codecs.container import MODULUS, RESIDUE
from deltaglider_proxy.engine import names
from deltaglider_proxy.engine.family import deltaspace_of
from deltaglider_proxy.storage.backend import Stored

KIB = 1 << 10


@pytest.mark.parametrize(
    ("deltas", "reference", "health"),
    [
        ([50], 100, Health.POOR),
        ([49], 100, Health.FAIR),
        ([20], 100, Health.FAIR),
        ([19], 100, Health.GOOD),
        ([6], 100, Health.GOOD),
        ([5], 100, Health.EXCELLENT),
        ([200 * KIB], 4000 * KIB, Health.EXCELLENT),
        ([201 * KIB], 402_000 * KIB, Health.GOOD),
        ([1, 2, 99], 100, Health.EXCELLENT),
        ([5], 0, Health.NO_REFERENCE),
        ([5], None, Health.NO_REFERENCE),
    ],
)
def test_grades(deltas: list[int], reference: int | None, health: Health) -> None:
    assert grade(deltas, reference) is health


def test_a_listing_is_sorted_by_what_things_are() -> None:
    found = Found()
    deltaspace = deltaspace_of("a/fw-1.bin", by_prefix=False)
    reference = names.INTERNAL + names.reference(deltaspace, "0" * 64)
    things = {
        "a/fw-1.bin": MODULUS + RESIDUE,
        "a/fw-2.bin": RESIDUE,
        "a/notes": RESIDUE + 1,
        ".deltaglider/~mine": RESIDUE + 2,
        reference: 5000,
        reference + names.FACTS_SUFFIX: 70,
        names.condemned(reference): 30,
        f"{STATS}quick.json": 1000,
        names.FIRSTS + deltaspace: 40,
    }
    for key, size in things.items():
        found.add(Stored(key, size, "", 0.0, None))
    assert found.objects == 4
    assert found.stored == sum(things.values()) - 1000
    assert found.as_they_are == 2 * RESIDUE + 3
    assert {space: len(each) for space, each in found.containers.items()} == {deltaspace: 2}
    assert found.references == {reference.removeprefix(names.INTERNAL): 5000}
    assert found.largest == {deltaspace: 5000}


def test_nothing_saves_nothing() -> None:
    assert Count(0, 0, 100, {}).savings == 0
    assert Count(2, 200, 50, {}).savings == 75
