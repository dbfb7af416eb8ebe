"""What readers, writers and copies share: looking at keys and buckets, and the one step that makes a change visible."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from deltaglider_proxy.storage.backend import Condition, IfAbsent, IfMatch, Stored
from deltaglider_proxy.storage.backends.s3.answers import Answer, describe, meaning, moment
from deltaglider_proxy.storage.backends.s3.client import Call, Client
from deltaglider_proxy.storage.backends.s3.turns import Turns
from deltaglider_proxy.storage.backends.s3.verdicts import Verdicts
from deltaglider_proxy.storage.errors import ConditionFailed, NoSuchBucket, NoSuchKey

R = TypeVar("R")

_REMEMBERED: Final = 60.0
"""Seconds for which a bucket that was there is taken to be there; every change finds out itself if it is not."""


class Service:
    def __init__(self, client: Client, turns: Turns, verdicts: Verdicts) -> None:
        self.client = client
        self.turns = turns
        self.verdicts = verdicts
        self._seen: dict[str, float] = {}

    async def require(self, bucket: str) -> None:
        """Raises NoSuchBucket."""
        seen = self._seen.get(bucket)
        if seen is not None and self.client.clock.monotonic() - seen < _REMEMBERED:
            return
        await self.look_for(bucket)

    async def look_for(self, bucket: str) -> None:
        """The same, asking the service. Raises NoSuchBucket."""
        answer = await self.client.read(Call("HEAD", bucket))
        if answer.status == 404:
            self.forget(bucket)
            raise NoSuchBucket(bucket)
        if not answer.good:
            raise meaning(answer, f"HEAD {bucket}", mutation=False)
        self._seen[bucket] = self.client.clock.monotonic()

    def forget(self, bucket: str) -> None:
        self._seen.pop(bucket, None)

    async def look(self, bucket: str, key: str) -> tuple[Stored, Answer]:
        """Raises NoSuchKey, NoSuchBucket."""
        call = Call("HEAD", bucket, key)
        answer = await self.client.read(call)
        if answer.status == 404:
            await self.require(bucket)  # an answer to HEAD has no body that tells the two apart
            raise NoSuchKey(key)
        if not answer.good:
            raise meaning(answer, call.subject, mutation=False)
        return describe(answer, key), answer

    async def head(self, bucket: str, key: str) -> Stored:
        return (await self.look(bucket, key))[0]

    async def current(self, bucket: str, key: str) -> Stored | None:
        try:
            return await self.head(bucket, key)
        except NoSuchKey:
            return None

    async def visibly(
        self,
        bucket: str,
        key: str,
        condition: Condition,
        change: Callable[[Mapping[str, str]], Awaitable[R]],
        *,
        honoured: bool,
    ) -> R:
        """Run `change` if `condition` holds; it sends the headers that it is given.

        Where the service does not honour such a condition, the key is looked at first: safe on this host.
        """

        async def checked() -> R:
            await self.require(bucket)  # there are services that make a bucket of whatever is put into it
            headers: dict[str, str] = {}
            if condition is not None and honoured:
                headers = condition_headers(condition)
            elif condition is not None:
                check(condition, await self.current(bucket, key))
            try:
                return await change(headers)
            except NoSuchKey as error:
                if isinstance(condition, IfMatch):
                    raise ConditionFailed(str(error)) from error
                raise
            except NoSuchBucket:
                self.forget(bucket)
                raise

        return await self.turns.change(bucket, key, checked)


def check(condition: Condition, current: Stored | None) -> None:
    """Raises ConditionFailed."""
    match condition:
        case IfAbsent() if current is not None:
            raise ConditionFailed("the key holds an object")
        case IfMatch(etag) if current is None or current.etag != etag:
            raise ConditionFailed("the key does not hold this generation")
        case _:
            return


def condition_headers(condition: Condition) -> dict[str, str]:
    match condition:
        case None:
            return {}
        case IfAbsent():
            return {"if-none-match": "*"}
        case IfMatch(etag):
            return {"if-match": f'"{etag}"'}


def made(answer: Answer, key: str, size: int, etag: str, metadata: Mapping[str, str]) -> Stored:
    """What a change has made. An answer to it does not name the object's time; its own differs by seconds at most."""
    return Stored(key, size, etag, moment(answer, "date"), dict(metadata))
