"""A client of S3: asks for everything that changes and shows objects, and judges each answer by the ledger.

A client has keys of its own, which nobody else changes, in families of similar objects that it shares with others, and
now and then writes one of a few keys that all write.
"""

import hashlib
import random
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import quote

from lxml import etree

from tests.integration.wire import Answer, Wire
from tests.soak.calls import Reply, call
from tests.soak.content import SIZES, Content, digest, digest_of
from tests.soak.findings import Findings, Outcome
from tests.soak.ledger import ABSENT, Ledger, Version

BUCKET = "soak"
PREFIX = "o:"
"""Of names of objects in the ledger."""
_KEYS = 3
"""Of one client in one family."""
_LONG = "n" * 1900
"""Metadata that does not fit beside a container."""
_STAMP = re.compile(rb"<(\d+\.\d+\.\d+)>")


@dataclass(frozen=True, slots=True)
class Target:
    """Where all clients of a run go to, and who judges."""

    wire: Wire
    ledger: Ledger
    findings: Findings
    on_service: bool
    """What was not answered may still be done later: the storage is another process than the one that died."""


def seen(answer: Answer, findings: Findings, key: str) -> str | None:
    """The tag of what a whole answer to GET holds; None, and a finding, if it holds nothing of ours."""
    tag = answer.headers.get("x-amz-meta-tag")
    if tag is None:
        findings.add("foreign", key, f"an object without our metadata: {dict(answer.headers)}")
        return None
    if digest(answer.body) == digest_of(tag):
        return tag
    holds = sorted({found.decode() for found in _STAMP.findall(answer.body)})
    findings.add("wrong bytes", key, f"says {tag}, {len(answer.body)} bytes, holds {holds[:5]}")
    return None


def fits(tag: str, size: int) -> bool:
    return tag != ABSENT and Content.of(tag).size == size


def headers_of(content: Content) -> dict[str, str]:
    """Some objects have tags, and some more metadata than fits."""
    headers = {"x-amz-meta-tag": content.tag}
    if content.variant % 5 == 0:
        headers["x-amz-tagging"] = f"tag={content.tag}"
    if content.variant % 7 == 0:
        headers["x-amz-meta-long"] = _LONG
    return headers


def path_of(key: str) -> str:
    return f"/{BUCKET}/{quote(key)}"


