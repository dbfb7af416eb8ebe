"""The `s3` commands as processes, against a service that we did not make and against our own server."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.engine.bodies import edited, noise
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server
from tests.support.storage.services.service import Service
from tests.support.storage.services.versitygw import versitygw

FIRST = noise(1, 1 << 20)
_SCRIPT = Path(sys.executable).with_name("deltaglider_proxy")
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True)
class Place:
    """A service, and a folder to call it from."""

    service: Service
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent),
            "TMPDIR": str(self.temporary),
            "AWS_ENDPOINT_URL": self.service.endpoint,
            "AWS_ACCESS_KEY_ID": self.service.access_key,
            "AWS_SECRET_ACCESS_KEY": self.service.secret_key,
        }

    @property
    def temporary(self) -> Path:
        return self.folder.parent / "tmp"

    def s3(self, *arguments: str, stdin: str = "", **variables: str) -> Done:
        return subprocess.run(
            [_SCRIPT, "s3", *arguments],
            cwd=self.folder,
            env=self.environment | variables,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def good(self, *arguments: str, stdin: str = "", **variables: str) -> str:
        """What the command prints; it must succeed."""
        done = self.s3(*arguments, stdin=stdin, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files(self, files: Mapping[str, bytes], folder: str = "src") -> None:
        for name, data in files.items():
            path = self.folder / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def tree(self, folder: str) -> dict[str, bytes]:
        root = self.folder / folder
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def keys(self, bucket: str) -> list[str]:
        lines = self.good("ls", f"s3://{bucket}", "-r", "--json").splitlines()
        return [json.loads(line)["key"] for line in lines]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    with (
        versitygw(tmp_path_factory.mktemp("versitygw")) as plain,
        Server(tmp_path_factory.mktemp("server"), environment={"DGP_REPLAY_WINDOW_SECS": "0"}) as server,
    ):
        yield {"plain": plain, "proxy": Service("proxy", server.endpoint, ACCESS_KEY, SECRET_KEY)}


def place_of(service: Service, root: Path) -> Place:
    (root / "here").mkdir()
    (root / "tmp").mkdir()
    return Place(service, root / "here")


@pytest.fixture(params=["plain", "proxy"])
def place(request: pytest.FixtureRequest, services: dict[str, Service], tmp_path: Path) -> Place:
    return place_of(services[request.param], tmp_path)


@pytest.fixture
def plain(services: dict[str, Service], tmp_path: Path) -> Place:
    return place_of(services["plain"], tmp_path)


@pytest.fixture
def bucket(request: pytest.FixtureRequest, services: dict[str, Service]) -> str:
    """On both services."""
    name = services["plain"].new_bucket()
    services["proxy"].client().create_bucket(Bucket=name)
    return name


RELEASES = {f"fw-1.{number}.bin": edited(FIRST, number) for number in range(3)}


def stored(service: Service, bucket: str) -> int:
    """What all of it takes, seen by a program that knows nothing of deltas."""
    return sum(each["Size"] for each in service.client().list_objects_v2(Bucket=bucket).get("Contents", []))


def test_up_and_down_again(place: Place, bucket: str) -> None:
    tree = {**RELEASES, "deep/er/notes.txt": b"notes", "empty": b""}
    place.files(tree)
    out = place.good("cp", "-r", "src", f"s3://{bucket}/a")
    assert sorted(out.splitlines()) == sorted(f"upload: src/{name} to s3://{bucket}/a/{name}" for name in tree)
    assert place.keys(bucket) == sorted(f"a/{name}" for name in tree)
    place.good("cp", "-r", "-q", f"s3://{bucket}/a", "out")
    assert place.tree("out") == tree
    assert list(place.temporary.iterdir()) == []
    if place.service.name == "versitygw":
        assert stored(place.service, bucket) < 1.2 * len(FIRST)


def test_what_is_written_here_the_server_reads_and_back(plain: Place, bucket: str, tmp_path: Path) -> None:
    plain.files(RELEASES)
    plain.good("cp", "-r", "src", f"s3://{bucket}/")
    (tmp_path / "server").mkdir()
    service = plain.service
    storage = (
        f"  backends:\n    - name: far\n      type: s3\n      endpoint: {service.endpoint}\n      allow_local: true\n"
        f"      access_key_id: {service.access_key}\n      secret_access_key: {service.secret_key}\n"
    )
    with Server(tmp_path / "server", storage=storage) as server:
        s3 = server.client()
        for name, data in RELEASES.items():
            assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == data
        s3.put_object(Bucket=bucket, Key="fw-1.9.bin", Body=edited(FIRST, 9), Metadata={"n": "9"})
        plain.good("cp", f"s3://{bucket}/fw-1.9.bin", "back")
        assert (plain.folder / "back").read_bytes() == edited(FIRST, 9)
        assert stored(service, bucket) < 1.2 * len(FIRST)


def test_content_type_and_metadata_come_along(place: Place, bucket: str) -> None:
    place.files({"page.html": b"<p>", "fw-1.bin": FIRST})
    place.good("cp", "src/page.html", f"s3://{bucket}", "--metadata", "a=1,b=2", "--metadata", "c=3")
    place.good("cp", "src/fw-1.bin", f"s3://{bucket}/x", "--content-type", "text/x-test", "--metadata", "Owner=Me")
    place.good("cp", f"s3://{bucket}/x", f"s3://{bucket}/y")
    place.good("cp", f"s3://{bucket}/x", f"s3://{bucket}/z", "--metadata", "other=1")
    place.good("sync", f"s3://{bucket}/", f"s3://{bucket}/copy", "--exclude", "copy/*")
    place.good("migrate", f"s3://{bucket}/copy/", f"s3://{bucket}/moved", "--yes")
    seen = json_of_heads(place, bucket)
    expected = ("text/x-test", {"owner": "Me"})
    assert seen["page.html"] == ("text/html", {"a": "1", "b": "2", "c": "3"})
    assert seen["x"] == seen["y"] == seen["copy/x"] == seen["moved/copy/x"] == expected
    assert seen["z"] == ("text/x-test", {"other": "1"})


def json_of_heads(place: Place, bucket: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Content types and metadata, without our own mark."""
    client = place.service.client()
    found = {}
    for key in place.keys(bucket):
        head = client.head_object(Bucket=bucket, Key=key)
        metadata = {name: text for name, text in head["Metadata"].items() if name != "dgp"}
        found[key] = (head["ContentType"], metadata)
    return found


