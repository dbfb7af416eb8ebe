"""The probe says what a service does, not what it is called, and leaves nothing behind."""

from dataclasses import replace
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.client import Client
from deltaglider_proxy.storage.backends.s3.probe import Report, probe
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts
from deltaglider_proxy.storage.errors import Denied, KeyRejected, NoSuchBucket, NoSuchKey, Unavailable
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.objects import keys, put
from tests.support.storage.s3 import opened, settings_for, verdicts_of
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import NO_CONDITIONS, LoseAnswer, Refuse, Request, Rule, Side, Strip
from tests.support.storage.services.service import Service

CONDITIONS = ("create_if_absent", "replace_if_match", "delete_if_match", "complete_if_absent", "complete_if_match")


async def report_on(
    service: Service, bucket: str, root: Path, endpoint: str | None = None, deadline: float = 2.0
) -> Report:
    pool = Pool(2)
    client = Client(replace(settings_for(service, root, endpoint), deadline=deadline), pool, SystemClock())
    try:
        return await probe(client, bucket)
    finally:
        await client.close()
        pool.close()


async def test_versitygw(service: Service, bucket: str, tmp_path: Path) -> None:
    report = await report_on(service, bucket, tmp_path)
    assert report.verdicts.compare_and_swap
    assert report.verdicts.streams is report.verdicts.md5_etags is report.verdicts.byte_order is Verdict.WORKS
    assert report.verdicts.odd_keys is Verdict.LACKING
    assert "//" in report.refused_keys
    assert report.verdicts.backslashes is report.verdicts.line_breaks is Verdict.WORKS
    assert report.verdicts.control_characters is Verdict.LACKING
    assert not report.rules.versioned
    listed = service.client().list_objects_v2(Bucket=bucket)
    assert listed["KeyCount"] == 0


async def test_a_service_that_ignores_conditions(
    service: Service, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    proxy.add(Rule(NO_CONDITIONS, times=None))
    verdicts = (await report_on(service, bucket, tmp_path, proxy.endpoint)).verdicts
    assert [getattr(verdicts, name) for name in CONDITIONS] == [Verdict.LACKING] * 5
    assert verdicts.copy is verdicts.part_copy is Verdict.LACKING
    assert not verdicts.compare_and_swap


async def test_a_service_that_refuses_conditions(
    service: Service, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    def conditional(request: Request) -> bool:
        return request.head.get("if-match") is not None or request.head.get("if-none-match") is not None

    proxy.add(Rule(Refuse(501, "NotImplemented"), when=conditional, times=None))
    verdicts = (await report_on(service, bucket, tmp_path, proxy.endpoint)).verdicts
    assert [getattr(verdicts, name) for name in CONDITIONS] == [Verdict.LACKING] * 5


async def test_a_key_that_would_spoil_listings_is_refused_when_it_is_put(
    service: Service, backend: S3Backend, bucket: str
) -> None:
    await put(backend, "a\\b", bucket=bucket)
    await put(backend, "a\nb\r", bucket=bucket)
    for key in ("\x01", "a\ufffd", "\ufffe/b", "\uffff"):
        with pytest.raises(KeyRejected, match="backend check"):
            await put(backend, key, bucket=bucket)
        with pytest.raises(NoSuchKey):
            await backend.head(bucket, key)
        assert await backend.delete(bucket, key) is False
    assert await keys(backend, bucket) == ["a\nb\r", "a\\b"]


async def test_an_odd_key_has_to_wait_until_the_service_was_tried(
    service: Service, bucket: str, tmp_path: Path
) -> None:
    async with opened(settings_for(service, tmp_path), Verdicts()) as backend:
        for key in ("a//b", "a\\b", "a\nb", "\x01"):
            with pytest.raises(Unavailable, match="not tried yet"):
                await put(backend, key, bucket=bucket)
            with pytest.raises(Unavailable, match="not tried yet"):
                await backend.head(bucket, key)
            with pytest.raises(Unavailable, match="not tried yet"):
                await backend.delete(bucket, key)
        backend.learn(await verdicts_of(service, tmp_path))
        await put(backend, "a\\b", bucket=bucket)


async def test_what_cannot_be_tried_stays_untested(
    service: Service, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    proxy.add(Rule(LoseAnswer(), "POST", query=["uploadId"], times=None))
    report = await report_on(service, bucket, tmp_path, proxy.endpoint, deadline=0.8)
    assert report.verdicts.complete_if_match is Verdict.UNTESTED
    assert report.verdicts.replace_if_match is Verdict.WORKS
    assert any("complete_if_match" in note for note in report.notes)


async def test_without_the_bucket_there_is_nothing_to_say(service: Service, tmp_path: Path) -> None:
    with pytest.raises(NoSuchBucket):
        await report_on(service, "no-such-bucket", tmp_path)


async def test_a_bucket_that_may_not_be_written_says_nothing_about_the_service(
    service: Service, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    proxy.add(Rule(Refuse(403, "AccessDenied"), "PUT", times=None))
    with pytest.raises(Denied):
        await report_on(service, bucket, tmp_path, proxy.endpoint)
    assert service.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0


async def test_other_programs_see_the_metadata_that_was_put(service: Service, backend: S3Backend, bucket: str) -> None:
    """And not RFC 2047 words, where the service keeps values as they are."""
    await put(backend, "key", metadata={"x-amz-meta-empty": "", "x-amz-meta-greeting": "Grüße 世界"}, bucket=bucket)
    seen = service.client().head_object(Bucket=bucket, Key="key")["Metadata"]
    assert seen["empty"] == ""
    assert seen["greeting"].encode("latin-1").decode() == "Grüße 世界"  # boto3 reads headers as Latin-1
    assert (await backend.head(bucket, "key")).metadata == {
        "x-amz-meta-empty": "",
        "x-amz-meta-greeting": "Grüße 世界",
    }


async def test_a_service_that_drops_empty_values_is_sent_words(
    service: Service, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    proxy.add(Rule(Strip(Side.ANSWER, ("x-amz-meta-a",)), "HEAD", "/empty", times=None))
    verdicts = (await report_on(service, bucket, tmp_path, proxy.endpoint)).verdicts
    assert (verdicts.empty_values, verdicts.utf8_values) == (Verdict.LACKING, Verdict.WORKS)