@dataclass
class ObjectClient:
    """`run` works until `stop` is set; one thread each."""

    target: Target
    number: int
    of: int
    dice: random.Random
    stop: threading.Event
    epoch: int = 0
    """Other families in the same places: what references are needed for changes."""
    _made: int = 0
    _own: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._own = [f"fam{f}/app-{self.number}.{n}.bin" for f in range(len(SIZES)) for n in range(_KEYS)]
        self._shared = [f"fam{f}/shared-{n}.bin" for f in (2, 3) for n in range(2)]

    def run(self) -> None:
        doings: list[tuple[int, Callable[[], None]]] = [
            (30, self._put_own),
            (8, self._put_shared),
            (5, self._put_if_absent),
            (8, self._delete),
            (4, self._delete_several),
            (9, self._copy),
            (8, self._multipart),
            (3, self._copy_as_part),
            (2, self._abandon),
            (20, self._get),
            (6, self._range),
            (5, self._head),
            (5, self._list),
        ]
        weights = [weight for weight, _ in doings]
        try:
            while not self.stop.is_set():
                _, do = self.dice.choices(doings, weights)[0]
                do()
        except Exception as error:
            self.target.findings.add("harness", f"client {self.number}", repr(error))
            raise

    def _content(self, key: str, parts: int = 0) -> Content:
        self._made += 1
        family = int(key[3 : key.index("/")]) + len(SIZES) * self.epoch
        return Content(family, self.number + self.of * (self._made + 100_000 * self.epoch), parts)

    def _call(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        reply = call(self.target.wire, self.target.findings, method, path, query, headers, body)
        if reply.answer is None:
            time.sleep(0.03)
        return reply

    def _end(self, version: Version, reply: Reply) -> None:
        ledger = self.target.ledger
        match reply.outcome:
            case Outcome.DONE:
                ledger.acknowledged(version)
            case Outcome.REFUSED:
                ledger.refused(version)
            case Outcome.UNKNOWN:
                ledger.lost(version, lasting=self.target.on_service or reply.timed_out)

    def _put(self, key: str) -> None:
        content = self._content(key)
        body = content.data()
        version = self.target.ledger.begin(PREFIX + key, [content.tag], "put")
        self._end(version, self._call("PUT", path_of(key), headers=headers_of(content), body=body))

    def _put_own(self) -> None:
        self._put(self.dice.choice(self._own))

    def _put_shared(self) -> None:
        self._put(self.dice.choice(self._shared))

    def _put_if_absent(self) -> None:
        """Nobody else writes the key, so what the answer should be is known."""
        key = self.dice.choice(self._own)
        content = self._content(key)
        ledger = self.target.ledger
        possible = ledger.allowed(PREFIX + key, ledger.now)
        version = ledger.begin(PREFIX + key, [content.tag], "put if absent")
        headers = {**headers_of(content), "if-none-match": "*"}
        reply = self._call("PUT", path_of(key), headers=headers, body=content.data())
        self._end(version, reply)
        if (reply.outcome is Outcome.DONE and ABSENT not in possible) or (reply.status == 412 and possible == {ABSENT}):
            self.target.findings.add("wrong condition", key, f"If-None-Match: *, {reply.why}, was {sorted(possible)}")

    def _delete(self) -> None:
        key = self.dice.choice(self._own)
        version = self.target.ledger.begin(PREFIX + key, [ABSENT], "delete")
        self._end(version, self._call("DELETE", path_of(key)))

    def _delete_several(self) -> None:
        keys = self.dice.sample(self._own, 3)
        body = "<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>"
        digest_ = {"content-md5": b64encode(hashlib.md5(body.encode()).digest()).decode()}
        versions = [self.target.ledger.begin(PREFIX + key, [ABSENT], "delete several") for key in keys]
        reply = self._call("POST", f"/{BUCKET}", "delete=", digest_, body.encode())
        deleted = _deleted(reply.answer) if reply.outcome is Outcome.DONE and reply.answer is not None else set()
        for key, version in zip(keys, versions, strict=True):
            refused = reply.outcome is Outcome.DONE and key not in deleted
            self._end(version, replace(reply, outcome=Outcome.UNKNOWN) if refused else reply)

    def _copy(self) -> None:
        source, to = self.dice.sample(self._own, 2)
        ledger = self.target.ledger
        possible = ledger.allowed(PREFIX + source, ledger.now) - {ABSENT}
        if not possible:
            return
        version = ledger.begin(PREFIX + to, possible, f"copy of {source}")
        self._end(version, self._call("PUT", path_of(to), headers={"x-amz-copy-source": path_of(source)}))

    def _begin_upload(self, key: str, content: Content) -> str | None:
        reply = self._call("POST", path_of(key), "uploads=", headers_of(content))
        return reply.answer.element("UploadId") if reply.outcome is Outcome.DONE and reply.answer is not None else None

    def _multipart(self) -> None:
        key = self.dice.choice(self._own)
        content = self._content(key, 2 if self.dice.random() < 0.15 else 1)
        upload = self._begin_upload(key, content)
        if upload is None:
            return
        listed = ""
        for number, piece in enumerate(content.pieces(), 1):
            reply = self._call("PUT", path_of(key), f"partNumber={number}&uploadId={upload}", body=piece)
            if reply.outcome is not Outcome.DONE or reply.answer is None:
                return
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{reply.answer.headers['etag']}</ETag></Part>"
        self._complete(key, content, upload, listed)

    def _copy_as_part(self) -> None:
        """An upload whose only part is all of another object."""
        source, to = self.dice.sample(self._own, 2)
        ledger = self.target.ledger
        possible = ledger.allowed(PREFIX + source, ledger.now)
        if len(possible) > 1 or ABSENT in possible:
            return
        content = Content.of(next(iter(possible)))
        upload = self._begin_upload(to, content)
        if upload is None:
            return
        headers = {"x-amz-copy-source": path_of(source)}
        reply = self._call("PUT", path_of(to), f"partNumber=1&uploadId={upload}", headers)
        if reply.outcome is Outcome.DONE and reply.answer is not None:
            etag = reply.answer.element("ETag")
            self._complete(to, content, upload, f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>")

    def _complete(self, key: str, content: Content, upload: str, listed: str) -> None:
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        version = self.target.ledger.begin(PREFIX + key, [content.tag], "complete")
        self._end(version, self._call("POST", path_of(key), f"uploadId={upload}", body=body))

    def _abandon(self) -> None:
        """Begun, and aborted or forgotten."""
        key = self.dice.choice(self._own)
        content = self._content(key, 1)
        upload = self._begin_upload(key, content)
        if upload is not None:
            self._call("PUT", path_of(key), f"partNumber=1&uploadId={upload}", body=content.data())
            if self.dice.random() < 0.5:
                self._call("DELETE", path_of(key), f"uploadId={upload}")

    def _check(self, key: str, since: int, state: str | None, how: str) -> None:
        if state is None:
            return
        self.target.findings.read()
        allowed = self.target.ledger.allowed(PREFIX + key, since)
        if state not in allowed:
            self.target.findings.add("wrong state", key, f"{how} shows {state or 'nothing'}, allowed {sorted(allowed)}")

    def _somewhere(self) -> str:
        """Mostly one's own."""
        if self.dice.random() < 0.6:
            return self.dice.choice([*self._own, *self._shared])
        return self.dice.choice(self._own).replace(f"-{self.number}.", f"-{self.dice.randrange(self.of)}.")

    def _get(self) -> None:
        key, since = self._somewhere(), self.target.ledger.now
        reply = self._call("GET", path_of(key))
        if reply.status == 200 and reply.outcome is Outcome.DONE and reply.answer is not None:
            self._check(key, since, seen(reply.answer, self.target.findings, key), "GET")
        elif reply.why == "404 NoSuchKey":
            self._check(key, since, ABSENT, "GET")

    def _range(self) -> None:
        key, since = self._somewhere(), self.target.ledger.now
        start = self.dice.randrange(500)
        stop = start + self.dice.randrange(200_000)
        reply = self._call("GET", path_of(key), headers={"range": f"bytes={start}-{stop}"})
        if reply.status == 206 and reply.outcome is Outcome.DONE and reply.answer is not None:
            tag = reply.answer.headers.get("x-amz-meta-tag", ABSENT)
            if tag == ABSENT or reply.answer.body != Content.of(tag).data()[start : stop + 1]:
                self.target.findings.add("wrong bytes", key, f"{start}-{stop} of {tag} are others")
            self._check(key, since, tag, "GET of a range")
        elif reply.why == "404 NoSuchKey":
            self._check(key, since, ABSENT, "GET of a range")

    def _head(self) -> None:
        key, since = self._somewhere(), self.target.ledger.now
        reply = self._call("HEAD", path_of(key))
        if reply.status == 200 and reply.answer is not None:
            tag = reply.answer.headers.get("x-amz-meta-tag", ABSENT)
            if not fits(tag, int(reply.answer.headers["content-length"])):
                self.target.findings.add("wrong size", key, f"HEAD: {reply.answer.headers['content-length']} of {tag}")
            self._check(key, since, tag, "HEAD")
        elif reply.status == 404:
            self._check(key, since, ABSENT, "HEAD")

    def _list(self) -> None:
        prefix = f"fam{self.dice.randrange(len(SIZES))}/"
        since = self.target.ledger.now
        found = listing(partial(self._call, "GET", f"/{BUCKET}"), prefix, self.dice.choice((3, 10, 1000)))
        if found is not None:
            check_listing(self.target, prefix, since, found)


def listing(ask: Callable[[str], Reply], prefix: str, page: int) -> dict[str, tuple[int, str]] | None:
    """Sizes and ETags by key, over all pages; None if a page was not to be had."""
    found: dict[str, tuple[int, str]] = {}
    token = ""
    while True:
        more = f"&continuation-token={quote(token, safe='')}" if token else ""
        reply = ask(f"list-type=2&max-keys={page}&prefix={quote(prefix, safe='')}{more}")
        if reply.status != 200 or reply.outcome is not Outcome.DONE or reply.answer is None:
            return None
        root = etree.fromstring(reply.answer.body)
        for entry in root.iterfind("{*}Contents"):
            key, size, etag = (entry.findtext(f"{{*}}{name}") or "" for name in ("Key", "Size", "ETag"))
            found[key] = (int(size), etag)
        token = root.findtext("{*}NextContinuationToken") or ""
        if not token:
            return found


def check_listing(target: Target, prefix: str, since: int, found: Mapping[str, tuple[int, str]]) -> None:
    """Each key for itself: a listing shows no moment."""
    target.findings.read()
    known = {name[len(PREFIX) :] for name in target.ledger.names(PREFIX + prefix)}
    for key in found.keys() - known:
        target.findings.add("foreign", key, "is listed, but nobody has ever asked for it")
    for key in known:
        allowed = target.ledger.allowed(PREFIX + key, since)
        if key not in found:
            if ABSENT not in allowed:
                target.findings.add("wrong state", key, f"is not listed, allowed {sorted(allowed)}")
        elif not any(fits(tag, found[key][0]) for tag in allowed):
            target.findings.add("wrong state", key, f"is listed with {found[key][0]} bytes, allowed {sorted(allowed)}")


def _deleted(answer: Answer) -> set[str]:
    root = etree.fromstring(answer.body)
    return {entry.findtext("{*}Key") or "" for entry in root.iterfind("{*}Deleted")}
