import errno

import pytest

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.s3.failures import Tally, code_of, said
from deltaglider_proxy.cli.s3.locations import BadArgument
from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.translate import translated
from deltaglider_proxy.storage import errors as storage


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoSuchKey("k"), 8),
        (storage.NoSuchKey("k"), 8),
        (errors.NoSuchBucket("b"), 8),
        (storage.NoSuchBucket("b"), 8),
        (errors.Corrupt("x"), 9),
        (storage.Damaged("x"), 9),
        (storage.Denied("x"), 7),
        (errors.TooLarge(2, 1), 6),
        (storage.Unsupported("x"), 6),
        (storage.KeyRejected("x"), 6),
        (errors.Unavailable("x"), 5),
        (storage.Uncertain("x"), 5),
        (storage.Away("x"), 5),
        (OSError(errno.ENOSPC, "no space"), 3),
        (FileNotFoundError("x"), 3),
        (BadArgument("x"), 2),
        (BadArgument("x", ExitCode.PARSE), 4),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert code_of(error) == code
    assert said(error)


async def test_who_is_refused_is_known_above_the_engine() -> None:
    @translated
    async def refused() -> None:
        raise storage.Denied("403 AccessDenied")

    with pytest.raises(errors.Unavailable) as caught:
        await refused()
    assert code_of(caught.value) is ExitCode.UNAUTHENTICATED


def test_the_cap_names_its_flag() -> None:
    assert "--max-object-size-mb" in said(errors.TooLarge(3 << 20, 1 << 20))


@pytest.mark.parametrize(
    ("outcomes", "code", "only"), [([], 0, 0), ([True], 0, 0), ([False], 5, 8), ([True, False], 10, 8)]
)
def test_tallies(outcomes: list[bool], code: int, only: int, capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    for number, good in enumerate(outcomes):
        with tally.item(f"item-{number}"):
            if not good:
                raise errors.NoSuchKey("k")
    assert (tally.code, tally.only) == (code, only)
    assert tally.done == sum(outcomes)
    assert capsys.readouterr().err.count("error: item-") == outcomes.count(False)


def test_what_is_unexpected_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError), Tally().item("x"):
        raise ZeroDivisionError
