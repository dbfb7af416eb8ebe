"""The command: what its input says, how it is run, and what happens when it cannot."""

import contextlib
import os
import resource
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.legacy import vcdiff
from deltaglider_proxy.engine.legacy.vcdiff import Header
from tests.fixtures.legacy import older

PATIENCE = 20.0


def opened(data: bytes) -> int:
    descriptor = os.memfd_create("input")
    os.write(descriptor, data)
    return descriptor


async def decoded(base: bytes, delta: bytes) -> bytes:
    one, two = opened(base), opened(delta)
    try:
        async with vcdiff.decoding(one, two, PATIENCE) as chunks:
            return b"".join([chunk async for chunk in chunks])
    finally:
        os.close(one)
        os.close(two)


@pytest.mark.parametrize(
    ("start", "header"),
    [
        ("d6c3c40000", Header()),
        ("d6c3c4000102", Header()),
        ("d6c3c4000400", Header()),
        ("d6c3c400050205" + b"-//s/".hex(), Header()),
        ("d6c3c400050206" + b"t//s/G".hex(), Header("", "G")),
        ("d6c3c400050207" + b"t/Y/s/G".hex(), Header("Y", "G")),
        ("d6c3c40004808007" + b"t/Y/s/G".hex(), Header("Y", "G")),
        ("d6c3c400050202" + b"ab".hex(), Header()),
    ],
)
def test_headers(start: str, header: Header) -> None:
    assert vcdiff.read_header(bytes.fromhex(start)) == header


@pytest.mark.parametrize(
    "start", [b"", b"\xd6\xc3\xc4", b"PK\x03\x04....", b"DGE1" + bytes(20), b"\xd6\xc3\xc4\x00\x04\xff"]
)
def test_what_is_no_delta(start: bytes) -> None:
    with pytest.raises(errors.Corrupt):
        vcdiff.read_header(start)


def test_a_table_of_instructions() -> None:
    with pytest.raises(errors.Corrupt, match="table"):
        vcdiff.read_header(b"\xd6\xc3\xc4\x00\x02")


@given(st.binary(max_size=40).map(lambda rest: b"\xd6\xc3\xc4\x00" + rest))
def test_any_header_is_read_or_refused(start: bytes) -> None:
    with contextlib.suppress(errors.Corrupt):
        vcdiff.read_header(start)


async def test_the_command_is_run_as_it_was_written_for() -> None:
    base, data = os.urandom(5000), os.urandom(100)
    assert await decoded(base, older.encode(base, base + data, "-D")) == base + data


async def test_names_in_a_header_are_no_paths() -> None:
    """The command is given open files; what a header calls them is not looked for."""
    base = os.urandom(500)
    delta = older.encode(base, base + b"x", "-D", "-A=/etc/passwd//../../etc/shadow/")
    assert await decoded(base, delta) == base + b"x"


async def test_damage_is_reported_with_what_the_command_says() -> None:
    base = os.urandom(5000)
    delta = bytearray(older.encode(base, base + b"more", "-D"))
    delta[-1] ^= 1
    with pytest.raises(errors.Corrupt, match="xdelta3"):
        await decoded(base, bytes(delta))


async def test_a_command_that_hangs_is_ended() -> None:
    async with vcdiff.running("sleep", "60") as process:
        with pytest.raises(errors.Busy):
            await anext(vcdiff.output(process, 0.05))
    assert process.returncode == -9


async def test_memory_is_bounded() -> None:
    async with vcdiff.running("sleep", "60") as process:
        assert resource.prlimit(process.pid, resource.RLIMIT_AS)[0] == 2 << 30


async def test_leaving_early_ends_the_command() -> None:
    async with vcdiff.running("yes") as process:
        async for chunk in vcdiff.output(process, PATIENCE):
            assert chunk.startswith(b"y\ny\n")
            break
    assert process.returncode == -9


async def test_the_environment_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDELTA", "-n")
    async with vcdiff.running("env") as process:
        assert b"".join([chunk async for chunk in vcdiff.output(process, PATIENCE)]) == b"LC_ALL=C\n"


async def test_a_command_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", tempfile.gettempdir())
    with pytest.raises(errors.Unsupported, match="xdelta3 is needed"):
        await decoded(b"", b"")