def test_no_delta_is_stored_as_it_is(plain: Place, bucket: str) -> None:
    plain.files(RELEASES)
    plain.good("cp", "-r", "src", f"s3://{bucket}", "--no-delta", "--metadata", "a=1")
    client = plain.service.client()
    for name, data in RELEASES.items():
        assert client.get_object(Bucket=bucket, Key=name)["Body"].read() == data
        assert json_of_heads(plain, bucket)[name][1] == {"a": "1"}
    plain.good("cp", "-r", f"s3://{bucket}", f"s3://{bucket}/copy", "--no-delta", "--include", "fw-*")
    assert client.get_object(Bucket=bucket, Key="copy/fw-1.1.bin")["Body"].read() == RELEASES["fw-1.1.bin"]


def test_dry_runs_write_nothing(place: Place, bucket: str) -> None:
    place.files({"a": b"1", "b": b"2"})
    assert "(dryrun) upload: src/a" in place.good("cp", "-r", "src", f"s3://{bucket}", "--dryrun")
    assert "would transfer 2, delete 0" in place.good("sync", "src", f"s3://{bucket}", "--dry-run")
    assert place.service.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    place.good("cp", "-r", "src", f"s3://{bucket}", "-q")
    assert f"(dryrun) delete: s3://{bucket}/a" in place.good("rm", "-r", f"s3://{bucket}", "--dryrun")
    assert "(dryrun) copy" in place.good("migrate", f"s3://{bucket}/", f"s3://{bucket}/x/", "--dry-run")
    place.good("cp", "-r", f"s3://{bucket}", "out", "--dryrun")
    assert not (place.folder / "out").exists()
    assert place.keys(bucket) == ["a", "b"]


