"""Errors of storage, and of the system under the engine's own files, become errors of the engine in one place."""

import errno
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from deltaglider_proxy.engine import errors, marks
from deltaglider_proxy.storage import errors as storage

P = ParamSpec("P")
R = TypeVar("R")

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EIO})


def translate(error: storage.StorageError) -> errors.EngineError:
    """The engine's word for what storage raised."""
    match error:
        case storage.NoSuchBucket():
            return errors.NoSuchBucket(str(error))
        case storage.NoSuchKey():
            return errors.NoSuchKey(str(error))
        case storage.BucketExists():
            return errors.BucketExists(str(error))
        case storage.NameTaken():
            return errors.NameTaken(str(error))
        case storage.BucketNotEmpty():
            return errors.BucketNotEmpty(error.key)
        case storage.ConditionFailed():
            return errors.PreconditionFailed(str(error))
        case storage.DiskFull():
            return errors.DiskFull(str(error))
        case storage.KeyRejected():
            return errors.KeyRejected(str(error))
        case storage.Damaged():
            return errors.Corrupt(str(error))
        case storage.Unsupported():
            return errors.Unsupported(str(error))
        case storage.Away():
            return errors.Away(error.backend)
        case storage.Unavailable() | storage.Changed():
            return errors.Unavailable(str(error))
        case storage.Uncertain():
            return errors.Uncertain(str(error))
        case _:
            return errors.EngineError(str(error))


def translate_system(error: OSError | MemoryError) -> errors.EngineError | None:
    """What a host that has run out of something means to a client, who may try again; None for other errors."""
    match error:
        case MemoryError():
            return errors.Unavailable("out of memory")
        case OSError(errno=number) if number in _FULL:
            return errors.DiskFull(f"cache or spool: {error.strerror}")
        case OSError(errno=number) if number in _SHORT:
            return errors.Unavailable(f"cache or spool: {error.strerror}")
        case _:
            return None


def translated(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """A coroutine function that raises `engine.errors` only, as far as anybody expects what it raises."""

    @functools.wraps(function)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await function(*args, **kwargs)
        except storage.StorageError as error:
            raise translate(error) from error
        except marks.UnknownMark as error:
            raise errors.Corrupt(f"an object was written by a later version: {error}") from error
        except (OSError, MemoryError) as error:
            if (told := translate_system(error)) is None:
                raise
            raise told from error

    return wrapper


async def translated_stream(chunks: AsyncIterator[R]) -> AsyncIterator[R]:
    """The same chunks; raises `engine.errors` only. Closing it closes `chunks`."""
    try:
        async for chunk in chunks:
            yield chunk
    except storage.StorageError as error:
        raise translate(error) from error
    except (OSError, MemoryError) as error:
        if (told := translate_system(error)) is None:
            raise
        raise told from error
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
