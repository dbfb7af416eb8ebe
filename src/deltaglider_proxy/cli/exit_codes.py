"""What the exit status of a command says; scripts rely on these numbers."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    """The server could not start, or something unexpected happened."""
    USAGE = 2
    IO = 3
    PARSE = 4
    REMOTE = 5
    """A server did not answer, or has applied and not kept what it was told."""
    REJECTED = 6
    """Refused by a rule, or by the server."""
    UNAUTHENTICATED = 7
    NOT_FOUND = 8
    """No such bucket or object."""
    INTEGRITY = 9
    """Bytes are not those that were stored."""
    MIXED = 10
    """Some of it was done, and some failed."""
    INTERRUPTED = 130