def test_standard_streams(place: Place, bucket: str) -> None:
    place.good("cp", "-", f"s3://{bucket}/x", stdin="from stdin")
    assert place.good("cp", f"s3://{bucket}/x", "-") == "from stdin"


def test_filters_and_folders(place: Place, bucket: str) -> None:
    place.files({"p/a.bin": b"1", "p/b.txt": b"2", "p-other/c.bin": b"3"})
    place.good("cp", "-r", "src", f"s3://{bucket}")
    place.good("cp", "-r", f"s3://{bucket}/p", "out", "--include", "*.bin")
    assert place.tree("out") == {"a.bin": b"1"}
    place.good("rm", "-r", f"s3://{bucket}/p", "--exclude", "p/b.*")
    assert place.keys(bucket) == ["p-other/c.bin", "p/b.txt"]
    assert place.s3("rm", f"s3://{bucket}/p/nothing").returncode == 8
    place.good("rm", "-r", f"s3://{bucket}", "--yes")
    assert place.keys(bucket) == []


TRAVERSING = ["../x", "a/../../x", "/x", "a//x", "./x", "a\\..\\x"]


def test_nothing_is_written_outside(services: dict[str, Service], bucket: str, tmp_path: Path) -> None:
    """By way of our own server, which can hold such keys."""
    place = place_of(services["proxy"], tmp_path)
    client = place.service.client()
    for key in TRAVERSING:
        client.put_object(Bucket=bucket, Key=f"p/{key}", Body=b"evil")
    client.put_object(Bucket=bucket, Key="p/good", Body=b"good")
    for verb, code in ((("cp", "-r"), 10), (("sync",), 5)):
        done = place.s3(*verb, f"s3://{bucket}/p", "deep/out")
        assert done.returncode == code
        assert done.stderr.count("error: ") == len(TRAVERSING)
        assert place.tree(".") == {"deep/out/good": b"good"}
        assert not (tmp_path / "x").exists()
    assert place.s3("cp", f"s3://{bucket}/p/../x", "deep/").returncode == 0
    assert place.tree("deep") == {"x": b"evil", "out/good": b"good"}


def test_sync(place: Place, bucket: str) -> None:
    place.files({"same": b"1", "changed": b"2", "skip.log": b"3"})
    url = f"s3://{bucket}/s"
    assert "Sync complete: 2 transferred, 0 deleted" in place.good("sync", "src", url, "--exclude", "*.log")
    assert place.good("sync", "src", url, "--exclude", "*.log") == "Sync complete: already up to date\n"
    place.files({"changed": b"22"})
    place.good("cp", "src/same", f"{url}/gone")
    place.good("cp", "src/skip.log", f"{url}/kept.log")
    out = place.good("sync", "src", url, "--delete", "--exclude", "*.log")
    assert out.endswith("Sync complete: 1 transferred, 1 deleted, 0 failed\n")
    assert place.keys(bucket) == ["s/changed", "s/kept.log", "s/same"]
    place.good("sync", url, "out")
    modified = place.service.client().head_object(Bucket=bucket, Key="s/same")["LastModified"].timestamp()
    assert abs((place.folder / "out/same").stat().st_mtime - modified) < 1
    assert place.good("sync", url, "out") == "Sync complete: already up to date\n"
    assert place.good("sync", "out", url) == "Sync complete: already up to date\n"
    place.files({"changed": b"33"}, "out")
    os.utime(place.folder / "out/changed", (modified + 100, modified + 100))
    assert place.good("sync", "out", url, "--size-only") == "Sync complete: already up to date\n"
    assert "1 transferred" in place.good("sync", "out", url)
    place.files({"extra": b""}, "out")
    place.good("sync", url, "out", "--delete", "-q")
    assert "extra" not in place.tree("out")


