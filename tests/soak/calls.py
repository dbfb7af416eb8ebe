"""One S3 request over a socket of its own, and what its answer means for who must remember it.

A status of 4xx says that nothing was done. One of 5xx, a broken connection, and 200 with an error in its document say
nothing about it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException

from lxml import etree

from tests.integration.wire import Answer, Wire
from tests.soak.findings import Findings, Outcome

_REFUSED_CONNECTION = "refused connection"


@dataclass(frozen=True, slots=True)
class Reply:
    outcome: Outcome
    why: str
    answer: Answer | None = None
    timed_out: bool = False
    """Nobody has said that it is over."""

    @property
    def status(self) -> int:
        return self.answer.status if self.answer is not None else 0


def call(
    wire: Wire,
    findings: Findings,
    method: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Reply:
    began = time.monotonic()
    try:
        answer = wire.request(method, path, query, headers, body)
    except ConnectionRefusedError:
        reply = Reply(Outcome.REFUSED, _REFUSED_CONNECTION)
    except TimeoutError:
        reply = Reply(Outcome.UNKNOWN, "no answer in time", timed_out=True)
    except (OSError, HTTPException) as error:
        reply = Reply(Outcome.UNKNOWN, type(error).__name__)
    else:
        reply = _judged(method, answer)
    what = f"{method} {path}?{query}" if query else f"{method} {path}"
    findings.called(began, what, reply.outcome, reply.why)
    _note(findings, method, what, reply)
    return reply


def _judged(method: str, answer: Answer) -> Reply:
    if answer.short:
        return Reply(Outcome.UNKNOWN, "the answer was cut off", answer)
    if answer.status >= 500:
        return Reply(Outcome.UNKNOWN, f"{answer.status} {_code(answer)}", answer)
    if answer.status >= 400:
        return Reply(Outcome.REFUSED, f"{answer.status} {_code(answer)}", answer)
    if method == "POST" and b"<Error>" in answer.body[:2000] and b"DeleteResult" not in answer.body[:200]:
        return Reply(Outcome.UNKNOWN, f"{answer.status} {_code(answer)}", answer)
    if method == "PUT" and b"<Error>" in answer.body[:2000]:
        return Reply(Outcome.UNKNOWN, f"{answer.status} {_code(answer)}", answer)
    return Reply(Outcome.DONE, str(answer.status), answer)


def _code(answer: Answer) -> str:
    try:
        return answer.element("Code") or ""
    except etree.XMLSyntaxError:
        return ""


def _note(findings: Findings, method: str, what: str, reply: Reply) -> None:
    if reply.why.endswith("NoSuchBucket"):
        findings.add("wrong state", what, "the bucket is said not to exist")
    if reply.status in (200, 204, 206, 404, 412) and not reply.why.endswith("cut off"):
        return
    if reply.status == 500:
        findings.remark(f"{method} answered {reply.why}")
    elif reply.status or reply.timed_out:
        findings.remark(f"{method} {reply.why}")
    if findings.calm and reply.why != _REFUSED_CONNECTION:
        findings.add("unavailable", what, f"nothing is wrong at the moment, but: {reply.why}")
