"""Putting and getting whole objects, and the keys that break storage."""

from collections.abc import Iterable

from deltaglider_proxy.storage.backend import Backend, Condition, Metadata, Page, Stored

BUCKET = "bucket"

ODD_KEYS = (
    "plain",
    "dir/file",
    "a",
    "a/b",
    "a/b/c",
    "a/",
    "a-b",
    "a.txt",
    "a//b",
    "/a",
    "/",
    "//",
    "a/./b",
    "a/../b",
    ".",
    "..",
    "../escape",
    "./x",
    "...",
    "A",
    "é",  # one code point
    "e\u0301",  # two
    "😀",
    "\uffff",
    "\x01",
    "a\nb",
    "a\\b",
    "a b+%2F?&<>\"'",
    "~",
    " ",
    "n" * 255,
    "n" * 256,
    "n" * 300,
    "é" * 128,
    "x" * 1024,
    "é" * 512,
    "d/" * 512,
    "d/" * 511 + "ef",
    "y" * 100,
    "y" * 99,
    "y" * 101,
    ".deltaglider.fs",
    ".deltaglider.fs/escaped/61+",
    ".deltaglider.fsx/y",
    ".deltaglider/v1/refs/x",
    "host.lock",
    "tmp/x",
)


NOTHING = Stored("key", 0, "x", 0.0, {})
"""What no key ever holds."""


async def put(
    backend: Backend,
    key: str,
    data: bytes = b"data",
    metadata: Metadata | None = None,
    condition: Condition = None,
    bucket: str = BUCKET,
) -> Stored:
    writer = await backend.write(bucket, key, metadata or {}, len(data), conditional=condition is not None)
    try:
        await writer.write(data)
        return await writer.commit(condition)
    finally:
        await writer.abort()


async def get(backend: Backend, key: str, bucket: str = BUCKET) -> bytes:
    reader = await backend.open(bucket, key)
    try:
        return b"".join([chunk async for chunk in reader.chunks(0, reader.stored.size)])
    finally:
        await reader.close()


async def keys(backend: Backend, bucket: str = BUCKET) -> list[str]:
    """All keys, in pages of 7."""
    found: list[str] = []
    while True:
        page = await backend.list(bucket, after=found[-1] if found else "", limit=7)
        found.extend(names(page))
        if not page.truncated:
            return found


def names(page: Page) -> list[str]:
    return [entry if isinstance(entry, str) else entry.key for entry in page.entries]


def in_byte_order(found: Iterable[str]) -> list[str]:
    return sorted(found, key=str.encode)


def expected_page(
    existing: Iterable[str], prefix: str, after: str, limit: int, delimiter: str, hidden: str
) -> tuple[list[str], bool]:
    """What a listing must answer, the simplest way: names, and whether it is truncated."""
    shown = set()
    for key in existing:
        if not key.startswith(prefix) or (hidden and key.startswith(hidden)):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        name = key if cut < 0 else key[: cut + len(delimiter)]
        if name.encode() > after.encode():
            shown.add(name)
    ordered = in_byte_order(shown)
    return ordered[:limit], len(ordered) > limit
