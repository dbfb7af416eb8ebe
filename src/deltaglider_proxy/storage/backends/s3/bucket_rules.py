"""What a bucket does by itself to what lies in it: lifecycle rules, and versioning.

A delta needs its reference for as long as it lives, so where a rule of the service would remove references or move them
out of reach, no delta may be made. Rules are looked at when the engine first looks for references in a bucket, before
any delta is made there, and again once a day. An answer that says nothing about rules, as of a service that has none or
of one that does not let us look, leaves the decision to the operator; no answer at all does not.
S3 User Guide, "Lifecycle configuration elements".
"""

import asyncio
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import structlog
from lxml import etree

from deltaglider_proxy.storage.backends.s3 import documents
from deltaglider_proxy.storage.backends.s3.answers import READABLE_CLASSES, Answer, meaning
from deltaglider_proxy.storage.backends.s3.client import Call, Client
from deltaglider_proxy.storage.errors import NoSuchBucket, StorageError

_log = structlog.get_logger("deltaglider_proxy.bucket_rules")

OURS: Final = ".deltaglider/"
_DAY: Final = 24 * 3600.0
_AGAIN: Final = 60.0
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class BucketRules:
    versioned: bool = False
    """Whatever is overwritten or deleted stays as an old version, and is paid for."""
    lifecycle: tuple[str, ...] = ()
    """Rules that remove what the proxy keeps for itself or move it out of reach, in words: no deltas are made here."""
    notes: tuple[str, ...] = ()
    """What could not be found out, and why."""


async def look(client: Client, bucket: str) -> BucketRules:
    """In two requests. Raises NoSuchBucket, Unavailable."""
    notes = []
    versioned = False
    answer = await _ask(client, bucket, "versioning")
    try:
        if answer.good:
            versioned = documents.text(documents.parse(answer.body), "Status") == "Enabled"
        elif not _has_none(answer):
            notes.append(f"versioning: {answer.status} {answer.code}")
    except documents.Malformed as error:
        notes.append(f"versioning: {error}")
    found: list[str] = []
    answer = await _ask(client, bucket, "lifecycle")
    try:
        if answer.good:
            found = touching(answer.body)
        elif not _has_none(answer):
            notes.append(f"lifecycle: {answer.status} {answer.code}; look at the rules of the bucket yourself")
    except documents.Malformed as error:
        notes.append(f"lifecycle: {error}; look at the rules of the bucket yourself")
    return BucketRules(versioned, tuple(found), tuple(notes))


async def _ask(client: Client, bucket: str, what: str) -> Answer:
    call = Call("GET", bucket, query={what: ""})
    answer = await client.send(call, mutation=False, deadline=_PATIENCE)
    if answer.code == "NoSuchBucket":
        raise meaning(answer, call.subject, mutation=False)
    return answer


def _has_none(answer: Answer) -> bool:
    """Such a thing is not set, or the service does not know it."""
    return answer.code == "NoSuchLifecycleConfiguration" or answer.status in (405, 501)


def touching(body: bytes) -> list[str]:
    """Rules of a lifecycle configuration that expire current objects below `.deltaglider/`, or move them to where they
    cannot be read at once. Raises Malformed.
    """
    found = []
    for rule in documents.children(documents.parse(body), "Rule"):
        if documents.text(rule, "Status") != "Enabled":
            continue
        prefix, tagged = _chosen(rule)
        acts = [name for name, harms in (("Expiration", _expires), ("Transition", _hides)) if harms(rule)]
        if acts and not tagged and (prefix.startswith(OURS) or OURS.startswith(prefix)):
            found.append(
                f"rule {documents.text(rule, 'ID') or 'without an id'!r} ({', '.join(acts)}) applies to {OURS}"
            )
    return found


def _chosen(rule: etree._Element) -> tuple[str, bool]:
    """The prefix of what the rule is about, and whether it asks for a tag: our objects have none."""
    prefix, tagged = documents.text(rule, "Prefix") or "", False
    for given in documents.children(rule, "Filter"):
        for each in (given, *documents.children(given, "And")):
            prefix = documents.text(each, "Prefix") or prefix
            tagged = tagged or next(documents.children(each, "Tag"), None) is not None
    return prefix, tagged


def _expires(rule: etree._Element) -> bool:
    """Objects, and not only the markers that deletions leave."""
    return any(
        documents.text(each, "Days") is not None or documents.text(each, "Date") is not None
        for each in documents.children(rule, "Expiration")
    )


def _hides(rule: etree._Element) -> bool:
    return any(
        documents.text(each, "StorageClass") not in READABLE_CLASSES for each in documents.children(rule, "Transition")
    )


class RulesOfBuckets:
    """What is known of each bucket of one service."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._harmful: dict[str, bool] = {}
        self._due: dict[str, float] = {}
        self._looking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def harm(self, bucket: str) -> bool:
        """Whether references would not last here, as far as `learn` has found out."""
        return self._harmful.get(bucket, False)

    async def learn(self, bucket: str) -> None:
        """Look, if that was not done lately, and say what matters. A look that fails counts as harm until the next."""
        if self._is_known(bucket):
            return
        async with self._looking.setdefault(bucket, asyncio.Lock()):
            if not self._is_known(bucket):
                await self._look(bucket)

    def forget(self, bucket: str) -> None:
        """It was made or deleted."""
        self._due.pop(bucket, None)
        self._harmful.pop(bucket, None)

    def _is_known(self, bucket: str) -> bool:
        due = self._due.get(bucket)
        return due is not None and self._client.clock.monotonic() < due

    async def _look(self, bucket: str) -> None:
        clock, log = self._client.clock, _log.bind(backend=self._client.settings.name, bucket=bucket)
        try:
            rules = await look(self._client, bucket)
        except NoSuchBucket:
            return  # which is what the request behind this look is answered
        except StorageError as error:
            self._harmful[bucket], self._due[bucket] = True, clock.monotonic() + _AGAIN
            log.warning("no deltas are made while the rules of a bucket cannot be looked at", reason=str(error))
            return
        self._harmful[bucket], self._due[bucket] = bool(rules.lifecycle), clock.monotonic() + _DAY
        for rule in rules.lifecycle:
            log.error("no deltas are made in a bucket whose lifecycle rules take what they need", rule=rule)
        for note in rules.notes:
            log.warning("the rules of a bucket are not known", reason=note)
        if rules.versioned:
            log.info("a bucket keeps old versions, of internal objects too")
