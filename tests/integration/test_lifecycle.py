"""The life of a server: it starts once, ends without breaking requests off, and is one server with any workers."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mypy_boto3_s3.type_defs import CompletedPartTypeDef

from tests.integration.expect import check_refused
from tests.integration.metrics import total
from tests.integration.wire import UNSIGNED, Wire, head_bytes, read_answer
from tests.support.server import Server


def slow_upload(wire: Wire, key: str, size: int) -> socket.socket:
    """A connection on which half of an upload was sent."""
    head = {**wire.head("PUT", f"/bucket/{key}", payload=UNSIGNED).headers, "content-length": str(size)}
    connection = wire.connect(60)
    connection.sendall(head_bytes("PUT", f"/bucket/{key}", head) + b"x" * (size // 2))
    return connection


def wait_until_not_ready(wire: Wire) -> dict[str, str]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = wire.plain("GET", "/_/ready")
        if answer.status == 503:
            found: dict[str, str] = json.loads(answer.body)
            return found
        time.sleep(0.02)
    raise AssertionError("the server is still ready")


def test_a_slow_upload_is_finished_before_the_end(tmp_path: Path) -> None:
    with Server(tmp_path, environment={"DGP_SHUTDOWN_DRAIN_SECS": "2"}) as server:
        wire = Wire(server)
        server.client().create_bucket(Bucket="bucket")
        with slow_upload(wire, "slow", 200_000) as connection:
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            found = wait_until_not_ready(wire)
            assert found["status"] == "not_ready"
            # All is still served, so that load balancers have time to turn away.
            assert wire.plain("GET", "/_/health").status == 200
            assert wire.request("PUT", "/bucket/late", body=b"late").status == 200
            time.sleep(3)
            connection.sendall(b"x" * 100_000)
            assert read_answer(connection, "PUT").status == 200
        assert server.process.wait(30) == 0
        server.process = None
        server.start()
        assert wire.request("GET", "/bucket/slow").body == b"x" * 200_000
        assert wire.request("GET", "/bucket/late").body == b"late"
        assert wire.plain("GET", "/_/ready").status == 200


def test_a_download_is_finished_before_the_end(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(30_000_000)
    with Server(tmp_path) as server:
        wire = Wire(server)
        server.client().create_bucket(Bucket="bucket")
        server.client().put_object(Bucket="bucket", Key="key", Body=data)
        with wire.connect(60) as connection:
            connection.sendall(head_bytes("GET", "/bucket/key", wire.head("GET", "/bucket/key").headers))
            assert server.process is not None
            while b"\r\n\r\n" not in connection.recv(65_536, socket.MSG_PEEK):
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(1)
            answer = read_answer(connection, "GET")
        assert (answer.status, answer.short, answer.body == data) == (200, False, True)
        assert server.process.wait(30) == 0
        server.process = None


def test_a_client_that_never_ends_does_not_hold_it_up(tmp_path: Path) -> None:
    with Server(tmp_path, environment={"DGP_SHUTDOWN_GRACE_SECS": "1"}) as server:
        server.client().create_bucket(Bucket="bucket")
        with slow_upload(Wire(server), "never", 1000):
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 20
        server.start()
        assert Wire(server).request("HEAD", "/bucket/never").status == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_exit_code_of_a_wished_end(tmp_path: Path, number: signal.Signals, workers: int) -> None:
    with Server(tmp_path, workers=workers) as server:
        assert server.stop(number) == 0
    with pytest.raises(OSError, match="refused"):
        Wire(server).connect()


def test_no_process_leaves_its_memory_behind_when_it_dies(pair: Server) -> None:
    assert pair.process is not None
    for process in (pair.process.pid, *pair.worker_ids()):
        assert re.search(r"Max core file size +0 +0 ", Path(f"/proc/{process}/limits").read_text())


def test_two_servers_on_one_port(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with Server(one) as first:
        code, log = Server(two, port=first.port).refused_start()
        assert code != 0
        assert f"cannot listen on 127.0.0.1:{first.port}" in log
        assert Wire(first).plain("GET", "/_/ready").status == 200


def test_two_servers_on_one_directory(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with Server(one) as first:
        second = Server(two)
        (two / "data").symlink_to(first.data)
        code, log = second.refused_start()
        assert code != 0
        assert "error: " in log
        assert str(two / "data") in log or str(first.data) in log
        assert Wire(first).plain("GET", "/_/ready").status == 200
    second.start()
    assert second.stop() == 0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"DGP_REPLAY_WINDOW_SECS": "0"}
    with Server(tmp_path_factory.mktemp("pair"), workers=2, environment=environment) as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


def test_metrics_are_those_of_all_workers(pair: Server) -> None:
    wire = Wire(pair)
    name = "deltaglider_http_requests_total"
    before = total(pair, name, operation="head_bucket", status="200")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: wire.request("HEAD", "/bucket"), range(80)))
    for _ in range(6):
        assert total(pair, name, operation="head_bucket", status="200") == before + 80


def test_parts_over_several_connections(pair: Server) -> None:
    s3, wire = pair.client(), Wire(pair)
    data = [random.Random(number).randbytes(5 << 20) for number in range(6)]
    upload = s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]

    def send(number: int) -> CompletedPartTypeDef:
        query = f"partNumber={number + 1}&uploadId={upload}"
        answer = wire.request("PUT", "/bucket/parts", query, body=data[number])
        return {"PartNumber": number + 1, "ETag": answer.headers["etag"]}

    with ThreadPoolExecutor(6) as pool:
        parts = list(pool.map(send, range(6)))
    s3.complete_multipart_upload(Bucket="bucket", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    assert wire.request("GET", "/bucket/parts").body == b"".join(data)


def test_what_one_has_written_the_other_reads(pair: Server) -> None:
    wire = Wire(pair)
    for number in range(60):
        body = str(number).encode() * 50
        assert wire.request("PUT", "/bucket/key", headers={"x-amz-meta-n": str(number)}, body=body).status == 200
        answer = wire.request("GET", "/bucket/key")
        assert (answer.body, answer.headers["x-amz-meta-n"]) == (body, str(number))
        assert wire.request("GET", "/bucket", "prefix=key").element("Size") == str(len(body))
        assert wire.request("DELETE", "/bucket/key").status == 204
        assert wire.request("GET", "/bucket/key").status == 404


def test_buckets_are_the_same_for_both(pair: Server) -> None:
    wire = Wire(pair)
    for number in range(20):
        assert wire.request("PUT", f"/made-{number}").status == 200
        assert wire.request("HEAD", f"/made-{number}").status == 200
        assert wire.request("DELETE", f"/made-{number}").status == 204
        assert wire.request("HEAD", f"/made-{number}").status == 404
        check_refused(wire.request("PUT", f"/made-{number}/key", body=b"x"), "NoSuchBucket", 404)


def test_both_store_deltas_against_the_same_reference(pair: Server) -> None:
    wire = Wire(pair)
    base = random.Random(3).randbytes(1_000_000)
    for number in range(12):
        assert wire.request("PUT", f"/bucket/app-1.{number}.bin", body=base + bytes([number])).status == 200
    stats = pair.stats("bucket")
    for number in range(12):
        assert wire.request("GET", f"/bucket/app-1.{number}.bin").body == base + bytes([number])
        assert wire.request("DELETE", f"/bucket/app-1.{number}.bin").status == 204
    assert stats["total_stored_size"] < stats["total_original_size"] - 9_000_000


def test_writers_of_one_key_leave_one_of_their_objects(pair: Server) -> None:
    wire = Wire(pair)
    bodies = [random.Random(number).randbytes(100_000 + number) for number in range(24)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda body: wire.request("PUT", "/bucket/contended", body=body), bodies))
    assert {answer.status for answer in answers} == {200}
    assert wire.request("GET", "/bucket/contended").body in bodies


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with Server(tmp_path, workers=2) as server:
        wire = Wire(server)
        server.client().create_bucket(Bucket="bucket")
        before = server.worker_ids()
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                wire.request("HEAD", "/bucket")
            after = server.worker_ids()
            if len(after) == 2 and after != before:
                break
            time.sleep(0.1)
        else:
            raise AssertionError("nobody took its place")
        for number in range(20):
            assert wire.request("PUT", f"/bucket/{number}", body=b"x").status == 200
        assert server.stop() == 0
        log = server.log.read_text()
        for line in ("a worker ended; another takes its place how=SIGKILL", "told to stop signal=SIGTERM", "stopped"):
            assert line in log, log[-3000:]


def test_a_terminal_tells_all_processes_to_stop_and_none_is_made_anew(tmp_path: Path) -> None:
    with Server(tmp_path, workers=2) as server:
        workers, process = server.worker_ids(), server.process
        assert process is not None
        for told in (process.pid, *workers):
            os.kill(told, signal.SIGINT)
        assert process.wait(30) == 0
        server.process = None
        assert "another takes its place" not in server.log.read_text()


def test_an_audit_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    code, log = Server(tmp_path, environment={"DGP_AUDIT_DIR": "/proc/nothing"}).refused_start()
    assert (code, "advanced.audit_dir" in log, "Traceback" in log) == (1, True, False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Server]:
    """A server whose data lie on a file system of 24 MB."""
    data = tmp_path / "data"
    data.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(data)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.decode()}")
    try:
        with Server(tmp_path, environment={"DGP_REPLAY_WINDOW_SECS": "0"}) as server:
            server.client().create_bucket(Bucket="bucket")
            yield server
    finally:
        subprocess.run(["umount", "-l", str(data)], check=True)


def test_a_full_disk_is_said_and_survived(small_disk: Server) -> None:
    wire = Wire(small_disk)
    body = random.Random(5).randbytes(15 << 20)
    assert wire.request("PUT", "/bucket/first", body=body).status == 200
    full = wire.request("PUT", "/bucket/second", body=body)
    check_refused(full, "InsufficientStorage", 507)
    assert wire.request("HEAD", "/bucket/second").status == 404
    replaced = wire.request("PUT", "/bucket/first", body=random.Random(6).randbytes(15 << 20))
    check_refused(replaced, "InsufficientStorage", 507)
    assert wire.request("GET", "/bucket/first").body == body
    upload = wire.request("POST", "/bucket/parts", "uploads").element("UploadId")
    part = wire.request("PUT", "/bucket/parts", f"partNumber=1&uploadId={upload}", body=body)
    check_refused(part, "InsufficientStorage", 507)
    assert wire.request("GET", "/bucket", "list-type=2").element("KeyCount") == "1"
    # Room can be made, and is used again.
    assert wire.request("DELETE", "/bucket/first").status == 204
    assert wire.request("PUT", "/bucket/second", body=body).status == 200
    assert wire.request("GET", "/bucket/second").body == body


def test_workers_end_when_their_server_is_killed(tmp_path: Path) -> None:
    with Server(tmp_path, workers=2) as server:
        assert server.process is not None
        listed = ["ps", "-o", "pid=", "--ppid", str(server.process.pid)]
        found = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
        workers = [int(pid) for pid in found.split()]
        assert len(workers) == 2
        server.process.kill()
        server.process.wait()
        server.process = None
        server.wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
