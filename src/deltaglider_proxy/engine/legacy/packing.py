"""Undoing and redoing what xdelta3 did to packed files before it compared them.

Without `-D`, which the older client never gave, the command unpacks gzip, bzip2 and xz files and compares what is
inside. A packed source only has to be unpacked again. A packed target has to be packed again into the very same bytes,
which no standard promises; the likely programs and levels are tried until the digest fits, and if none does the object
cannot be rebuilt. zlib and GNU gzip make different streams of the same input, so both are tried.
"""

import bz2
import gzip
import hashlib
import lzma
import os
import struct
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol

import structlog

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.legacy import vcdiff
from deltaglider_proxy.engine.legacy.kept import Scratch

_log = structlog.get_logger("deltaglider_proxy.legacy")

_STEP = 1 << 20
_ATTEMPTS_TIME = 10
"""Times the limit for one frame that all attempts to pack a file may take together."""


class Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Gzip:
    """What follows a gzip header (RFC 1952)."""

    def __init__(self, level: int) -> None:
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = 0
        self._size = 0

    def compress(self, data: bytes) -> bytes:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        return self._deflate.compress(data)

    def flush(self) -> bytes:
        return self._deflate.flush() + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to pack a file: a compressor of ours, or else a command that filters."""

    compressor: Callable[[], Compressor] | None = None
    command: tuple[str, ...] = ()
    headers: tuple[bytes, ...] = (b"",)
    """What may stand before its output, all of one length."""


def _gzip_headers(level: int) -> tuple[bytes, ...]:
    """Without name and time, which nobody could know: by zlib, by Go, Java and others."""
    effort = {9: 2, 1: 4}.get(level, 0)
    flags = dict.fromkeys([(effort, 3), (0, 3), (0, 255), (effort, 255), (0, 0)])
    return tuple(b"\x1f\x8b\x08" + bytes(5) + bytes(pair) for pair in flags)


def recipes(code: str) -> Iterator[Recipe]:
    """The likely ones first. Raises Unsupported."""
    match code:
        case "G":
            for level in (6, 9):
                yield Recipe(command=("gzip", "-n", "-c", f"-{level}"))
                yield Recipe(partial(_Gzip, level), headers=_gzip_headers(level))
            for level in (1, 2, 3, 4, 5, 7, 8):
                yield Recipe(command=("gzip", "-n", "-c", f"-{level}"))
                yield Recipe(partial(_Gzip, level), headers=_gzip_headers(level))
        case "B":
            for level in (9, 6, 1, 8, 7, 5, 4, 3, 2):
                yield Recipe(partial(bz2.BZ2Compressor, level))
        case "Y":
            for preset in (6, 9, 6 | lzma.PRESET_EXTREME, 9 | lzma.PRESET_EXTREME, 3, 0, 1, 2, 4, 5, 7, 8):
                yield Recipe(partial(lzma.LZMACompressor, preset=preset))
            yield Recipe(command=("xz", "-T0", "-c", "-6"))
        case _:
            raise errors.Unsupported(f"objects of the older layout that were packed with {code!r} cannot be rebuilt")


async def unpack(ctx: Context, code: str, packed: int, target: Scratch, limit: int) -> None:
    """Write what is in the open file `packed` to `target`. Raises Corrupt beyond `limit` bytes, Unsupported."""
    with open(f"/dev/fd/{packed}", "rb") as raw, _opened(code, raw) as source:  # noqa: PTH123, ASYNC230 - an open file
        while True:
            try:
                chunk = await ctx.codec_pool.run(source.read, _STEP)
            except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
                raise errors.Corrupt(f"a baseline of the older layout cannot be unpacked: {error}") from error
            if not chunk:
                return
            if target.size + len(chunk) > limit:
                raise errors.Corrupt(f"a baseline of the older layout unpacks to more than {limit} bytes")
            await ctx.pool.run(target.append, chunk)


def _opened(code: str, raw: BinaryIO) -> gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    match code:
        case "G":
            return gzip.GzipFile(fileobj=raw)
        case "B":
            return bz2.BZ2File(raw)
        case "Y":
            return lzma.LZMAFile(raw)
        case _:
            raise errors.Unsupported(f"objects of the older layout that were packed with {code!r} cannot be rebuilt")


async def repack(ctx: Context, code: str, plain: Scratch, target: Scratch, sha256: str, size: int) -> None:
    """Write to `target` the packed file of this digest and size that has `plain` in it. Raises Corrupt if none does."""
    until = ctx.clock.monotonic() + _ATTEMPTS_TIME * ctx.settings.codec_timeout
    for recipe in recipes(code):
        if ctx.clock.monotonic() > until:
            break
        await ctx.pool.run(target.truncate)
        try:
            if await _attempt(ctx, recipe, plain, target, sha256, size):
                return
        except (errors.Unsupported, errors.Corrupt) as error:
            _log.info("a way to pack a file cannot be tried", command=recipe.command, reason=str(error))
    raise errors.Corrupt(
        "an object of the older layout was packed by a program whose output cannot be made again byte for byte"
    )


async def _attempt(ctx: Context, recipe: Recipe, plain: Scratch, target: Scratch, sha256: str, size: int) -> bool:
    digests = [hashlib.sha256(header) for header in recipe.headers]
    target.append(recipe.headers[0])

    def take(chunk: bytes) -> bool:
        target.append(chunk)
        for digest in digests:
            digest.update(chunk)
        return target.size <= size

    output = _by_command(ctx, recipe, plain) if recipe.compressor is None else _packed(ctx, recipe.compressor(), plain)
    async with aclosing(output) as chunks:
        async for chunk in chunks:
            if not await ctx.codec_pool.run(take, chunk):
                return False
    for header, digest in zip(recipe.headers, digests, strict=True):
        if target.size == size and digest.hexdigest() == sha256:
            target.patch(header, 0)
            return True
    return False


async def _packed(ctx: Context, compressor: Compressor, plain: Scratch) -> AsyncGenerator[bytes, None]:
    def step(start: int) -> bytes:
        return compressor.compress(plain.read(start, min(start + _STEP, plain.size)))

    for start in range(0, plain.size, _STEP):
        yield await ctx.codec_pool.run(step, start)
    yield await ctx.codec_pool.run(compressor.flush)


async def _by_command(ctx: Context, recipe: Recipe, plain: Scratch) -> AsyncGenerator[bytes, None]:
    stdin = os.open(f"/dev/fd/{plain.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        async with vcdiff.running(*recipe.command, stdin=stdin) as process:
            async for chunk in vcdiff.output(process, ctx.settings.codec_timeout):
                yield chunk
    finally:
        os.close(stdin)
