r"""moto's server, which keeps objects in memory: what stands in where no other service can be built.

It takes any key and any signature, and nothing of it is durable. Of several that complete an upload at once if there
is no object, more than one can succeed. Seen where it differs from S3, as question, what S3 answers, and what it does:

    complete if-match, other | 412 PreconditionFailed | done
    complete if-match, absent | 404 NoSuchKey | done
    copy source-if-match, other | 412 PreconditionFailed | done
    copy if-none-match *, present | 412 PreconditionFailed | done
    copy if-match, other | 412 PreconditionFailed | done
    part copy past the end | 416 InvalidRange | 25500 bytes
    part copy source-if-match, other | 412 PreconditionFailed | 25600 bytes
    put with a wrong Content-MD5 | 400 BadDigest | done
    put with a wrong x-amz-checksum-crc32 | 400 BadDigest | done
    put with a wrong x-amz-content-sha256 | 400 | 200
    aws-chunked with a wrong trailer | 400 | 200, b'body'
    metadata of more than 2 KB | 400 MetadataTooLarge | kept
    last bytes of an empty object | 416 InvalidRange | done
    key line feed | kept | put 'a\nb': 404 404
    key of 1025 bytes | 400 KeyTooLongError | done
    start-after a/1 with delimiter | not documented | b c/ d
    start-after a/ with delimiter | not documented | b c/ d
    uploads of keys are listed | u/a u/b | u/b u/a
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.programs import beside_python
from tests.support.server import free_port
from tests.support.storage.services.service import Launch, Service, running


@contextmanager
def moto(root: Path) -> Iterator[Service]:
    """Started in `root` and stopped with the block."""
    program = beside_python("moto_server")

    def launch() -> Launch:
        port = free_port()
        return Launch(Service("moto", f"http://127.0.0.1:{port}"), (program, "-H", "127.0.0.1", "-p", str(port)))

    with running(launch, root) as service:
        yield service
