import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from deltaglider_proxy.telemetry.access_log import escape_path
from deltaglider_proxy.telemetry.log_lines import (
    REDACTED,
    Field,
    LogEntry,
    colour_line,
    entry_of,
    json_line,
    level_name,
    text_line,
)


def record(message: str = "event", fields: dict[str, object] | None = None, name: str = "t") -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, "", 0, message, None, None)
    if fields is not None:
        made.__dict__.update(fields=fields, structured=True)
    return made


def entry(message: str = "event", **fields: Field) -> LogEntry:
    return LogEntry(1_700_000_000.25, logging.INFO, "deltaglider_proxy.x", message, fields)


def test_a_text_line() -> None:
    line = text_line(entry("object stored", key="a/b c", size=3, ratio=0.5, flag=True, nothing=None, etag='"x"'))
    assert line.decode() == (
        "2023-11-14T22:13:20.250000Z INFO  deltaglider_proxy.x object stored "
        'key="a/b c" size=3 ratio=0.5 flag=true nothing=null etag="\\"x\\""\n'
    )


def test_colour_changes_only_the_level() -> None:
    plain, coloured = text_line(entry(key="v")), colour_line(entry(key="v"))
    assert coloured.replace(b"\x1b[32m", b"").replace(b"\x1b[0m", b"") == plain


def test_a_json_line_has_the_fields_as_keys() -> None:
    line = json_line(entry("object stored", key="ü", level="mine", size=3))
    assert line.endswith(b"}\n")
    assert json.loads(line) == {
        "ts": "2023-11-14T22:13:20.250000Z",
        "level": "INFO",
        "target": "deltaglider_proxy.x",
        "message": "object stored",
        "key": "ü",
        "level_": "mine",
        "size": 3,
    }


HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from(list("\r\n\x00\x1b\x85\u2028\u2029\u202e\ud800\"'\\= "))), max_size=40
)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_text_can_end_or_forge_a_line(message: str, name: str, value: str) -> None:
    fields: dict[str, Field] = {name: value, "list": [value], "map": {value: value}}
    hostile = LogEntry(1.5, logging.INFO, "t", message, fields)
    for render in (text_line, json_line):
        line = render(hostile)
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
    text = text_line(hostile).decode().rstrip("\n")
    assert text.isprintable()
    assert text.splitlines() == [text]


@given(st.binary(max_size=60))
def test_no_path_can_forge_a_field(raw: bytes) -> None:
    escaped = escape_path("/" + raw.decode("utf-8", "surrogateescape"))
    assert escaped.isascii()
    assert not set(escaped) & set(' "\\<>\r\n\t\x00\x1b')


def test_an_ordinary_path_stays_readable() -> None:
    assert escape_path("/bucket/a%20b/app-1.0.0+x_y~z.tar") == "/bucket/a%20b/app-1.0.0+x_y~z.tar"


def test_a_forged_access_line_is_visibly_one_line() -> None:
    forged = "/b/x status=200\n2026-01-01T00:00:00Z INFO deltaglider_proxy.access request"
    assert escape_path(forged) == "/b/x%20status=200%0A2026-01-01T00:00:00Z%20INFO%20deltaglider_proxy.access%20request"


def test_a_traceback_cannot_look_like_a_log_line() -> None:
    try:
        raise RuntimeError("bad\n2026-01-01T00:00:00.000000Z INFO  deltaglider_proxy.access request")
    except RuntimeError as error:
        made = logging.LogRecord("t", logging.ERROR, "", 0, "failed", None, (type(error), error, error.__traceback__))
    first, *rest = text_line(entry_of(made)).decode().rstrip("\n").split("\n")
    assert first.endswith("ERROR t failed")
    assert rest
    assert all(line.startswith("    | ") for line in rest)
    assert json.loads(json_line(entry_of(made)))["exception"].startswith("Traceback")


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "Authorization", "secret_access_key", "password", "cookie", "set-cookie", "token",
        "x-amz-security-token", "X-Amz-Server-Side-Encryption-Customer-Key", "signature", "credentials", "api_key",
    ],
)  # fmt: skip
def test_a_field_that_promises_a_secret_is_blank(name: str) -> None:
    shown = entry_of(record(fields={name: "hunter2", "headers": {name: "hunter2"}, "all": [{name: ("hunter2",)}]}))
    for render in (text_line, json_line):
        assert b"hunter2" not in render(shown)
    assert shown.fields[name] == REDACTED


def test_objects_do_not_show_what_is_in_them() -> None:
    class Settings:
        @override
        def __repr__(self) -> str:
            return "Settings(hunter2)"

    shown = entry_of(
        record(fields={"settings": Settings(), "raw": b"hunter2", "path": Path("/x"), "why": OSError("no")})
    )
    assert shown.fields == {"settings": "<Settings>", "raw": "<bytes>", "path": "/x", "why": "no"}


@pytest.mark.parametrize(
    "message",
    [
        "headers: {'Authorization': b'hunter2', 'x': 1}",
        'send "authorization": "hunter2"',
        "Cookie: hunter2; b=hunter2",
        "x-amz-security-token:hunter2\nhost:x",
        "secret_key=hunter2",
    ],
)
def test_messages_of_libraries_lose_their_secrets(message: str) -> None:
    shown = entry_of(record(message, name="botocore.auth"))
    assert "hunter2" not in shown.message
    assert REDACTED in shown.message


def test_hostile_messages_of_libraries_are_scanned_in_linear_time() -> None:
    entry_of(record("a-" * 200_000 + "secret" * 50_000, name="botocore.parsers"))


def test_percent_signs_in_events_are_literal() -> None:
    assert entry_of(record("100% of %s", fields={})).message == "100% of %s"


def test_level_names() -> None:
    assert [level_name(level) for level in (50, 40, 30, 20, 10, 5, 1)] == [
        "CRITICAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "TRACE",
    ]  # fmt: skip


def test_numbers_beyond_json_libraries_and_lone_surrogates_are_still_one_line() -> None:
    line = json_line(entry(big=1 << 70, text="\ud800"))
    assert json.loads(line)["big"] == 1 << 70
