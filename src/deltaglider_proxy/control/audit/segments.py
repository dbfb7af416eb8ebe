"""The files of the audit log: lines of JSON, each with a code over itself and the line before.

All processes of a host append to one chain under a lock, and the last number and code are kept beside it, so that a
line that is changed, removed, moved or cut off at the end is found. A file that is full is followed by another, which
begins where the chain stands. A crash between the lines and the note of the last one leaves lines that continue the
chain, and maybe half of one, which is cut.
"""

import fcntl
import hmac
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson

_MARK: Final = b',"chain":"'
_LINE: Final = re.compile(rb'\{"seq":(\d+),.*,"chain":"([0-9a-f]{64})"\}', re.DOTALL)
_ANCHOR: Final = re.compile(rb'\{"anchor":(\d+),"chain":"([0-9a-f]{64})","mac":"([0-9a-f]{64})"\}')
_START: Final = bytes(32)


Numbered = Callable[[int], bytes]
"""Makes the bytes of a record, once its number is known."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log has come."""

    number: int = 0
    chain: bytes = _START
    first: int = 0
    """Number before the first line of the oldest file that is kept."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What `verify` has found first."""

    file: str
    line: int
    what: str


class Segments:
    def __init__(self, directory: Path, key: bytes, max_bytes: int, segment_bytes: int | None = None) -> None:
        """Raises OSError if the directory cannot be made."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self._key = key
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes or max(1 << 16, min(16 << 20, max_bytes // 8))
        self._lock_fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        os.close(self._lock_fd)

    def append(self, documents: Sequence[Numbered]) -> int:
        """Writes and syncs; the bytes of a torn line that were cut before. Raises OSError, and leaves no half of it."""
        with self._locked():
            head, path, cut = self._recovered()
            if path is None or path.stat().st_size >= self._segment_bytes:
                path = self._begin(head)
            lines = []
            for numbered in documents:
                body = numbered(head.number + 1)
                chain = self._next(head.chain, body)
                head = replace(head, number=head.number + 1, chain=chain)
                lines.append(body[:-1] + _MARK + chain.hex().encode() + b'"}\n')
            self._write(path, b"".join(lines))
            self._keep(self._without_oldest(head, path))
            return cut

    def _begin(self, head: Head) -> Path:
        path = self.directory / f"{head.number + 1:020d}.jsonl"
        text = head.chain.hex()
        anchor = f'{{"anchor":{head.number},"chain":"{text}","mac":"{self._mac(replace(head, first=0), b"anchor")}"}}\n'
        self._write(path, anchor.encode())
        _sync_directory(self.directory)
        return path

    def _write(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                done = 0
                while done < len(data):
                    done += os.write(descriptor, data[done:])
                os.fdatasync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)

    def _next(self, chain: bytes, body: bytes) -> bytes:
        return hmac.digest(self._key, chain + body, "sha256")

    def _mac(self, head: Head, purpose: bytes) -> str:
        return hmac.digest(self._key, purpose + b"%d.%d." % (head.first, head.number) + head.chain, "sha256").hex()

    def _keep(self, head: Head) -> None:
        draft = self.directory / "head.draft"
        fields = {
            "seq": head.number,
            "chain": head.chain.hex(),
            "first": head.first,
            "mac": self._mac(head, b"head"),
        }
        with draft.open("wb") as file:
            file.write(orjson.dumps(fields))
            file.flush()
            # Unsynced, a power cut could leave an empty head, which reads as tampering.
            os.fsync(file.fileno())
        draft.replace(self.directory / "head")

    def _head(self) -> Head | None:
        """None: it is missing or was changed."""
        try:
            fields = orjson.loads((self.directory / "head").read_bytes())
            head = Head(int(fields["seq"]), bytes.fromhex(fields["chain"]), int(fields["first"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return head if hmac.compare_digest(self._mac(head, b"head"), str(fields["mac"])) else None

    def files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self.directory.glob("*.jsonl"))

    def _recovered(self) -> tuple[Head, Path | None, int]:
        """Where the chain goes on. Lines after the noted head are from a crash; half a line at the end is cut.

        Files without a head that is ours: somebody has been here. The chain is broken for good, so that it shows. A
        crash in the very first batch may leave them too.
        """
        files = self.files()
        head = self._head()
        if not files:
            return head or Head(), None, 0
        path = files[-1]
        if head is None and (len(files) > 1 or int(path.stem) != 1):
            return Head(self._last_number(path), os.urandom(32), int(files[0].stem) - 1), None, 0
        data = path.read_bytes() if head is None else self._tail(path, head)
        whole = data[: data.rfind(b"\n") + 1]
        head = self._follow(head or Head(), whole)
        torn = len(data) - len(whole)
        if torn:
            os.truncate(path, path.stat().st_size - torn)
        return head, path, torn

    def _follow(self, head: Head, whole: bytes) -> Head:
        """Past the lines that continue the chain; others stay behind, for `verify` to find."""
        for line in whole.splitlines():
            found = _LINE.fullmatch(line)
            if found is None or int(found[1]) != head.number + 1:
                continue
            chain = self._next(head.chain, line[: line.rfind(_MARK)] + b"}")
            if not hmac.compare_digest(chain.hex().encode(), found[2]):
                break
            head = replace(head, number=head.number + 1, chain=chain)
        return head

    @staticmethod
    def _last_number(path: Path) -> int:
        numbers = [int(found[1]) for line in path.read_bytes().splitlines() if (found := _LINE.fullmatch(line))]
        return max(numbers, default=int(path.stem) - 1)

    @staticmethod
    def _tail(path: Path, head: Head) -> bytes:
        """What stands behind the line of the head; all if it is not in this file."""
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            # The head is nearly always the last line.
            file.seek(max(0, size - (64 << 10)))
            data = file.read()
            if size > len(data):
                data = data[data.find(b"\n") + 1 :]
            at = data.find(head.chain.hex().encode())
            if at < 0 and size > (64 << 10):
                file.seek(0)
                data = file.read()
                at = data.find(head.chain.hex().encode())
        return data if at < 0 else data[data.find(b"\n", at) + 1 :]

    def _without_oldest(self, head: Head, current: Path) -> Head:
        """Removes what is too much, having noted it: a file that is missing without a note was taken away."""
        files = self.files()
        sizes = {path: path.stat().st_size for path in files}
        total = sum(sizes.values())
        leaving = []
        for path in files:
            if total <= self._max_bytes or path == current:
                break
            leaving.append(path)
            total -= sizes[path]
        head = replace(head, first=int(files[len(leaving)].stem) - 1 if leaving else max(head.first, 0))
        if leaving:
            self._keep(head)
            for path in leaving:
                path.unlink()
        return head

    def verify(self) -> Damage | None:
        """Reads everything. None: nobody has changed anything since it was written."""
        with self._locked():
            head = self._head()
            expected: Head | None = None
            files = self.files()
            if head is not None and (int(files[0].stem) - 1 if files else head.number) > head.first:
                return Damage("head", 1, f"lines from {head.first + 1} on were kept, and the oldest are missing")
            for path in files:
                for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
                    outcome = self._check(line, number, expected)
                    if isinstance(outcome, str):
                        return Damage(path.name, number, outcome)
                    expected = outcome
            if head is None:
                return Damage("head", 1, "is missing or was changed") if expected is not None else None
            if (expected or Head()).number < head.number:
                return Damage("head", 1, f"lines up to {head.number} were written, and the last one is missing")
            return None

    def _check(self, line: bytes, number: int, expected: Head | None) -> Head | str:
        if not line.endswith(b"\n"):
            return "is half a line"
        if number == 1:
            anchor = _ANCHOR.fullmatch(line[:-1])
            if anchor is None:
                return "does not begin with an anchor"
            head = Head(int(anchor[1]), bytes.fromhex(anchor[2].decode()))
            if not hmac.compare_digest(self._mac(head, b"anchor").encode(), anchor[3]):
                return "has an anchor that was changed"
            return head if expected is None or expected == head else "does not continue the file before it"
        found = _LINE.fullmatch(line[:-1])
        if found is None or expected is None:
            return "is no line of the log"
        body = line[: line.rfind(_MARK)] + b"}"
        chain = self._next(expected.chain, body)
        if int(found[1]) != expected.number + 1 or not hmac.compare_digest(chain.hex().encode(), found[2]):
            return "was changed, or a line before it is missing"
        return Head(expected.number + 1, chain)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
