"""`bucket gc --now` on the storage of a real server."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deltaglider_proxy.engine import names
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.engine.bodies import edited, noise
from tests.support.server import Server
from tests.support.storage.objects import put

FIRST = noise(1, 400_000)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def collect(server: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    script = str(Path(sys.executable).with_name("deltaglider_proxy"))
    command = [script, "bucket", "gc", "--config", str(server.root / "deltaglider_proxy.yaml"), *arguments]
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        command, cwd=server.root, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def stored(server: Server) -> int:
    return sum(path.stat().st_size for path in (server.data / "bucket").rglob("*") if path.is_file())


def test_what_nothing_needs_goes_and_the_rest_stays(server: Server) -> None:
    with server:
        s3 = server.client()
        s3.create_bucket(Bucket="bucket")
        for number in range(3):
            s3.put_object(Bucket="bucket", Key=f"a-{number}.bin", Body=edited(FIRST, number))
        running = collect(server, "--now")
        assert running.returncode == 1
        assert "error" in running.stderr
    asyncio.run(damage_a_hint(server))
    ended = collect(server, "--now", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["bucket"]["removed"] == 0
    assert "a hint is damaged and ignored" in ended.stderr
    with server:
        for number in range(3):
            assert server.client().get_object(Bucket="bucket", Key=f"a-{number}.bin")["Body"].read() == edited(
                FIRST, number
            )
            server.client().delete_object(Bucket="bucket", Key=f"a-{number}.bin")
    assert stored(server) > len(FIRST)
    ended = collect(server, "--now", "bucket")
    assert ended.returncode == 0, ended.stderr
    assert "bucket: looked at" in ended.stderr
    assert stored(server) == 0


async def damage_a_hint(server: Server) -> None:
    pool = Pool(1)
    backend = FilesystemBackend(server.data, pool, SystemClock())
    await put(backend, f"{names.FIRSTS}{'0' * 32}", b"no hint", bucket="bucket")
    await backend.close()
    pool.close()


def test_what_cannot_be_done(server: Server) -> None:
    with server:
        pass
    assert collect(server, "--now", "nowhere").returncode == 8
    assert collect(server).returncode == 2
