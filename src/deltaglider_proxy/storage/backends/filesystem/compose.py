"""Joining ranges of files into a new one, inside the kernel where it can: shared blocks, or a copy that stays there.

It goes in steps of a thread's visit, so that a long copy holds no thread for minutes and stops when its task does.
"""

from collections.abc import Generator, Sequence
from typing import Final

from deltaglider_proxy.storage.backend import IfMatch, Piece
from deltaglider_proxy.storage.backends.filesystem.drafts import Draft
from deltaglider_proxy.storage.backends.filesystem.failures import translated
from deltaglider_proxy.storage.backends.filesystem.tree import Found, Tree
from deltaglider_proxy.storage.errors import Changed

_STEP: Final = 32 << 20


def join(
    tree: Tree, bucket: str, pieces: Sequence[Piece], pin: IfMatch | None, draft: Draft
) -> Generator[None, None, None]:
    """Fill the draft; yields after each step. Raises NoSuchKey, NoSuchBucket, Changed, DiskFull, Unavailable."""
    tree.require(bucket)
    done = 0
    for number, piece in enumerate(pieces):
        found = tree.find(bucket, piece.key)
        try:
            _check(tree, piece, found, pin if number == 0 else None)
            whole = (piece.start, piece.stop) == (0, found.status.st_size)
            if len(pieces) > 1 or not whole or not draft.share(found.fd, found.status.st_size):
                for start in range(piece.start, piece.stop, _STEP):
                    count = min(_STEP, piece.stop - start)
                    draft.copy(found.fd, start, count)
                    done += count
                    if done >= _STEP:
                        done = 0
                        yield
            _verify(tree, piece, found)
        finally:
            tree.files.close(found.fd)


def _check(tree: Tree, piece: Piece, found: Found, pin: IfMatch | None) -> None:
    if pin is not None and tree.etag(found, piece.key) != pin.etag:
        raise Changed(piece.key)
    if not 0 <= piece.start <= piece.stop <= found.status.st_size:
        raise Changed(f"{piece.key!r} has {found.status.st_size} bytes, wanted {piece.start} to {piece.stop}")


def _verify(tree: Tree, piece: Piece, found: Found) -> None:
    """Another program may have written into the file while it was copied."""
    with translated(f"copy {piece.key!r}"):
        status = tree.files.stat(found.fd)
    if (status.st_mtime_ns, status.st_size) != (found.status.st_mtime_ns, found.status.st_size):
        raise Changed(piece.key)
