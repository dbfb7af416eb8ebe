"""Uploads by an HTML form: the fields, then the file as it arrives.

Fields are small and kept; the file is handed on in slices, with as much held back as a boundary could need. What
follows the file is not part of the upload. Source: RFC 7578; S3 API Reference, "POST Object".
"""

import re
from dataclasses import dataclass
from enum import Enum

from deltaglider_proxy.s3.protocol.errors import Code, S3Error

MAX_FIELDS = 20 << 10
"""Bytes of everything before the file, as in S3."""
MAX_PARTS = 1000

_BOUNDARY = re.compile(r"""multipart/form-data\s*;.*?\bboundary=(?:"([^"]{1,200})"|([^\s;,"]{1,200}))""", re.I | re.S)
_PARAMETER = re.compile(r';\s*([\w*-]+)="((?:[^"\\]|\\.)*)"|;\s*([\w*-]+)=([^\s;"]*)')

Buffer = bytes | bytearray | memoryview


def parse_boundary(content_type: str) -> bytes:
    """Raises MalformedPOSTRequest."""
    match = _BOUNDARY.match(content_type)
    if match is None:
        raise _malformed("its Content-Type must be multipart/form-data with a boundary")
    return (match[1] or match[2]).encode("latin-1", "replace")


class _State(Enum):
    PREAMBLE = "its first boundary"
    HEADERS = "the headers of a part"
    FIELD = "the end of a field"
    FILE = "the end of the file"
    DONE = "the end"


@dataclass(slots=True)
class _Part:
    name: str = ""
    file_name: str = ""


class FormParser:
    """One form. Feed it; once `file_started`, `fields` are complete and what `feed` returns are bytes of the file."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        """Names in lower case. Without the file's; `content-type` only if the form has such a field."""
        self.file_name = ""
        """As the browser sent it, without folders."""
        self.file_started = False
        self._opening = b"--" + boundary
        self._closing = b"\r\n--" + boundary
        self._state = _State.PREAMBLE
        self._buffer = bytearray()
        self._part = _Part()
        self._seen = 0

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    def feed(self, data: Buffer) -> list[bytes]:
        """The bytes of the file in `data`. Raises MalformedPOSTRequest, MaxPostPreDataLengthExceededError."""
        if self._state is _State.DONE:
            return []
        self._buffer += data
        while self._state is not _State.FILE and self._step():
            pass
        if self._state is _State.FILE:
            return self._take_file()
        if self._seen + len(self._buffer) > MAX_FIELDS:
            raise S3Error(Code.MaxPostPreDataLengthExceededError)
        return []

    def finish(self) -> None:
        """Call it when the body has ended. Raises MalformedPOSTRequest, IncompleteBody."""
        if not self.file_started:
            raise _malformed("it has no field named file")
        if self._state is not _State.DONE:
            raise S3Error(Code.IncompleteBody, "The form ended before the end of its file.")

    def _step(self) -> bool:
        """Consume one element before the file; False if more bytes are needed."""
        if self._state is _State.PREAMBLE:
            return self._begin()
        if self._state is _State.HEADERS:
            return self._take_headers()
        return self._take_field()

    def _begin(self) -> bool:
        line = len(self._opening) + 2
        if len(self._buffer) < line:
            return False
        if self._buffer[:line] != self._opening + b"\r\n":
            raise _malformed("it does not begin with its boundary")
        self._consume(line)
        self._state = _State.HEADERS
        return True

    def _take_headers(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._part = _parse_part(bytes(self._buffer[:end]))
        self._consume(end + 4)
        if self._part.name == "file":
            self.file_name = re.split(r"[/\\]", self._part.file_name)[-1]
            self.file_started = True
            self._state = _State.FILE
        else:
            self._state = _State.FIELD
        if self._seen > MAX_FIELDS:
            raise S3Error(Code.MaxPostPreDataLengthExceededError)
        return True

    def _take_field(self) -> bool:
        end = self._buffer.find(self._closing)
        after = end + len(self._closing)
        if end < 0 or len(self._buffer) < after + 2:
            return False
        name = self._part.name
        if name in self.fields or len(self.fields) >= MAX_PARTS:
            raise _malformed(f"the field {name} stands twice")
        try:
            self.fields[name] = self._buffer[:end].decode()
        except UnicodeDecodeError as error:
            raise _malformed(f"the field {name} is not UTF-8") from error
        tail = bytes(self._buffer[after : after + 2])
        self._consume(after + 2)
        if tail == b"--":
            raise _malformed("it has no field named file")
        if tail != b"\r\n":
            raise _malformed("a boundary does not end its line")
        self._state = _State.HEADERS
        return True

    def _take_file(self) -> list[bytes]:
        end = self._find_closing()
        cut = max(0, len(self._buffer) - len(self._closing) - 1) if end is None else end
        piece = bytes(self._buffer[:cut])
        if end is None:
            del self._buffer[:cut]
        else:
            self._buffer = bytearray()
            self._state = _State.DONE
        return [piece] if piece else []

    def _find_closing(self) -> int | None:
        """Where the file ends. A longer word that begins like the boundary is part of the file."""
        start = 0
        while (end := self._buffer.find(self._closing, start)) >= 0:
            after = end + len(self._closing)
            if bytes(self._buffer[after : after + 2]) in (b"--", b"\r\n"):
                return end
            start = end + 1
        return None

    def _consume(self, count: int) -> None:
        del self._buffer[:count]
        self._seen += count


def _parse_part(head: bytes) -> _Part:
    part = _Part()
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError as error:
        raise _malformed("the headers of a part are not UTF-8") from error
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() != "content-disposition":
            continue
        for match in _PARAMETER.finditer(value):
            key, text = (match[1], match[2]) if match[1] else (match[3], match[4])
            # Browsers escape only the quote; a backslash is a folder of a Windows path.
            text = text.replace('\\"', '"').replace("%22", '"')
            if key == "name":
                part.name = text.lower()
            elif key == "filename":
                part.file_name = text
    if not part.name:
        raise _malformed("a part has no name")
    return part


def _malformed(what: str) -> S3Error:
    return S3Error(Code.MalformedPOSTRequest, f"The form is malformed: {what}.")
