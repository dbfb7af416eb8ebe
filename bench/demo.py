"""A tour in under a minute, without a network: upload a few releases, read them back, show what they take.

`python -m bench.demo` starts a throw-away server and talks to it with boto3, like any client would.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import boto3
from botocore.config import Config
from mypy_boto3_s3 import S3Client
from rich.console import Console
from rich.table import Table

from bench.corpus import MIB, Version, database_dumps, firmware, unrelated
from bench.throwaway import ACCESS_KEY, SECRET_KEY, Stored, ThrowawayServer, throwaway_server


@dataclass(frozen=True)
class Series:
    bucket: str
    title: str
    versions: Callable[[], Iterator[Version]]


@dataclass(frozen=True)
class Result:
    title: str
    stored: Stored
    put_seconds: float
    get_seconds: float
    identical: bool


SERIES = (
    Series("firmware", "5 firmware tars", partial(firmware, 5, 30 * MIB)),
    Series("database", "5 SQL dumps", partial(database_dumps, 5, 12 * MIB)),
    Series("photos", "1 photo", partial(unrelated, 1, 8 * MIB)),
)


def run(client: S3Client, server: ThrowawayServer, series: Series) -> Result:
    client.create_bucket(Bucket=series.bucket)
    digests: dict[str, bytes] = {}
    put_seconds = get_seconds = 0.0
    for version in series.versions():
        digests[version.name] = hashlib.sha256(version.content).digest()
        began = time.perf_counter()
        client.put_object(Bucket=series.bucket, Key=version.name, Body=version.content)
        put_seconds += time.perf_counter() - began
    identical = True
    for name, digest in digests.items():
        began = time.perf_counter()
        content = client.get_object(Bucket=series.bucket, Key=name)["Body"].read()
        get_seconds += time.perf_counter() - began
        identical = identical and hashlib.sha256(content).digest() == digest
    return Result(series.title, server.stored(series.bucket), put_seconds, get_seconds, identical)


def show(console: Console, results: list[Result]) -> None:
    table = Table(
        title="DeltaGlider Proxy",
        title_style="bold",
        caption="sizes in MB, rates in MB/s; every byte was read back and compared",
    )
    table.add_column("uploaded", no_wrap=True)
    for heading in ("logical", "stored", "saved", "PUT", "GET"):
        table.add_column(heading, justify="right")
    table.add_column("bytes identical", justify="center")
    for result in results:
        logical = result.stored.logical_bytes
        table.add_row(
            result.title,
            _megabytes(logical),
            _megabytes(result.stored.stored_bytes),
            f"{result.stored.saved_percent:.1f} %",
            _rate(logical, result.put_seconds),
            _rate(logical, result.get_seconds),
            "[green]yes[/green]" if result.identical else "[red]NO[/red]",
        )
    logical = sum(result.stored.logical_bytes for result in results)
    stored = sum(result.stored.stored_bytes for result in results)
    table.add_section()
    table.add_row(
        "all",
        _megabytes(logical),
        _megabytes(stored),
        f"{100 * (1 - stored / logical):.1f} %" if logical else "",
        _rate(logical, sum(result.put_seconds for result in results)),
        _rate(logical, sum(result.get_seconds for result in results)),
        "[green]yes[/green]" if all(result.identical for result in results) else "[red]NO[/red]",
        style="bold",
    )
    console.print(table)


def _megabytes(size: int) -> str:
    return f"{size / MIB:.1f}"


def _rate(size: int, seconds: float) -> str:
    return f"{size / MIB / seconds:.0f}" if seconds else ""


def main() -> int:
    """Zero if every byte came back."""
    console = Console()
    results = []
    with console.status("starting a throw-away server") as status, throwaway_server() as server:
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )
        for series in SERIES:
            status.update(f"uploading and reading back {series.title}")
            results.append(run(client, server, series))
    show(console, results)
    return 0 if all(result.identical for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
