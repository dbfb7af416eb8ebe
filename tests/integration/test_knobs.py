"""The knobs that operators turn before real load: what each does, what holds if nobody turns it, and what is refused.

What happens at the edge of each limit inside the engine is tested there; here it is whether a knob reaches it.
"""

import json
import os
import random
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from deltaglider_proxy.config import load as loading
from deltaglider_proxy.config.findings import ConfigError
from deltaglider_proxy.config.load import Sources, load_text
from deltaglider_proxy.server.from_config import settings_of
from deltaglider_proxy.server.settings import ServerSettings
from tests.integration.expect import refused
from tests.integration.metrics import total
from tests.integration.wire import Wire
from tests.support.admin import Admin
from tests.support.engine.bodies import MEDIUM, edited, noise
from tests.support.engine.damage import Watched
from tests.support.engine.explore import Storage
from tests.support.engine.nodes import BUCKET
from tests.support.engine.place import Place
from tests.support.server import Server

MOST = 1_500_000
TURNED = {
    "DGP_CACHE_MB": "3",
    "DGP_METADATA_CACHE_MB": "0",
    "DGP_MAX_OBJECT_SIZE": str(MOST),
    "DGP_MAX_DELTA_RATIO": "0.3",
    "DGP_MAX_MULTIPART_UPLOADS": "2",
    "DGP_CODEC_CONCURRENCY": "3",
    "DGP_CODEC_TIMEOUT_SECS": "7",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The file says something else about sizes: the environment comes first."""
    environment = {**TURNED, "DGP_DEBUG_HEADERS": "true", "DGP_REPLAY_WINDOW_SECS": "0"}
    with Server(tmp_path_factory.mktemp("knobs"), environment=environment, max_object_size=99) as running:
        running.client().create_bucket(Bucket="box")
        yield running


@pytest.fixture
def s3(server: Server) -> S3Client:
    return server.client()


def written(folder: Path, more: str = "") -> Path:
    config = folder / "config.yaml"
    config.write_text(f"access: {{authentication: none}}\nstorage: {{filesystem: {folder}/data}}\n{more}")
    return config


def started_with(folder: Path, environ: dict[str, str]) -> ServerSettings:
    return settings_of(loading.load(str(written(folder)), None, environ, folder), verbose=False)


def test_what_holds_if_nobody_turns_them(tmp_path: Path) -> None:
    engine = started_with(tmp_path, {}).engine
    assert engine.cache_bytes == 100 << 20
    assert engine.metadata_cache_bytes == 50 << 20
    assert engine.max_object_size == 100 << 20
    assert engine.max_delta_ratio == 0.75
    assert engine.max_uploads == 1000
    assert engine.codec_slots == os.cpu_count()
    assert engine.codec_timeout == 60


def test_each_variable_reaches_the_engine(tmp_path: Path) -> None:
    engine = started_with(tmp_path, TURNED).engine
    assert (engine.cache_bytes, engine.metadata_cache_bytes) == (3 << 20, 0)
    assert (engine.max_object_size, engine.max_delta_ratio, engine.max_uploads) == (MOST, 0.3, 2)
    assert (engine.codec_slots, engine.codec_timeout) == (3, 7)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *((name, "-1") for name in TURNED if name != "DGP_MAX_DELTA_RATIO"),
        *((name, "much") for name in TURNED),
        ("DGP_MAX_MULTIPART_UPLOADS", "0"),
        ("DGP_CODEC_CONCURRENCY", "0"),
        ("DGP_CODEC_TIMEOUT_SECS", "0"),
        ("DGP_CACHE_MB", "1.5"),
    ],
)
def test_a_variable_that_makes_no_sense_is_ignored_by_name(tmp_path: Path, variable: str, value: str) -> None:
    """One that is wrong in a hundred must not keep the server from starting; the file must be right."""
    config = written(tmp_path)
    loaded = loading.load(str(config), None, {variable: value}, tmp_path)
    [said] = [str(warning) for warning in loaded.warnings if variable in str(warning)]
    assert said.startswith(f"{variable} is ignored: '{value}'")
    assert settings_of(loaded, verbose=False).engine == started_with(tmp_path, {}).engine


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((f"advanced.{name}", "-1") for name in ("cache_size_mb", "metadata_cache_mb", "max_object_size")),
        *((f"advanced.{name}", "0") for name in ("codec_concurrency", "codec_timeout_secs")),
        ("advanced.max_delta_ratio", "'0.5'"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_with_its_line(tmp_path: Path, field: str, value: str) -> None:
    config = written(tmp_path, f"advanced:\n  {field.partition('.')[2]}: {value}\n")
    with pytest.raises(ConfigError) as refusal:
        loading.load(str(config), None, {}, tmp_path)
    assert f"{config}: line 4, column 3: " in str(refusal.value)
    assert field in str(refusal.value)


@pytest.mark.parametrize("ratio", ["1.5", "-0.1"])
def test_a_ratio_that_no_delta_can_have_is_said_at_the_start(tmp_path: Path, ratio: str) -> None:
    loaded = loading.load(str(written(tmp_path)), None, {"DGP_MAX_DELTA_RATIO": ratio}, tmp_path)
    assert any(
        "outside 0 to 1" in str(warning) and "DGP_MAX_DELTA_RATIO" in str(warning) for warning in loaded.warnings
    )


def test_cache_mb(server: Server) -> None:
    assert json.loads(Wire(server).plain("GET", "/_/health").body)["cache_max_bytes"] == 3 << 20


@pytest.mark.parametrize(("memory", "looked_up_again"), [(0, True), (50 << 20, False)])
async def test_metadata_cache_mb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int, looked_up_again: bool
) -> None:
    """Where the backend's listings do not tell about deltas, and the index on disk has no room either."""
    place = Place(tmp_path, Storage(listing_has_metadata=False))
    await place.begin()
    node = place.process(metadata_cache_bytes=memory, index_bytes=0)
    for number in range(6):
        await node.put(f"a-{number}.bin", edited(noise(1, MEDIUM), number))
        await node.quiet()
    asked: list[str] = []
    head = Watched.head

    async def counted(self: Watched, bucket: str, key: str) -> object:
        asked.append(key)
        return await head(self, bucket, key)

    monkeypatch.setattr(Watched, "head", counted)
    for _ in range(2):
        listing = await node.engine.list(BUCKET)
        assert len(listing.entries) == 6
    asked.clear()
    await node.engine.list(BUCKET)
    assert bool(asked) == looked_up_again
    await place.close()


def test_max_object_size(s3: S3Client) -> None:
    data = random.Random(1).randbytes(MOST)
    s3.put_object(Bucket="box", Key="size-1.bin", Body=data)
    s3.put_object(Bucket="box", Key="size-2.bin", Body=data)
    for key, body in (("size-3.bin", data + b"x"), ("other", bytes(MOST + 1))):
        with refused("EntityTooLarge", 400):
            s3.put_object(Bucket="box", Key=key, Body=body)
    upload = s3.create_multipart_upload(Bucket="box", Key="parts")["UploadId"]
    with refused("EntityTooLarge", 400):
        s3.upload_part(Bucket="box", Key="parts", UploadId=upload, PartNumber=1, Body=BytesIO(data + b"x"))
    s3.abort_multipart_upload(Bucket="box", Key="parts", UploadId=upload)


def storage_type(s3: S3Client, key: str) -> str:
    return s3.head_object(Bucket="box", Key=key)["ResponseMetadata"]["HTTPHeaders"]["x-amz-storage-type"]


def test_max_delta_ratio(server: Server, s3: S3Client) -> None:
    """Half of the object is new: too much for 0.3, and little enough for what the file says without the variable."""
    rng = random.Random(2)
    old = rng.randbytes(600_000)
    s3.put_object(Bucket="box", Key="ratio-1.bin", Body=old)
    s3.put_object(Bucket="box", Key="ratio-2.bin", Body=old)
    server.wait_for(lambda: storage_type(s3, "ratio-1.bin") == "delta")
    s3.put_object(Bucket="box", Key="ratio-3.bin", Body=old[:500_000] + rng.randbytes(100_000))
    assert storage_type(s3, "ratio-3.bin") == "delta"
    half = old[:300_000] + rng.randbytes(300_000)
    s3.put_object(Bucket="box", Key="ratio-4.bin", Body=half)
    assert storage_type(s3, "ratio-4.bin") == "passthrough"
    with Admin(server) as admin:
        loose = {"buckets": {"box": {"max_delta_ratio": 0.75}}}
        admin.ask("PUT", "/admin/config/section/storage", loose)
        s3.put_object(Bucket="box", Key="ratio-5.bin", Body=half)
        admin.ask("PUT", "/admin/config/section/storage", {"buckets": {"box": None}})
    assert storage_type(s3, "ratio-5.bin") == "delta"


def test_max_multipart_uploads(server: Server, s3: S3Client) -> None:
    begun = [s3.create_multipart_upload(Bucket="box", Key=f"upload-{n}")["UploadId"] for n in range(2)]
    server.wait_for(lambda: total(server, "deltaglider_multipart_uploads_inflight") == 2)
    with refused("SlowDown", 503):
        s3.create_multipart_upload(Bucket="box", Key="upload-2")
    s3.abort_multipart_upload(Bucket="box", Key="upload-0", UploadId=begun[0])
    begun[0] = s3.create_multipart_upload(Bucket="box", Key="upload-0")["UploadId"]
    for number, upload in enumerate(begun):
        s3.abort_multipart_upload(Bucket="box", Key=f"upload-{number}", UploadId=upload)


def test_codec_concurrency(server: Server) -> None:
    server.wait_for(lambda: total(server, "deltaglider_codec_semaphore_available") == 3)


def test_rust_log_is_said_to_hide_a_filter_of_the_file() -> None:
    sources = Sources(None, {"RUST_LOG": "info"}, None)
    running = load_text("{}", sources)
    changed = load_text("advanced: {log_level: debug}\n", sources, running)
    assert any("because RUST_LOG decides it" in str(finding) for finding in changed.warnings)
    again = load_text("advanced: {log_level: debug, max_delta_ratio: 0.5}\n", sources, changed)
    assert not any("RUST_LOG" in str(finding) for finding in again.warnings)
