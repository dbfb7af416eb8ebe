"""Operations that meet: whatever their order, and whoever dies or is not answered, clients are told the truth and no
byte is lost. Which rule each situation is about, `test_broken_rules` shows by breaking it.
"""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.engine.explore import STORAGES, Explorer, Picks, Scenario, Storage
from tests.support.engine.scenes import SCENES
from tests.support.engine.stage import Cost

ONE_SWITCH = Cost(switches=1)
ANYTHING = Cost(switches=99, faults=2, deaths=1)


def hostile(scenario: Scenario) -> Scenario:
    """The same, where any process may die and any answer be lost."""
    return replace(scenario, can_fail=frozenset(a.process or name for name, a in scenario.actors.items()))


@pytest.mark.parametrize("name", SCENES)
async def test_orders_with_one_switch(name: str) -> None:
    await Explorer(SCENES[name]()).explore(ONE_SWITCH, most=100)


@pytest.mark.parametrize("name", SCENES)
async def test_orders_with_faults(name: str) -> None:
    await Explorer(hostile(SCENES[name]())).sample(40, 1, ANYTHING)


@pytest.mark.parametrize("storage", STORAGES, ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "delta PUT, collection",
        "promotion, overwrite",
        "promotion, equal overwrite",
        "PUT, PUT, GET",
        "Complete, collection",
    ],
)
async def test_orders_on_other_storage(name: str, storage: Storage) -> None:
    explorer = Explorer(hostile(replace(SCENES[name](), storage=storage)))
    await explorer.explore(ONE_SWITCH, most=15)
    await explorer.sample(10, 2, ANYTHING)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(list(SCENES)), numbers=st.lists(st.integers(0, 9), max_size=60), late_metadata=st.booleans()
)
def test_orders_that_hypothesis_picks(name: str, numbers: list[int], *, late_metadata: bool) -> None:
    scenario = hostile(SCENES[name]())
    storage = replace(scenario.storage, late_metadata=late_metadata)
    asyncio.run(Explorer(replace(scenario, storage=storage)).run(Picks(numbers, ANYTHING)))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SCENES)
async def test_all_orders_with_two_switches_a_fault_and_a_death(name: str) -> None:
    await Explorer(hostile(SCENES[name]())).explore(Cost(switches=2, faults=1, deaths=1), most=4_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("storage", STORAGES, ids=str)
async def test_many_orders_on_all_storage(storage: Storage) -> None:
    for scenario in SCENES.values():
        if scenario().storage == Storage():
            await Explorer(hostile(replace(scenario(), storage=storage))).sample(60, 3, ANYTHING)