def test_deleting_never_reaches_what_deltas_need(plain: Place, bucket: str) -> None:
    plain.files(RELEASES)
    plain.good("cp", "-r", "src", f"s3://{bucket}")
    before = stored(plain.service, bucket)
    (plain.folder / "src" / "fw-1.2.bin").unlink()
    assert f"delete: s3://{bucket}/fw-1.2.bin" in plain.good("sync", "src", f"s3://{bucket}", "--delete")
    assert before - stored(plain.service, bucket) < len(FIRST) / 10
    plain.good("verify", f"s3://{bucket}", "-r")


def test_a_listing_that_fails_deletes_nothing(plain: Place, bucket: str) -> None:
    plain.files({"a": b"1"}, "out")
    assert plain.s3("sync", "s3://there-is-no-such-bucket", "out", "--delete").returncode == 8
    assert plain.tree("out") == {"a": b"1"}


def test_migrate(place: Place, bucket: str, services: dict[str, Service]) -> None:
    """Also to another service; it can be taken up again."""
    place.files(RELEASES)
    place.good("cp", "-r", "src", f"s3://{bucket}/old")
    other = next(service for service in services.values() if service is not place.service)
    profiles = {"here": place.service, "there": other}
    (place.folder.parent / ".aws").mkdir()
    (place.folder.parent / ".aws" / "credentials").write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {service.access_key}\naws_secret_access_key = {service.secret_key}\n"
            for name, service in profiles.items()
        )
    )
    there = Place(other, place.folder)
    line = [
        *(
            "migrate",
            f"s3://{bucket}/old",
            f"s3://{bucket}/new",
            "--endpoint-url",
            other.endpoint,
            "--profile",
            "there",
        ),
        *("--source-endpoint-url", place.service.endpoint, "--source-profile", "here"),
    ]
    assert place.s3(*line).returncode == 2
    assert "Migration complete: 3 ok, 0 failed" in place.good(*line, "--yes")
    assert there.keys(bucket) == [f"new/old/{name}" for name in RELEASES]
    assert "Nothing to migrate" in place.good(*line)
    there.files({"fw-1.1.bin": edited(FIRST, 7)}, "changed")
    there.good("cp", "changed/fw-1.1.bin", f"s3://{bucket}/new/old/")
    assert "1 objects to copy, 2 already there" in place.good(*line, "--yes")
    there.good("cp", "-r", f"s3://{bucket}/new/old", "out")
    assert there.tree("out") == RELEASES


def test_ls(place: Place, bucket: str) -> None:
    place.files({"a/fw-1.bin": FIRST, "a/fw-2.bin": edited(FIRST, 2), "b c": b"12345"})
    place.good("cp", "-r", "src", f"s3://{bucket}")
    assert any(line.endswith(f" {bucket}") for line in place.good("ls").splitlines())
    prefix, line = place.good("ls", f"s3://{bucket}").splitlines()
    assert prefix == f"{' ' * 27}PRE a/"
    assert line[19:] == "          5 b c"
    assert place.good("ls", f"s3://{bucket}/b", "--page-size", "1").splitlines() == [line]
    out = place.good("ls", f"s3://{bucket}", "-r", "--human-readable", "--summarize", "--page-size", "1")
    assert [text[20:] for text in out.splitlines()[:3]] == [
        "   1.0 MiB a/fw-1.bin",
        "   1.0 MiB a/fw-2.bin",
        "       5 B b c",
    ]
    assert out.endswith("\n\nTotal Objects: 3\nTotal Size: 2.0 MiB\n")
    lines = [json.loads(text) for text in place.good("ls", f"s3://{bucket}/a/", "--json").splitlines()]
    assert [(each["key"], each["size"]) for each in lines] == [
        ("a/fw-1.bin", len(FIRST)),
        ("a/fw-2.bin", len(edited(FIRST, 2))),
    ]
    assert place.s3("ls", "s3://there-is-no-such-bucket").returncode == 8


