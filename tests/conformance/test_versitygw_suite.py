"""The conformance suite of versitygw, an independent reading of S3, against a real server.

Each of its tests runs alone, in a process of its own: within one process a test that panics takes all later ones with
it. What fails and why that is so is written down in versitygw_expected_failures.txt; anything that fails beyond it is
a regression, and anything on it that passes has to be taken off it.
"""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from tests.support.programs import VERSITYGW, built
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

pytestmark = [pytest.mark.client, pytest.mark.slow]

_EXPECTED = Path(__file__).with_name("versitygw_expected_failures.txt")
_LISTED = re.compile(r"^\s+(\w+)\s+Runs \1 integration test$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[\d+m")
_SHARDS = 2
_SECONDS_EACH = 90

# Groups that the suite's own full run leaves out too, because they are about another service or another mode of it.
_OTHER_SUBJECTS = re.compile(
    r"IAM"  # its IAM service
    r"|S3IAM"  # the same behind its gateway
    r"|Versioning_"  # runs only where versioning is switched on
    r"|WebsiteHosting"  # its website endpoint
    r"|NoAclMode"  # a mode of its gateway
    r"|\w+_data_integrity_etag$"  # the same
)


def expected_failures() -> dict[str, str]:
    lines = [line for line in _EXPECTED.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(None, 1) for line in lines)


def test_the_list_of_expected_failures_gives_a_reason_for_each() -> None:
    lines = [line for line in _EXPECTED.read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if len(line.split(None, 1)) != 2] == []
    names = [line.split()[0] for line in lines]
    assert names == sorted(set(names))


@pytest.mark.timeout(1800)
def test_the_suite_fails_where_it_is_expected_to_and_nowhere_else(tmp_path: Path) -> None:
    program = built(VERSITYGW)
    names = suite(program)
    expected = expected_failures()
    assert sorted(expected.keys() - names) == [], "expected to fail, but not in the suite"
    shards = [names[number::_SHARDS] for number in range(_SHARDS)]
    with ThreadPoolExecutor(_SHARDS) as threads:
        parts = threads.map(lambda number: run_all(program, shards[number], tmp_path / str(number)), range(_SHARDS))
        failures = {name: said for part in parts for name, said in part.items()}
    print(
        f"{len(names)} tests, {len(names) - len(failures)} passed, {len(failures)} failed, {len(expected)} expected to"
    )
    assert {name: said for name, said in failures.items() if name not in expected} == {}
    assert sorted(expected.keys() - failures) == [], "expected to fail, but passed: take them off the list"


def suite(program: Path) -> list[str]:
    done = subprocess.run([program, "test", "--help"], capture_output=True, text=True, timeout=60, check=True)
    return sorted(name for name in _LISTED.findall(done.stdout) if not _OTHER_SUBJECTS.match(name))


def run_all(program: Path, names: list[str], root: Path) -> dict[str, str]:
    """What each test that failed said, on a server of their own."""
    root.mkdir()
    failures: dict[str, str] = {}
    # The suite makes and deletes buckets of one name many times a second; with repeats refused it would test that only.
    with Server(root, environment={"DGP_REPLAY_WINDOW_SECS": "0"}) as server:
        s3 = server.client()
        for name in names:
            said = run_one(program, name, server)
            if said is not None:
                failures[name] = said
                empty(s3)
    return failures


def run_one(program: Path, name: str, server: Server) -> str | None:
    command: list[str | Path] = [program, "test", "--access", ACCESS_KEY, "--secret", SECRET_KEY]
    command += ["--endpoint", server.endpoint, name]
    try:
        done = subprocess.run(
            command,
            cwd=program.parent,  # some tests start ./versitygw
            env={"HOME": str(server.root)},
            capture_output=True,
            text=True,
            timeout=_SECONDS_EACH,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done in {_SECONDS_EACH} s"
    if done.returncode == 0:
        return None
    said = _COLOUR.sub("", done.stdout + done.stderr)
    return "\n".join(line for line in said.splitlines() if line and not line.startswith(("RUN ", "RAN:")))[:600]


def empty(s3: S3Client) -> None:
    """A test that failed leaves its bucket behind, and the next process gives its bucket the same name."""
    for bucket in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=entry["Key"])
        for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        s3.delete_bucket(Bucket=bucket)
