"""How long a service may say nothing, and what is made of it when it does for longer."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backend import IfMatch, Piece
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.errors import Unavailable, Uncertain
from tests.support.storage.objects import get, put
from tests.support.storage.s3 import opened, settings_for, verdicts_of
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import Delay, Hold, Rule, Side
from tests.support.storage.services.service import Service

_SILENCE = 0.2


@pytest.fixture
async def backend(service: Service, proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[S3Backend]:
    settings = replace(settings_for(service, tmp_path, proxy.endpoint), read_timeout=_SILENCE)
    async with opened(settings, await verdicts_of(service, tmp_path)) as made:
        yield made


async def test_a_question_without_an_answer_is_not_asked_again(
    backend: S3Backend, proxy: FaultProxy, bucket: str
) -> None:
    proxy.add(Rule(Hold(Side.ANSWER), "HEAD", "/key$"))
    with pytest.raises(Unavailable) as failure:
        await backend.head(bucket, "key")
    assert not isinstance(failure.value, Uncertain)
    assert len(proxy.forwarded("HEAD")) == 1


async def test_a_change_without_an_answer_is_uncertain(
    service: Service, backend: S3Backend, proxy: FaultProxy, bucket: str
) -> None:
    proxy.add(Rule(Hold(Side.ANSWER), "PUT", "/key$"))
    with pytest.raises(Uncertain):
        await put(backend, "key", b"data", bucket=bucket)
    assert proxy.repeated("PUT") == {}
    assert service.client().get_object(Bucket=bucket, Key="key")["Body"].read() == b"data"


async def test_a_copy_may_take_its_time(backend: S3Backend, proxy: FaultProxy, bucket: str) -> None:
    source = await put(backend, "source", b"data", bucket=bucket)
    proxy.add(Rule(Delay(2 * _SILENCE, Side.ANSWER), "PUT", "/copy$"))
    await backend.compose(bucket, "copy", [Piece("source", 0, 4)], {}, None, IfMatch(source.etag))
    assert await get(backend, "copy", bucket) == b"data"