def families() -> dict[str, bytes]:
    """One of each health: the changed share of an object becomes its delta."""
    found: dict[str, bytes] = {}
    for seed, (name, share) in enumerate((("excellent", 0.01), ("good", 0.12), ("fair", 0.35), ("poor", 0.6)), 1):
        first = noise(seed, 1 << 20)
        cut = int(len(first) * share)
        found[f"{name}/fw-1.bin"] = first
        found |= {f"{name}/fw-{n}.bin": first[:-cut] + noise(100 * n + seed, cut) for n in (2, 3, 4)}
    return found


def test_stats(plain: Place, bucket: str) -> None:
    tree = families()
    plain.files(tree)
    plain.good("cp", "-r", "src", f"s3://{bucket}", "-q")
    health = {"excellent": 1, "good": 1, "fair": 1, "poor": 1, "no_reference": 0}
    for mode in ("--quick", "--sampled", "--detailed"):
        found = json.loads(plain.good("stats", bucket, mode, "--json"))
        assert found["deltaspace_health"] == health, mode
        assert (found["bucket"], found["total_objects"]) == (bucket, len(tree))
        assert found["total_original_bytes"] == sum(map(len, tree.values()))
        assert 30 < found["savings_percentage"] < 75
        assert "(cache hit)" in plain.good("stats", f"s3://{bucket}", mode)
    assert "(cache hit)" not in plain.good("stats", bucket, "--no-cache")
    assert "(cache hit)" not in plain.good("stats", bucket, "--refresh")
    plain.good("cp", "src/poor/fw-1.bin", f"s3://{bucket}/another")
    assert "(cache hit)" not in plain.good("stats", bucket)
    found = json.loads(plain.good("stats", bucket, "--json", "--no-cache"))
    assert found["total_objects"] == len(tree) + 1
    [reference] = references(plain, bucket, tree["good/fw-1.bin"])
    plain.service.client().delete_object(Bucket=bucket, Key=reference)
    found = json.loads(plain.good("stats", bucket, "--json"))
    assert found["deltaspace_health"] == health | {"good": 0, "no_reference": 1}


def references(place: Place, bucket: str, data: bytes) -> list[str]:
    """Keys of the references that hold exactly these bytes."""
    digest = hashlib.sha256(data).hexdigest()
    listed = place.service.client().list_objects_v2(Bucket=bucket, Prefix=".deltaglider/v1/refs/")["Contents"]
    return [each["Key"] for each in listed if f"/{digest}." in each["Key"] and not each["Key"].endswith(".facts")]


def test_stats_of_a_copy_find_its_reference(plain: Place, bucket: str) -> None:
    plain.files(RELEASES)
    plain.good("cp", "-r", "src", f"s3://{bucket}/one")
    plain.good("cp", "-r", f"s3://{bucket}/one", f"s3://{bucket}/two")
    health = json.loads(plain.good("stats", bucket, "--json"))["deltaspace_health"]
    assert health == {"excellent": 2, "good": 0, "fair": 0, "poor": 0, "no_reference": 0}


def test_stats_of_a_proxy(services: dict[str, Service], bucket: str, tmp_path: Path) -> None:
    place = place_of(services["proxy"], tmp_path)
    place.files(RELEASES)
    place.good("cp", "-r", "src", f"s3://{bucket}")
    found = json.loads(place.good("stats", bucket, "--json"))
    assert found["total_objects"] == len(RELEASES)
    assert found["total_original_bytes"] == sum(map(len, RELEASES.values()))
    assert found["total_stored_bytes"] < 1.3 * len(FIRST)


def test_verify(place: Place, bucket: str) -> None:
    place.files(RELEASES)
    place.good("cp", "-r", "src", f"s3://{bucket}")
    for name, data in RELEASES.items():
        digest = hashlib.sha256(data).hexdigest()
        expected = f"OK: s3://{bucket}/{name} (sha256={digest}, size={len(data)})\n"
        assert place.good("verify", f"s3://{bucket}/{name}") == expected
    assert place.good("verify", f"s3://{bucket}", "-r").count("OK: ") == len(RELEASES)
    assert place.s3("verify", f"s3://{bucket}/nothing").returncode == 8


