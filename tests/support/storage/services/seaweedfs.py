"""SeaweedFS: master, volume server, filer and S3 gateway in one process. It takes eleven seconds to store something.

Seen where it differs from S3, as question, what S3 answers, and what it does; tests ask again:

    metadata of more than 2 KB | 400 MetadataTooLarge | kept
    metadata value that is empty | kept | {}
    content type where none was given | binary/octet-stream | text/plain; charset=utf-8
    key a//b beside a/b | kept | 'a//b' reads as 'a/b'
    key /a | kept | listed as ['a']
    key a/../b beside b | kept | put 'a/../b': 400 InvalidRequest
    key a/./b beside a/b | kept | put 'a/./b': 400 InvalidRequest
    key a/.. | kept | put 'a/..': 400 InvalidRequest
    key . | kept | put '.': 400 InvalidRequest
    key x beside x/ | kept | put 'x/': 409 ExistingObjectIsFile
    key backslash | kept | listed as ['a/b']
    key 256 bytes without / | kept | put 'nnnnnnnnnn': 400 KeyTooLongError
    key of 1024 bytes without / | done | 400 KeyTooLongError
    prefix of a deleted object | gone | still there
    get x/ that was never put | 404 NoSuchKey | done
    start-after a/1 with delimiter | not documented | b c/ d
    start-after a/ with delimiter | not documented | b c/ d

Everything else that is asked it does as S3 does: all conditions, those of copies too, MD5 as ETag, UploadPartCopy, the
order of listings, encoding-type=url, checksums and their trailers. Of 12 clients at once that create an object, replace
it by its ETag, or complete an upload if there is none, always one succeeded; but the others are told so only after a
second, or four where they are many. A DELETE with If-Match is refused where the object is gone.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.programs import SEAWEEDFS, built
from tests.support.server import free_port
from tests.support.storage.services.service import Launch, Service, running

_SERVERS = ("master", "volume", "filer", "s3")
_VOLUME_MB = 64


@contextmanager
def seaweedfs(root: Path) -> Iterator[Service]:
    """Started in `root` and stopped with the block."""
    program = built(SEAWEEDFS)
    (root / "data").mkdir(parents=True, exist_ok=True)
    sockets: list[Path] = []
    """It makes them where no option moves them to, and leaves them behind."""

    def launch() -> Launch:
        ports = _ports()
        service = Service("seaweedfs", f"http://127.0.0.1:{ports['s3.port']}")
        (root / "s3.json").write_text(_identities(service))
        command = (program, "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.config=s3.json")
        switched_off = ("-master.telemetry=false", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
        local = ("-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock")
        # A bucket takes volumes of its own: many small ones, and one at a time, are room for many buckets.
        volumes = (f"-master.volumeSizeLimitMB={_VOLUME_MB}", "-volume.max=0", "-volume.minFreeSpace=1")
        sockets.extend(Path(f"/tmp/seaweedfs-{server}-grpc-{ports[f'{server}.port.grpc']}.sock") for server in _SERVERS)
        return Launch(
            service,
            (*command, *switched_off, *volumes, *local, *(f"-{name}={port}" for name, port in ports.items())),
            {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
        )

    try:
        with running(launch, root) as service:
            yield service
    finally:
        for socket in sockets:
            socket.unlink(missing_ok=True)


def _ports() -> dict[str, int]:
    found: set[int] = set()
    while len(found) < 2 * len(_SERVERS):
        found.add(free_port())
    names = [f"{server}.port{kind}" for server in _SERVERS for kind in ("", ".grpc")]
    return dict(zip(names, found, strict=True))


def _identities(service: Service) -> str:
    keys = {"accessKey": service.access_key, "secretKey": service.secret_key}
    return json.dumps({"identities": [{"name": "test", "credentials": [keys], "actions": ["Admin"]}]})
