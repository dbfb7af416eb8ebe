r"""versitygw on a directory.

Seen where it differs from S3, as question, what S3 answers, and what it does; tests ask again:

    copy if-none-match *, present | 412 PreconditionFailed | done
    copy if-match, other | 412 PreconditionFailed | done
    part copy past the end | 416 InvalidRange | 400 InvalidArgument
    aws-chunked is not kept as Content-Encoding | None | aws-chunked
    last bytes of an empty object | 416 InvalidRange | done
    order of é, U+FFFF and U+1F600 | by bytes | ['z', '\xe9', '\ufffd', '\U0001f600']
    key a beside a/b | kept | put 'a/b': 409 ObjectParentIsFile
    key a/b beside a | kept | put 'a': 409 ExistingObjectIsDirectory
    key a//b beside a/b | kept | 'a//b' reads as 'a/b'
    key /a | kept | listed as ['a']
    key a/../b beside b | kept | 'a/../b' reads as 'b'
    key a/./b beside a/b | kept | 'a/./b' reads as 'a/b'
    key a/.. | kept | listed as []
    key . | kept | listed as []
    key x/ with a body | kept | put 'x/': 400 DirectoryObjectContainsData
    key x/ beside x/y | kept | put 'x/': 400 DirectoryObjectContainsData
    key x beside x/ | kept | put 'x/': 400 DirectoryObjectContainsData
    key control character | kept | listed as ['a\ufffdb']
    key 256 bytes without / | kept | put 'nnnnnnnnnn': 409 ExistingObjectIsDirectory
    key of 1024 bytes without / | done | 400 KeyTooLongError
    key of 1025 bytes | 400 KeyTooLongError | done
    delete x/ that was never put | done, x/y still there | 400 ErrDirectoryNotEmpty, x/y still there
    encoding-type=url | obeyed | ignored
    encoding-type=url, prefixes | url2/a+b/ or url2/a%20b/ | ['url2/a b/']
    start-after a/1 with delimiter | not documented | b c/ d
    start-after a/ with delimiter | not documented | b c/ d

Everything else that is asked it does as S3 does: conditions of PutObject, DeleteObject and CompleteMultipartUpload, of
the source of copies and of GET, MD5 as ETag, UploadPartCopy, metadata, checksums and their trailers. Of 12 clients at
once that create an object, replace it by its ETag, or complete an upload if there is none, always one succeeded. A
DELETE with If-Match succeeds where the object is already gone. An access key that it does not know gets
XAdminUserNotFound.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.programs import VERSITYGW, built
from tests.support.server import free_port
from tests.support.storage.services.service import Launch, Service, running


@contextmanager
def versitygw(root: Path) -> Iterator[Service]:
    """Started in `root`, which needs extended attributes, and stopped with the block."""
    program = built(VERSITYGW)
    data = root / "data"
    data.mkdir(parents=True, exist_ok=True)

    def launch() -> Launch:
        address = f"127.0.0.1:{free_port()}"
        service = Service("versitygw", f"http://{address}")
        return Launch(
            service,
            (program, "--port", address, "--keep-alive", "--quiet", "posix", data),
            {"ROOT_ACCESS_KEY": service.access_key, "ROOT_SECRET_KEY": service.secret_key},
        )

    with running(launch, root) as service:
        yield service