def on_disk(service_root: Path, bucket: str, key: str) -> Path:
    return service_root / "data" / bucket / key


@pytest.mark.parametrize("what", ["passthrough", "delta", "reference"])
def test_a_flipped_bit_is_found(what: str, tmp_path: Path) -> None:
    with versitygw(tmp_path / "versitygw") as service:
        place = place_of(service, tmp_path)
        bucket = service.new_bucket()
        place.files({"fw-1.bin": FIRST, "fw-2.bin": edited(FIRST, 2), "notes": noise(5, 300_000)})
        place.good("cp", "-r", "src", f"s3://{bucket}")
        [reference] = references(place, bucket, FIRST)
        damaged, seen = {
            "passthrough": ("notes", {"notes"}),
            "delta": ("fw-2.bin", {"fw-2.bin"}),
            "reference": (reference, {"fw-1.bin", "fw-2.bin"}),
        }[what]
        path = on_disk(tmp_path / "versitygw", bucket, damaged)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        with path.open("r+b") as file:  # in place, so that the service's attributes stay
            file.write(data)
        for name in ("fw-1.bin", "fw-2.bin", "notes"):
            done = place.s3("verify", f"s3://{bucket}/{name}")
            assert done.returncode == (9 if name in seen else 0), (name, done.stderr)
            assert done.stderr.startswith("MISMATCH: ") is (name in seen)
            done = place.s3("cp", f"s3://{bucket}/{name}", "out/")
            assert done.returncode == (9 if name in seen else 0), (name, done.stderr)
        assert set(place.tree("out")) == {"fw-1.bin", "fw-2.bin", "notes"} - seen
        assert place.s3("verify", f"s3://{bucket}", "-r").returncode == 9


