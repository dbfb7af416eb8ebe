"""The probe says what a service does, not what it is called, and leaves nothing behind."""

from dataclasses import replace
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backends.s3.client import Client
from deltaglider_proxy.storage.backends.s3.probe import Report, probe
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict
from deltaglider_proxy.storage.errors import NoSuchBucket
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.s3 import settings_for
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import NO_CONDITIONS, LoseAnswer, Refuse, Request, Rule
from tests.support.storage.services.service import Service

CONDITIONS = ("create_if_absent", "replace_if_match", "delete_if_match", "complete_if_absent", "complete_if_match")


async def report_on(service: Service, bucket: str, root: Path, endpoint: str | None = None) -> Report:
    pool = Pool(2)
    client = Client(replace(settings_for(service, root, endpoint), deadline=2.0), pool, SystemClock())
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
    assert not report.versioned
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


async def test_what_cannot_be_tried_stays_untested(
    service: Service, proxy: FaultProxy, bucket: str, tmp_path: Path
) -> None:
    proxy.add(Rule(LoseAnswer(), "POST", query=["uploadId"], times=None))
    report = await report_on(service, bucket, tmp_path, proxy.endpoint)
    assert report.verdicts.complete_if_match is Verdict.UNTESTED
    assert report.verdicts.replace_if_match is Verdict.WORKS
    assert any("complete_if_match" in note for note in report.notes)


async def test_without_the_bucket_there_is_nothing_to_say(service: Service, tmp_path: Path) -> None:
    with pytest.raises(NoSuchBucket):
        await report_on(service, "no-such-bucket", tmp_path)
