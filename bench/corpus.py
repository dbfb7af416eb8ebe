"""Series of files that resemble one another the way real ones do, generated from a seed so that every run has the same.

Each series is a list of versions. What changes between two versions, and what stays, is what the name promises: a
firmware image has one rebuilt module, a few edited files and a new one that shifts the rest; a dump has changed and
appended rows.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

MIB = 1 << 20


@dataclass(frozen=True)
class Version:
    name: str
    content: bytes


def firmware(versions: int, size: int, seed: int = 1) -> Iterator[Version]:
    """Tar files `firmware-1.N.0.tar` of about `size` bytes."""
    rng = Random(seed)
    module = 512 * 1024
    modules = [_machine_code(rng, module) for _ in range(max(1, size * 9 // 10 // module))]
    texts = [_prose(rng, 4096) for _ in range(max(1, size // 10 // 4096))]
    for number in range(versions):
        if number:
            modules[rng.randrange(len(modules))] = _machine_code(rng, module)
            for _ in range(len(modules) // 4):
                place = rng.randrange(len(modules))
                modules[place] = _patched(rng, modules[place], 20)
            for _ in range(len(texts) // 20):
                texts[rng.randrange(len(texts))] = _prose(rng, 4096)
            texts.insert(rng.randrange(len(texts)), _prose(rng, 4096))
        yield Version(f"firmware-1.{number}.0.tar", _tar(modules, texts))


def database_dumps(versions: int, size: int, seed: int = 2) -> Iterator[Version]:
    """Text files `backup-2026-01-DD.sql` of about `size` bytes."""
    rng = Random(seed)
    rows = [_row(rng, number) for number in range(size // 120)]
    for day in range(versions):
        if day:
            for _ in range(len(rows) // 200):
                number = rng.randrange(len(rows))
                rows[number] = _row(rng, number)
            rows += [_row(rng, number) for number in range(len(rows), len(rows) + len(rows) // 100)]
        yield Version(f"backup-2026-01-{day + 1:02d}.sql", "".join(rows).encode())


def unrelated(versions: int, size: int, seed: int = 3) -> Iterator[Version]:
    """Files of random bytes, of which nothing can be saved."""
    rng = Random(seed)
    for _ in range(versions):
        yield Version(f"{rng.randbytes(6).hex()}.jpg", rng.randbytes(size))


def _machine_code(rng: Random, size: int) -> bytes:
    """Bytes that compress about as well as compiled code: mostly known instructions, some of them new."""
    known = [rng.randbytes(rng.choice((2, 3, 4, 5, 7))) for _ in range(4000)]
    picks = rng.choices(known, k=size // 4)
    literals = rng.randbytes(size // 3)
    stretch = 96
    code = b"".join(picks)
    pieces = (
        code[at : at + stretch] + literals[at // 3 : at // 3 + stretch // 3] for at in range(0, len(code), stretch)
    )
    return b"".join(pieces)[:size]


def _patched(rng: Random, content: bytes, edits: int) -> bytes:
    changed = bytearray(content)
    for _ in range(edits):
        at = rng.randrange(len(changed) - 8)
        changed[at : at + 8] = rng.randbytes(8)
    return bytes(changed)


def _prose(rng: Random, size: int) -> bytes:
    words = ["option", "value", "interface", "route", "enable", "default", "timeout", "address", "static", "module"]
    lines = (f"{rng.choice(words)}.{rng.choice(words)} = {rng.randrange(100_000)}\n" for _ in range(size // 20))
    return "".join(lines).encode()[:size]


def _tar(modules: list[bytes], texts: list[bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for folder, contents in (("etc", texts), ("lib", modules)):
            for number, content in enumerate(contents):
                member = tarfile.TarInfo(f"{folder}/{number:05d}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _row(rng: Random, number: int) -> str:
    token, amount = rng.getrandbits(96), rng.randrange(1_000_000)
    return (
        f"INSERT INTO orders VALUES ({number}, 'customer-{number * 7919 % 50_000:05d}', "
        f"'{token:024x}', {amount / 100:.2f}, '2026-01-01 00:00:00', 'open');\n"
    )
