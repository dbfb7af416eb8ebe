"""Several backends and aliases behind one endpoint."""

from pathlib import Path

import pytest

from tests.integration.expect import refused
from tests.support.server import Server

_STORAGE = """\
  backends:
    - {{name: near, type: filesystem, path: {root}/near}}
    - {{name: far, type: filesystem, path: {root}/far}}
  default_backend: near
  buckets:
    logs: {{backend: far, alias: logs-2026}}
    mine: {{alias: theirs}}"""


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path, storage=_STORAGE, workers=2)


def buckets(server: Server) -> list[str]:
    return [bucket["Name"] for bucket in server.client().list_buckets()["Buckets"]]


def test_each_bucket_lies_where_the_file_says(server: Server, tmp_path: Path) -> None:
    with server:
        s3 = server.client()
        assert buckets(server) == ["logs", "mine", "theirs"], "buckets with a policy are made at start"
        s3.create_bucket(Bucket="plain")
        for name in ("logs", "mine", "plain"):
            s3.put_object(Bucket=name, Key="key", Body=name.encode())
        assert (tmp_path / "far" / "logs-2026" / "key").read_bytes() == b"logs"
        assert (tmp_path / "near" / "theirs" / "key").read_bytes() == b"mine"
        assert (tmp_path / "near" / "plain" / "key").read_bytes() == b"plain"
        s3.copy_object(Bucket="logs", Key="copy", CopySource={"Bucket": "plain", "Key": "key"})
        assert s3.get_object(Bucket="logs", Key="copy")["Body"].read() == b"plain"
        assert [o["Key"] for o in s3.list_objects_v2(Bucket="logs")["Contents"]] == ["copy", "key"]
        with refused("NoSuchBucket", 404):
            s3.list_objects_v2(Bucket="logs-2026")


def test_backends_inside_one_another_are_refused(tmp_path: Path) -> None:
    storage = _STORAGE.replace("{root}/far", "{root}/near/far")
    code, log = Server(tmp_path, storage=storage).refused_start()
    assert code == 1
    assert "lies inside the directory of another backend" in log
