"""VCDIFF deltas (RFC 3284) through the xdelta3 command, which wrote them and knows its own extensions.

The command works on open files and writes to a pipe, so its output is counted and hashed as it comes; one that writes
more than was announced, or nothing for too long, is ended, and its memory is bounded. It never unpacks or packs
anything itself: what the header says of that is done in `packing`, where it is bounded and checked.
"""

import asyncio
import resource
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from deltaglider_proxy.engine import errors

PROGRAM = "xdelta3"

_MAGIC = b"\xd6\xc3\xc4\x00"
_SECONDARY, _TABLE, _APPLICATION = 1, 2, 4
_STEP = 1 << 20
_MESSAGE = 2000
_MEMORY = 2 << 30
"""Bytes of address space, which hostile input could otherwise ask any number of."""
ENCRYPTED = b"DGE1"
HEADER = 4096
"""Bytes of a delta that are enough for `read_header`."""


@dataclass(frozen=True, slots=True)
class Header:
    """How source and target were packed before they were compared: `G`zip, `B`zip2, x`Z` as `Y`, or empty."""

    target: str = ""
    source: str = ""


def read_header(start: bytes) -> Header:
    """From the first bytes of a delta. Raises Corrupt for what is none, or of a kind that the command cannot read."""
    if start.startswith(ENCRYPTED):
        raise errors.Corrupt("a delta of the older layout is encrypted, and its metadata does not say so")
    if len(start) < 5 or not start.startswith(_MAGIC):
        raise errors.Corrupt("what should be a delta of the older layout is no VCDIFF (RFC 3284) stream")
    indicator, at = start[4], 5
    if indicator & _TABLE:
        raise errors.Corrupt("a delta of the older layout has an instruction table of its own, which nobody wrote")
    at += indicator & _SECONDARY
    if not indicator & _APPLICATION:
        return Header()
    length, at = _integer(start, at)
    fields = start[at : at + length].split(b"/")
    codes = [f.decode("ascii", "replace") for f in fields]
    return Header(codes[1], codes[3]) if len(codes) == 4 else Header()


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number, and where it ends."""
    value = 0
    for position in range(at, min(at + 5, len(data))):
        value = value << 7 | data[position] & 0x7F
        if not data[position] & 0x80:
            return value, position + 1
    raise errors.Corrupt("the header of a delta of the older layout is cut off")


@asynccontextmanager
async def running(*command: str, files: tuple[int, ...] = (), stdin: int | None = None) -> AsyncIterator[Process]:
    """A command with no environment and no shell, that ends with the block. Raises Unsupported if it is not there."""
    program = shutil.which(command[0])
    if program is None:
        raise errors.Unsupported(
            f"the command {command[0]} is needed to read objects of the older layout and was not found; "
            f"install it (Debian: the package {command[0]})"
        )
    process = await asyncio.create_subprocess_exec(
        program,
        *command[1:],
        stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
        stdout=PIPE,
        stderr=PIPE,
        pass_fds=files,
        env={"LC_ALL": "C"},
        limit=_STEP,
    )
    with suppress(ProcessLookupError):
        resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def output(process: Process, patience: float) -> AsyncGenerator[bytes, None]:
    """What the command writes, to its end. Raises Busy after `patience` seconds without a byte, Corrupt if it fails."""
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        while True:
            async with asyncio.timeout(patience):
                chunk = await process.stdout.read(_STEP)
            if not chunk:
                break
            yield chunk
        async with asyncio.timeout(patience):
            said = await process.stderr.read(_MESSAGE)
            code = await process.wait()
    except TimeoutError as error:
        raise errors.Busy("a command that rebuilds an object made no progress for codec_timeout_secs") from error
    if code:
        text = said.decode("utf-8", "replace").strip().splitlines()
        raise errors.Corrupt(f"a delta of the older layout cannot be decoded: {text[0] if text else f'exit {code}'}")


@asynccontextmanager
async def decoding(baseline: int, delta: int, patience: float) -> AsyncIterator[AsyncIterator[bytes]]:
    """The target of a delta, as two open files give it; still as it was when it was compared, that is unpacked."""
    command = (PROGRAM, "-d", "-q", "-D", "-R", "-c", "-s", f"/dev/fd/{baseline}", f"/dev/fd/{delta}")
    async with (
        running(*command, files=(baseline, delta)) as process,
        aclosing(output(process, patience)) as chunks,
    ):
        yield chunks
