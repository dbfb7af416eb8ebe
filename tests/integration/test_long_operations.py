"""Copies and completions that take long, over the real HTTP server: the SDK and the CLI understand how they end."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from granian.constants import Interfaces
from granian.server.embed import Server as Granian
from mypy_boto3_s3 import S3Client

from deltaglider_proxy.engine.errors import DiskFull
from deltaglider_proxy.s3.app import S3App, Scope, Send
from deltaglider_proxy.s3.body import Receive
from deltaglider_proxy.s3.call import S3Settings
from tests.support.engine.nodes import BUCKET, InlinePool
from tests.support.engine.place import Place
from tests.support.s3_app import HeldEngine, Message, app, captured_log
from tests.support.server import ACCESS_KEY, SECRET_KEY, free_port

SPACES = 3


class Slow:
    """The application; its long operations end only when their client was sent a few spaces."""

    def __init__(self, application: S3App, engine: HeldEngine) -> None:
        self._application = application
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent: list[bytes] = []

        async def watched(message: Message) -> None:
            await send(message)
            sent.append(message.get("body", b""))
            if sent.count(b" ") >= SPACES:
                self._engine.go.set()

        self._engine.go.clear()
        await self._application(scope, receive, watched)


@dataclass(frozen=True, slots=True)
class Running:
    endpoint: str
    engine: HeldEngine

    def client(self) -> S3Client:
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 0}),
        )
        return client

    def cli(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": "us-east-1"}
        environment = {**os.environ, **keys, "AWS_MAX_ATTEMPTS": "1"}
        command = [str(Path(sys.executable).parent / "aws"), "s3api", "--endpoint-url", self.endpoint, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    place = Place(tmp_path)
    await place.begin()
    node = place.process()
    await node.put("source", b"data")
    engine = HeldEngine(node.engine.ctx)
    port = free_port()
    application = app(engine, tmp_path / "run", S3Settings(1 << 20, silence=0.01), InlinePool())
    server = Granian(
        Slow(application, engine), port=port, interface=Interfaces.ASGINL, websockets=False, log_enabled=False
    )
    with captured_log():
        serving = asyncio.create_task(server.serve())
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            break
        yield Running(f"http://127.0.0.1:{port}", engine)
        server.stop()  # type: ignore[no-untyped-call]  # granian has no types
        await serving
    await engine.close()
    await place.close()


def copies(client: S3Client) -> None:
    answer = client.copy_object(Bucket=BUCKET, Key="target", CopySource={"Bucket": BUCKET, "Key": "source"})
    assert answer["CopyObjectResult"]["ETag"] == client.head_object(Bucket=BUCKET, Key="target")["ETag"]


def uploads(client: S3Client) -> None:
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="target")["UploadId"]
    part = client.upload_part_copy(
        Bucket=BUCKET, Key="target", UploadId=upload, PartNumber=1, CopySource={"Bucket": BUCKET, "Key": "source"}
    )["CopyPartResult"]
    answer = client.complete_multipart_upload(
        Bucket=BUCKET,
        Key="target",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert answer["ETag"] == client.head_object(Bucket=BUCKET, Key="target")["ETag"]


async def test_the_sdk_reads_long_successes(running: Running) -> None:
    for work in (copies, uploads):
        await asyncio.to_thread(work, running.client())
    assert (await running.engine.head(BUCKET, "target")).size == 4


async def test_the_sdk_raises_what_long_operations_end_with(running: Running) -> None:
    client = running.client()
    upload = await asyncio.to_thread(lambda: client.create_multipart_upload(Bucket=BUCKET, Key="target")["UploadId"])
    source = {"Bucket": BUCKET, "Key": "source"}
    running.engine.failure = DiskFull("no room")
    for work in (
        lambda: client.copy_object(Bucket=BUCKET, Key="target", CopySource=source),  # type: ignore[arg-type]  # a dict
        lambda: client.upload_part_copy(
            Bucket=BUCKET,
            Key="target",
            UploadId=upload,
            PartNumber=1,
            CopySource=source,  # type: ignore[arg-type]  # a dict
        ),
        lambda: client.complete_multipart_upload(
            Bucket=BUCKET,
            Key="target",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]},
        ),
    ):
        with pytest.raises(ClientError) as caught:
            await asyncio.to_thread(work)
        assert caught.value.response["Error"]["Code"] == "InsufficientStorage"


async def test_the_cli_understands_both(running: Running) -> None:
    command = ("copy-object", "--bucket", BUCKET, "--key", "target", "--copy-source", f"{BUCKET}/source")
    done = await asyncio.to_thread(running.cli, *command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["CopyObjectResult"]["ETag"] == '"8d777f385d3dfec8815d20f7496026dc"'
    running.engine.failure = DiskFull("no room")
    failed = await asyncio.to_thread(running.cli, *command)
    assert failed.returncode != 0
    assert "InsufficientStorage" in failed.stderr


async def test_the_work_is_done_though_the_client_has_gone(running: Running) -> None:
    host, port = running.endpoint.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    lines = [f"PUT /{BUCKET}/target HTTP/1.1", f"host: {host}", f"x-amz-copy-source: {BUCKET}/source"]
    writer.write("\r\n".join([*lines, "content-length: 0", "", ""]).encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(30):
        while not (await running.engine.list(BUCKET, "target")).entries:
            await asyncio.sleep(0.01)
