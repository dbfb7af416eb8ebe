"""Finding out what a service does, with throw-away objects below `.deltaglider/v1/probe/`.

Each trial makes both sides of its claim happen: a condition that fails must be refused and change nothing, and one that
holds must be let through. Only status codes and what is there afterwards decide. A trial that could not be made leaves
its verdict at untested; nothing that is not about the bucket can make the probe fail.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from deltaglider_proxy.storage.backends.s3 import bucket_rules, documents, listing
from deltaglider_proxy.storage.backends.s3.answers import Answer, hidden_error, meaning
from deltaglider_proxy.storage.backends.s3.bucket_rules import BucketRules
from deltaglider_proxy.storage.backends.s3.client import CHUNK, Call, Client
from deltaglider_proxy.storage.backends.s3.metadata import from_headers, to_headers
from deltaglider_proxy.storage.backends.s3.service import Service
from deltaglider_proxy.storage.backends.s3.streaming import StreamedPut
from deltaglider_proxy.storage.backends.s3.throwaway import Throwaway
from deltaglider_proxy.storage.backends.s3.turns import Turns
from deltaglider_proxy.storage.backends.s3.uploads import SMALLEST_PART
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts
from deltaglider_proxy.storage.errors import Denied, StorageError, Unsupported

PLACE: Final = ".deltaglider/v1/probe/"
_WRONG: Final = '"00000000000000000000000000000000"'
_SETTLE: Final = 0.5
_ORDERED: Final = ("D", "d%2F+ &", "d-x", "d.x", "d/x", "d/y/z", "d0", "e\u0301", "é", "\U0001f600")
_ODD: Final = {
    "an object beside a folder of its name": ("odd/a", "odd/a/b"),
    "a name that ends in /": ("odd/folder/",),
    "//": ("odd//b",),
    ".": ("odd/./b",),
    "..": ("odd/x/../b",),
    "a component of 300 bytes": ("odd/" + "n" * 300,),
    "1024 bytes": (),
}
_BLANK: Final = ("blank/\t", "blank/a\nb", "blank/a\rb", "blank/a\r\nb")
_CONTROL: Final = ("control/\x01", "control/\x1f", "control/\ufffe", "control/\uffff", "control/\ufffd")
_UTF8: Final = "Gr\u00fc\u00dfe, \u4e16\u754c \U0001f680"


@dataclass(frozen=True, slots=True)
class Report:
    bucket: str
    verdicts: Verdicts
    refused_keys: tuple[str, ...] = ()
    """Kinds of keys that S3 allows and the service does not hold, in words."""
    rules: BucketRules = field(default_factory=BucketRules)
    notes: tuple[str, ...] = ()
    """What else was seen, and why trials could not be made."""


async def probe(client: Client, bucket: str, patience: float = 30.0) -> Report:
    """Takes about eighty small requests; `patience` in seconds. Raises NoSuchBucket, Denied, Unavailable."""
    return await _probe(client, bucket, patience, _Trials.all)


async def probe_conditions(client: Client, bucket: str, patience: float = 30.0) -> Report:
    """Conditional writes only, in a dozen requests; the rest is untested. Raises NoSuchBucket, Unavailable."""
    return await _probe(client, bucket, patience, _Trials.conditions)


async def _probe(client: Client, bucket: str, patience: float, what: Callable[["_Trials"], Awaitable[None]]) -> Report:
    service = Service(client, Turns(client.settings.lock_dir, patience), Verdicts())
    await service.look_for(bucket)
    trials = _Trials(service, bucket, f"{PLACE}{secrets.token_hex(16)}/")
    try:
        async with asyncio.timeout(patience):
            await trials.may_write()
            await what(trials)
    except TimeoutError:
        trials.notes.append(f"the probe was ended after {patience:.0f} s")
    finally:
        await trials.clean_up()
    return trials.report()


@dataclass(slots=True)
class _Trials(Throwaway):
    verdicts: Verdicts = field(default_factory=Verdicts)
    refused: list[str] = field(default_factory=list)
    found: BucketRules = field(default_factory=BucketRules)

    def report(self) -> Report:
        return Report(
            self.bucket,
            self.verdicts,
            tuple(self.refused),
            self.found,
            tuple(self.notes),
        )

    async def may_write(self) -> None:
        """Raises Denied: a service that does not let us write here may do everything elsewhere."""
        call = Call("PUT", self.bucket, self.place + "may-write")
        self.made.add(call.key)
        answer = await self.send(call)
        if not answer.good and isinstance(refused := meaning(answer, call.subject, mutation=False), Denied):
            raise refused

    async def conditions(self) -> None:
        await self.judge("create_if_absent", self.create_if_absent)
        await self.judge("replace_if_match", self.replace_if_match)

    async def all(self) -> None:
        await self.conditions()
        for name, trial in (
            ("delete_if_match", self.delete_if_match),
            ("complete_if_absent", self.complete_if_absent),
            ("complete_if_match", self.complete_if_match),
            ("copy", self.copy),
            ("part_copy", self.part_copy),
            ("streams", self.streams),
            ("md5_etags", self.md5_etags),
            ("byte_order", self.byte_order),
            ("common_prefixes", self.common_prefixes),
            ("odd_keys", self.odd_keys),
            ("backslashes", lambda: self.apart(("back/a\\b", "back/a/b"))),
            ("line_breaks", lambda: self.apart(_BLANK)),
            ("control_characters", lambda: self.apart(_CONTROL)),
            ("empty_values", lambda: self.keeps("empty", "")),
            ("utf8_values", lambda: self.keeps("utf8", _UTF8)),
        ):
            await self.judge(name, trial)
        for name, look in (("metadata", self.metadata), ("rules of the bucket", self.rules)):
            try:
                await look()
            except StorageError as error:
                self.notes.append(f"{name}: {error}")

    async def judge(self, name: str, trial: Callable[[], Awaitable[bool]]) -> None:
        try:
            verdict = Verdict.WORKS if await trial() else Verdict.LACKING
        except (StorageError, documents.Malformed) as error:
            verdict = Verdict.UNTESTED
            self.notes.append(f"{name}: {error}")
        self.verdicts = replace(self.verdicts, **{name: verdict})

    async def create_if_absent(self) -> bool:
        first = await self.put("create", b"1", {"if-none-match": "*"})
        second = await self.put("create", b"2", {"if-none-match": "*"})
        return first.good and _refused(second) and await self.holds("create", b"1")

    async def replace_if_match(self) -> bool:
        first = await self.stored("replace", b"1")
        wrong = await self.put("replace", b"2", {"if-match": _WRONG})
        if not _refused(wrong) or not await self.holds("replace", b"1"):
            return False
        right = await self.put("replace", b"3", {"if-match": f'"{first.etag}"'})
        nothing = await self.put("nothing", b"4", {"if-match": f'"{first.etag}"'})
        return (
            right.good and await self.holds("replace", b"3") and not nothing.good and await self.holds("nothing", None)
        )

    async def delete_if_match(self) -> bool:
        first = await self.stored("delete", b"1")
        wrong = await self.send(Call("DELETE", self.bucket, self.place + "delete", headers={"if-match": _WRONG}))
        if not _refused(wrong) or not await self.holds("delete", b"1"):
            return False
        headers = {"if-match": f'"{first.etag}"'}
        right = await self.send(Call("DELETE", self.bucket, self.place + "delete", headers=headers))
        return right.good and await self.holds("delete", None)

    async def complete_if_absent(self) -> bool:
        await self.stored("complete", b"1")
        refused = await self.complete("complete", b"2", {"if-none-match": "*"})
        if not _refused(refused) or not await self.holds("complete", b"1"):
            return False
        let_through = await self.complete("complete-new", b"3", {"if-none-match": "*"})
        return _done(let_through) and await self.holds("complete-new", b"3")

    async def complete_if_match(self) -> bool:
        first = await self.stored("complete-match", b"1")
        refused = await self.complete("complete-match", b"2", {"if-match": _WRONG})
        if not _refused(refused) or not await self.holds("complete-match", b"1"):
            return False
        let_through = await self.complete("complete-match", b"3", {"if-match": f'"{first.etag}"'})
        nothing = await self.complete("complete-nothing", b"4", {"if-match": f'"{first.etag}"'})
        there = await self.holds("complete-match", b"3")
        return _done(let_through) and there and not _done(nothing) and await self.holds("complete-nothing", None)

    async def copy(self) -> bool:
        source = await self.stored("copy", b"source", to_headers({"x-amz-meta-a": "1"}))
        headers = {
            **to_headers({"x-amz-meta-b": "2"}),
            "x-amz-copy-source": f"/{self.bucket}/{self.place}copy",
            "x-amz-metadata-directive": "REPLACE",
        }
        wrong = await self.put("copied", b"", {**headers, "x-amz-copy-source-if-match": _WRONG})
        if not _refused(wrong) or not await self.holds("copied", None):
            return False
        right = await self.put("copied", b"", {**headers, "x-amz-copy-source-if-match": f'"{source.etag}"'})
        if not _done(right) or not await self.holds("copied", b"source"):
            return False
        head = await self.send(Call("HEAD", self.bucket, self.place + "copied"))
        return from_headers(head.headers) == {"x-amz-meta-b": "2"}

    async def part_copy(self) -> bool:
        """With a first part of the least size and a last one that is smaller."""
        body = secrets.token_bytes(SMALLEST_PART + 1)
        source = await self.stored("parts", body)
        key = self.place + "joined"
        upload = await self.begin(key)
        headers = {"x-amz-copy-source": f"/{self.bucket}/{self.place}parts"}
        etags = []
        for number, span, tag in ((1, "0-9", _WRONG), (1, f"0-{SMALLEST_PART - 1}", ""), (2, "7-9", "")):
            query = {"partNumber": str(number), "uploadId": upload}
            match = {
                "x-amz-copy-source-range": f"bytes={span}",
                "x-amz-copy-source-if-match": tag or f'"{source.etag}"',
            }
            answer = await self.send(Call("PUT", self.bucket, key, query=query, headers={**headers, **match}))
            if tag:
                if not _refused(answer):
                    return False
                continue
            if not _done(answer):
                return False
            etags.append(documents.etag(documents.required(documents.parse(answer.body), "ETag")))
        done = await self.send(
            Call("POST", self.bucket, key, query={"uploadId": upload}, body=documents.complete_upload(etags))
        )
        return _done(done) and await self.holds("joined", body[:SMALLEST_PART] + body[7:10])

    async def streams(self) -> bool:
        body = secrets.token_bytes(CHUNK + 3)
        self.made |= {self.place + "streamed", self.place + "cut"}
        whole = self.stream("streamed", len(body))
        try:
            await whole.feed(body[:CHUNK])
            answer, _ = await whole.finish(body[CHUNK:])
        finally:
            await whole.cut()
        if not answer.good or not await self.holds("streamed", body):
            return False
        cut = self.stream("cut", len(body))
        try:
            await cut.feed(body[:CHUNK])
            await asyncio.sleep(_SETTLE)  # lets it arrive
        finally:
            await cut.cut()
        await asyncio.sleep(_SETTLE)  # lets the service notice
        return await self.holds("cut", None)

    def stream(self, name: str, size: int) -> StreamedPut:
        call = Call("PUT", self.bucket, self.place + name, headers={"content-type": "binary/octet-stream"})
        return StreamedPut(self.service.client, call, size)

    async def md5_etags(self) -> bool:
        for body in (b"", b"etag", secrets.token_bytes(100)):
            answer = await self.stored("etag", body)
            if answer.etag != hashlib.md5(body, usedforsecurity=False).hexdigest():
                return False
        return True

    async def byte_order(self) -> bool:
        prefix = self.place + "order/"
        for name in reversed(_ORDERED):
            await self.stored("order/" + name, b"")
        wanted = [prefix + name for name in _ORDERED]
        for number in range(len(wanted)):
            start = wanted[number - 1] if number else ""
            raw = await listing.fetch(self.service, self.bucket, prefix, start, "", 1000)
            if [listing.name(entry) for entry in raw.entries] != wanted[number:]:
                return False
        return True

    async def common_prefixes(self) -> bool:
        prefix = self.place + "rolled/"
        for name in _ORDERED:
            await self.stored("rolled/" + name, b"")
        wanted = list(dict.fromkeys(prefix + ("d/" if name.startswith("d/") else name) for name in _ORDERED))
        start = ""
        for number in range(len(wanted)):
            raw = await listing.fetch(self.service, self.bucket, prefix, start, "/", 1000)
            if [listing.name(entry) for entry in raw.entries] != wanted[number:]:
                return False
            start = wanted[number] + (listing.LAST if wanted[number].endswith("/") else "")
        for name in _ORDERED:
            await self.send(Call("DELETE", self.bucket, prefix + name))
        raw = await listing.fetch(self.service, self.bucket, prefix, "", "/", 1000)
        return not raw.entries

    async def odd_keys(self) -> bool:
        kinds = {kind: names or ("odd/" + "y/" * ((1024 - len(self.place)) // 2 - 2),) for kind, names in _ODD.items()}
        for names in kinds.values():
            for name in names:
                await self.put(name, name.encode())
        await self.put("odd/b", b"")
        for kind, names in kinds.items():
            if not await self.there(names):
                self.refused.append(kind)
        return not self.refused

    async def apart(self, names: Sequence[str]) -> bool:
        """A key is refused also if it is taken for another one, which shows when that one is written behind it."""
        for name in names:
            await self.put(name, name.encode())
        return await self.there(names)

    async def there(self, names: Sequence[str]) -> bool:
        for name in names:
            if not await self.holds(name, name.encode()) or not await self.lists(name):
                return False
        return True

    async def lists(self, name: str) -> bool:
        try:
            raw = await listing.fetch(self.service, self.bucket, self.place + name, "", "", 1)
        except Unsupported:
            return False
        return [listing.name(entry) for entry in raw.entries] == [self.place + name]

    async def keeps(self, name: str, value: str) -> bool:
        """Whether a metadata value that is sent as it is comes back so, however the object is made."""
        metadata = {"x-amz-meta-a": value, "x-amz-meta-b": "b"}
        headers = {"content-type": "binary/octet-stream", **metadata}
        await self.stored(name, b"1", headers)
        await self.stored(f"{name}-source", b"2")
        directive = {
            "x-amz-copy-source": f"/{self.bucket}/{self.place}{name}-source",
            "x-amz-metadata-directive": "REPLACE",
        }
        copied = await self.put(f"{name}-copied", b"", {**headers, **directive})
        joined = await self.complete(f"{name}-joined", b"3", {}, headers)
        if not _done(joined) or not (_done(copied) or self.verdicts.copy is not Verdict.WORKS):
            return False
        made = [name, f"{name}-joined", *([f"{name}-copied"] if _done(copied) else [])]
        heads = [await self.send(Call("HEAD", self.bucket, self.place + each)) for each in made]
        return all(from_headers(head.headers) == metadata for head in heads)

    async def metadata(self) -> None:
        full = {f"x-amz-meta-{number}": "v" * 400 for number in range(5)}
        answer = await self.put("metadata", b"", to_headers({"x-amz-meta-full": "v" * 1400}))
        most = await self.put("metadata-most", b"", {"content-type": "binary/octet-stream", **full})
        if not answer.good:
            self.notes.append("metadata: 1.5 KB beside an object are refused")
        elif not most.good:
            self.notes.append("metadata: 2 KB beside an object, which S3 allows, are refused")

    async def rules(self) -> None:
        self.found = await bucket_rules.look(self.service.client, self.bucket)
        self.notes.extend(self.found.notes)


def _refused(answer: Answer) -> bool:
    """As a condition that does not hold is refused, not as an unknown feature is."""
    return answer.status == 412 or answer.code in ("PreconditionFailed", "ConditionalRequestConflict")


def _done(answer: Answer) -> bool:
    return answer.good and hidden_error(answer, "probe", mutation=False) is None
