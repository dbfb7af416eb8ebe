"""Files to send: versions of one thing, which the server stores as deltas, under names that clients get wrong."""

import os
from pathlib import Path
from random import Random

_WRITTEN = 1_750_000_000

ODD_NAMES = (
    "plain.txt",
    "two words.txt",
    "plus+plus.txt",
    "percent%41%2F.txt",
    "ünï-☃-文.txt",
    "amp&eq=semi;comma,.txt",
    "hash#at@.txt",
    "quote'(paren)!~.txt",
    ".hidden",
    "deep/er/and deeper/file",
)


def releases(seed: int, size: int, count: int) -> list[bytes]:
    """A few edits, insertions and deletions apart."""
    rng = Random(seed)
    current = bytearray(rng.randbytes(size))
    versions = [bytes(current)]
    for _ in range(count - 1):
        for _ in range(5):
            at = rng.randrange(len(current))
            current[at : at + rng.randrange(200)] = rng.randbytes(rng.randrange(1, 300))
        versions.append(bytes(current))
    return versions


def tree(folder: Path, seed: int) -> dict[str, bytes]:
    """Writes small files under odd names and three releases; what is in it, by names relative to the folder."""
    rng = Random(seed)
    files = {name: rng.randbytes(rng.randrange(1, 3000)) for name in ODD_NAMES}
    files["empty"] = b""
    files |= {f"releases/app-1.{number}.tar": data for number, data in enumerate(releases(seed, 300_000, 3))}
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        # Listings give whole seconds: a file written in the second of its upload would look newer than the object.
        os.utime(path, (_WRITTEN, _WRITTEN))
    return files


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
