"""What went wrong, as an exit status, the same for every verb. Types decide, never the text of a message."""

from collections.abc import Iterator
from contextlib import contextmanager

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import say
from deltaglider_proxy.cli.s3.locations import BadArgument
from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.translate import translate
from deltaglider_proxy.storage.errors import Denied, StorageError

KNOWN = (errors.EngineError, StorageError, OSError, BadArgument)


def code_of(error: Exception) -> ExitCode:
    if isinstance(error, Denied) or isinstance(error.__cause__, Denied):
        return ExitCode.UNAUTHENTICATED
    if isinstance(error, StorageError):
        error = translate(error)
    match error:
        case BadArgument():
            return error.code
        case errors.NoSuchKey() | errors.NoSuchBucket():
            return ExitCode.NOT_FOUND
        case errors.Corrupt():
            return ExitCode.INTEGRITY
        case errors.TooLarge() | errors.QuotaExceeded() | errors.KeyRejected() | errors.Unsupported():
            return ExitCode.REJECTED
        case OSError():
            return ExitCode.IO
        case _:
            return ExitCode.REMOTE


def said(error: Exception) -> str:
    match error:
        case errors.NoSuchKey():
            return f"there is no such object: {error}"
        case errors.NoSuchBucket():
            return f"there is no such bucket: {error}"
        case errors.TooLarge():
            return f"{error.size} bytes are more than --max-object-size-mb allows ({error.limit >> 20} MiB)"
        case StorageError():
            return said(translate(error))
        case _:
            return str(error) or type(error).__name__


class Tally:
    """Of a command that goes on after a failure."""

    def __init__(self) -> None:
        self.done = 0
        self.failed: list[ExitCode] = []

    @contextmanager
    def item(self, name: str) -> Iterator[None]:
        """Counts the block; what goes wrong with it is told, and not raised."""
        with self.telling(name):
            yield
            self.done += 1

    @contextmanager
    def telling(self, name: str) -> Iterator[None]:
        """The same for what is done only when something else is."""
        try:
            yield
        except BrokenPipeError:
            raise
        except KNOWN as error:
            say(f"error: {name}: {said(error)}")
            self.failed.append(code_of(error))

    @property
    def code(self) -> ExitCode:
        """Of a command about many objects: whether some or all of them failed."""
        if not self.failed:
            return ExitCode.OK
        return ExitCode.MIXED if self.done else ExitCode.REMOTE

    @property
    def only(self) -> ExitCode:
        """Of a command about one object."""
        return self.failed[0] if self.failed else ExitCode.OK
