"""Which services there are here, and one of each for all tests of a process."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support import programs
from tests.support.programs import GoProgram
from tests.support.storage.services.moto import moto
from tests.support.storage.services.seaweedfs import seaweedfs
from tests.support.storage.services.service import Service
from tests.support.storage.services.versitygw import versitygw


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    start: Callable[[Path], AbstractContextManager[Service]]
    program: GoProgram | None = None


VERSITYGW = Kind("versitygw", versitygw, programs.VERSITYGW)
SEAWEEDFS = Kind("seaweedfs", seaweedfs, programs.SEAWEEDFS)
MOTO = Kind("moto", moto)


def parameters() -> list[object]:
    """For `pytest.fixture(params=...)`: the real services, and moto where Go is missing to build them.

    Tests of a service are slow ones if it starts slowly or has yet to be built, which takes minutes, once. Where it
    cannot be built, its tests are skipped, or fail if the run must be complete.
    """
    found: list[object] = [_parameter(VERSITYGW, slow=False), _parameter(SEAWEEDFS, slow=True)]
    if not programs.has_go() and not all(programs.is_built(p) for p in (programs.VERSITYGW, programs.SEAWEEDFS)):
        found.append(pytest.param(MOTO, id="moto-since-go-is-missing"))
    return found


def _parameter(kind: Kind, *, slow: bool) -> object:
    marks = [pytest.mark.slow] if slow else []
    if kind.program is not None and not programs.is_built(kind.program):
        marks = [pytest.mark.slow, pytest.mark.timeout(programs.BUILD_SECONDS + 300)]
    return pytest.param(kind, id=kind.name, marks=marks)


class Services:
    """Each kind is started when it is first asked for, and lasts until the block is left: whatever the order of the
    tests is, none waits for a second start. Tests keep apart by buckets."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stack = ExitStack()
        self._running: dict[str, Service] = {}

    def get(self, kind: Kind) -> Service:
        if kind.name not in self._running:
            self._running[kind.name] = self._stack.enter_context(kind.start(self._root / kind.name))
        return self._running[kind.name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
