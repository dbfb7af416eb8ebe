"""Files that the older client's command unpacked before it compared them come back packed as they were."""

import bz2
import gzip
import lzma
import subprocess
import zlib
from collections.abc import Callable

import pytest

from deltaglider_proxy.engine import errors
from tests.fixtures.legacy import older
from tests.fixtures.legacy.older import Thing
from tests.support.engine.bodies import edited, noise
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place
from tests.support.programs import on_path
from tests.unit.engine.legacy.conftest import POLICIES

TEXT = noise(1, 400).hex().encode() * 8
CHANGED = TEXT[:3000] + edited(TEXT, 2)[3000:]


def piped(*command: str) -> Callable[[bytes], bytes]:
    return lambda data: (
        subprocess.run([on_path(command[0]), *command[1:]], input=data, capture_output=True, check=True).stdout
    )


def zlibbed(level: int) -> Callable[[bytes], bytes]:
    def pack(data: bytes) -> bytes:
        packer = zlib.compressobj(level, zlib.DEFLATED, 31)
        return packer.compress(data) + packer.flush()

    return pack


def go(data: bytes) -> bytes:
    """As Go and Java write it: another system byte than zlib's."""
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + zlibbed(6)(data)[10:]


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": (".gz", piped("gzip", "-n", "-c")),
    "gzip-9": (".gz", piped("gzip", "-n", "-c", "-9")),
    "gzip-3": (".gz", piped("gzip", "-n", "-c", "-3")),
    "zlib": (".gz", zlibbed(6)),
    "zlib-9": (".gz", zlibbed(9)),
    "zlib-1": (".gz", zlibbed(1)),
    "go": (".gz", go),
    "bzip2": (".bz2", piped("bzip2", "-c")),
    "bz2-5": (".bz2", lambda data: bz2.compress(data, 5)),
    "xz": (".xz", piped("xz", "-c", "-T1")),
    "xz-9": (".xz", lambda data: lzma.compress(data, preset=9)),
}


async def store(place: Place, base: bytes, data: bytes, names: tuple[str, str]) -> None:
    """As the client did it: the command looks at the files and unpacks what it knows."""
    delta = older.encode(base, data, "-9", names=names)
    said = older.headers(older.fields("k", data, "delta", base, delta_size=len(delta)))
    baseline = Thing("reference.bin", base, older.headers(older.fields("k", base, "reference")))
    await older.store(place.memory, BUCKET, [baseline, Thing("k.delta", delta, said)])


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("packed_base", [True, False])
async def test_packed_again(service: Place, reader: Node, packer: str, packed_base: bool) -> None:
    suffix, pack = PACKERS[packer]
    base = pack(TEXT) if packed_base else TEXT
    await store(service, base, pack(CHANGED), (f"one{suffix}" if packed_base else "one", f"two{suffix}"))
    assert await reader.read("k") == pack(CHANGED)
    assert await reader.read("k", 10, 20) == pack(CHANGED)[10:20]


async def test_only_the_baseline_was_packed(service: Place, reader: Node) -> None:
    await store(service, gzip.compress(TEXT), CHANGED, ("one.gz", "two"))
    assert await reader.read("k") == CHANGED


async def test_what_nobody_can_pack_again(service: Place, reader: Node) -> None:
    """A name and a time in the header are not in the delta."""
    data = gzip.compress(CHANGED, mtime=1_234_567_890)
    await store(service, TEXT, data, ("one", "two.gz"))
    with pytest.raises(errors.Corrupt, match="cannot be made again"):
        await reader.read("k")


async def test_a_baseline_that_unpacks_to_too_much(service: Place) -> None:
    reader = service.process(policies=POLICIES, spool_bytes=4 << 20)
    await store(service, gzip.compress(bytes(2 << 20)), TEXT, ("one.gz", "two"))
    with pytest.raises(errors.Corrupt, match="unpacks to more"):
        await reader.read("k")


async def test_a_baseline_that_is_cut_off(service: Place, reader: Node) -> None:
    packed = gzip.compress(TEXT)
    delta = older.encode(packed, CHANGED, names=("one.gz", "two"))
    short = packed[: len(packed) // 2]
    said = older.headers(older.fields("k", CHANGED, "delta", short))
    baseline = Thing("reference.bin", short, older.headers(older.fields("k", short, "reference")))
    await older.store(service.memory, BUCKET, [baseline, Thing("k.delta", delta, said)])
    with pytest.raises(errors.Corrupt, match="cannot be unpacked"):
        await reader.read("k")