def test_what_nobody_knows_the_bytes_of(plain: Place, bucket: str) -> None:
    client = plain.service.client()
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"theirs")
    client.complete_multipart_upload(
        Bucket=bucket,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    client.put_object(Bucket=bucket, Key="whole", Body=b"theirs")
    done = plain.s3("verify", f"s3://{bucket}/parts")
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith("UNVERIFIABLE: ")
    plain.good("verify", f"s3://{bucket}/whole")


def test_objects_that_are_too_large(place: Place, bucket: str) -> None:
    place.files({"large": bytes(2 << 20), "small": b"x"})
    done = place.s3("cp", "src/large", f"s3://{bucket}/", "--max-object-size-mb", "1")
    assert done.returncode == 6
    assert "--max-object-size-mb" in done.stderr
    assert place.s3("cp", "-r", "src", f"s3://{bucket}/", "--max-object-size-mb", "1").returncode == 10
    assert place.keys(bucket) == ["small"]


def test_who_is_refused(place: Place, bucket: str) -> None:
    for url in (f"s3://{bucket}", f"s3://{bucket}/key"):
        done = place.s3("ls", url, AWS_SECRET_ACCESS_KEY="wrong")
        assert done.returncode == 7, done.stderr
        assert "wrong" not in done.stderr
    place.files({"a": b""})
    assert place.s3("cp", "src/a", f"s3://{bucket}/", AWS_SECRET_ACCESS_KEY="wrong").returncode == 7
    assert place.s3("ls", AWS_ACCESS_KEY_ID="").returncode == 7


def test_a_profile_wins_over_the_environment_and_a_home_is_not_needed(place: Place, bucket: str) -> None:
    folder = place.folder.parent / ".aws"
    folder.mkdir()
    pair = place.service
    folder.joinpath("credentials").write_text(
        f"[good]\naws_access_key_id={pair.access_key}\naws_secret_access_key={pair.secret_key}\n"
    )
    place.good("ls", f"s3://{bucket}", "--profile", "good", AWS_SECRET_ACCESS_KEY="wrong")
    flags = ("--access-key-id", pair.access_key, "--secret-access-key", pair.secret_key)
    place.good("ls", f"s3://{bucket}", *flags, HOME="/nowhere", AWS_SECRET_ACCESS_KEY="wrong")


def test_purge(plain: Place, bucket: str) -> None:
    client = plain.service.client()
    for name, expiry in (("old", "2020-01-01T00:00:00Z"), ("new", "2999-01-01T00:00:00+01:00"), ("odd", "soon")):
        client.put_object(
            Bucket=bucket, Key=f".deltaglider/tmp/{name}", Body=b"12345", Metadata={"dg-expires-at": expiry}
        )
    client.put_object(Bucket=bucket, Key=".deltaglider/tmp/kept", Body=b"x")
    client.put_object(Bucket=bucket, Key="old", Body=b"x", Metadata={"dg-expires-at": "2020-01-01T00:00:00Z"})
    done = plain.s3("purge", bucket, "--dry-run", "--json")
    report = json.loads(done.stdout)
    assert (report["scanned_count"], report["expired_count"], report["deleted_count"]) == (4, 1, 0)
    assert (done.returncode, report["error_count"]) == (5, 1)
    done = plain.s3("purge", f"s3://{bucket}", "--json")
    report = json.loads(done.stdout)
    assert (report["deleted_count"], report["total_size_freed"], done.returncode) == (1, 5, 10)
    client.delete_object(Bucket=bucket, Key=".deltaglider/tmp/odd")
    assert "deleted_count: 0" in plain.good("purge", bucket)
    left = [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == [".deltaglider/tmp/kept", ".deltaglider/tmp/new", "old"]


def test_acls(place: Place, bucket: str) -> None:
    found = json.loads(place.good("get-bucket-acl", f"s3://{bucket}"))
    assert found["Owner"]["ID"]
    assert found["Grants"][0]["Permission"] == "FULL_CONTROL"
    done = place.s3("put-bucket-acl", f"s3://{bucket}", "--acl", "private")
    if place.service.name == "proxy":
        assert (done.returncode, done.stdout) == (0, f"OK: ACL updated on s3://{bucket}\n")
    else:
        assert done.returncode == 5
        assert "AccessControlListNotSupported" in done.stderr
    assert place.s3("get-bucket-acl", "s3://there-is-no-such-bucket").returncode == 8


def test_an_interrupt_leaves_nothing_half_done(place: Place, bucket: str) -> None:
    place.files({f"{number:03}": noise(number, 50_000) for number in range(400)})  # lines come in blocks of about 180
    process = subprocess.Popen(
        [_SCRIPT, "s3", "cp", "-r", "src", f"s3://{bucket}", "--concurrency", "1"],
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline().startswith("upload: ")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert list(place.temporary.iterdir()) == []
    place.good("sync", "src", f"s3://{bucket}", "-q")
    place.good("sync", f"s3://{bucket}", "out", "-q")
    assert place.tree("out") == place.tree("src")


def test_a_reader_that_goes_away_ends_a_command_quietly(place: Place, bucket: str) -> None:
    place.good("cp", "-", f"s3://{bucket}/x", stdin="x" * 3_000_000)
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {_SCRIPT} s3 cp s3://{bucket}/x - | head -c 1"],
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "x")
    assert "rror" not in done.stderr


def test_what_the_service_can_do_is_tried_once(plain: Place, bucket: str) -> None:
    plain.files({"a": b"1"})
    began = time.monotonic()
    plain.good("cp", "src/a", f"s3://{bucket}/")
    known = list((plain.folder.parent / ".cache" / "deltaglider_proxy").glob("service.*.json"))
    assert len(known) == 1
    before = known[0].read_bytes()
    plain.good("cp", "src/a", f"s3://{bucket}/b")
    assert known[0].read_bytes() == before
    assert json.loads(before)["verdicts"]["create_if_absent"] == "works"
    assert time.monotonic() - began < 60
