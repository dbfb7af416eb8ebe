"""Who may try to sign in: neither guesses without end nor owners who are locked out by strangers."""

import asyncio
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from deltaglider_proxy.access.failure_limit import FailureLimit, Limits
from deltaglider_proxy.access.known_addresses import KnownAddresses
from deltaglider_proxy.admin.password_checks import PasswordChecks
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.throttle import Throttle

HOME, AWAY = "192.0.2.1", "198.51.100.7"
LIMIT = 5

Attempt = Callable[[str, str], Throttle]


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    limits = Limits(attempts=LIMIT, window=300.0, lockout=600.0)
    addresses, accounts = FailureLimit(tmp_path / "addresses", limits), FailureLimit(tmp_path / "accounts", limits)
    known = KnownAddresses(tmp_path / "known")

    def at(address: str, account: str) -> Throttle:
        return Throttle(addresses, accounts, known, "login", ip_address(address), account, 1000.0)

    yield at
    for each in (addresses, accounts, known):
        each.close()


def guesses(attempt: Attempt, address: str, account: str, between: Callable[[], None] = lambda: None) -> int:
    """How many attempts are listened to, of many."""
    for number in range(10 * LIMIT):
        between()
        try:
            attempt(address, account).failed()
        except ApiError:
            return number
    return 10 * LIMIT


@pytest.mark.parametrize("owner_is_here", [False, True])
def test_who_signs_in_elsewhere_in_between_guesses_no_more_often(attempt: Attempt, owner_is_here: bool) -> None:
    if owner_is_here:
        attempt(HOME, "owner").succeeded()
    assert guesses(attempt, HOME, "owner", lambda: attempt(HOME, "insider").succeeded()) == LIMIT


def test_strangers_do_not_lock_an_owner_out(attempt: Attempt) -> None:
    attempt(HOME, "owner").succeeded()
    assert guesses(attempt, AWAY, "owner") == LIMIT
    attempt(HOME, "owner").succeeded()


def test_an_address_is_known_for_those_who_signed_in_there_alone(attempt: Attempt) -> None:
    attempt(HOME, "insider").succeeded()
    assert guesses(attempt, AWAY, "owner") == LIMIT
    with pytest.raises(ApiError):
        attempt(HOME, "owner")


def test_one_address_does_not_guess_at_many_accounts(attempt: Attempt) -> None:
    for number in range(LIMIT):
        attempt(AWAY, f"user{number}").failed()
    with pytest.raises(ApiError):
        attempt(AWAY, "another")


async def test_guesses_that_come_at_once_are_held_to_the_limit(attempt: Attempt) -> None:
    checks, checked = PasswordChecks(), 0

    async def guess() -> None:
        nonlocal checked
        async with attempt(AWAY, "owner").while_checked(checks):
            checked += 1

    outcomes = await asyncio.gather(*(guess() for _ in range(10 * LIMIT)), return_exceptions=True)
    assert checked == LIMIT
    assert {error.status for error in outcomes if isinstance(error, ApiError)} == {429}


async def test_few_wait_for_a_check_and_the_others_are_not_counted(attempt: Attempt) -> None:
    checks, go = PasswordChecks(), asyncio.Event()

    async def guess(number: int) -> None:
        async with attempt(f"198.51.100.{number}", f"user{number}").while_checked(checks):
            await go.wait()

    tasks = [asyncio.ensure_future(guess(number)) for number in range(40)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [error.status for error in outcomes if isinstance(error, ApiError)]
    assert refused == [503] * (40 - 8)
    await guess(50)
