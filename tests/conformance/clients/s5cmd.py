"""s5cmd, which asks with wildcards: `--raw` keeps it from reading keys as patterns."""

import json
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from tests.conformance.clients.client import Client


class S5cmd(Client):
    keeps_metadata_when_moving: ClassVar[bool] = False  # it asks for REPLACE and names no metadata
    keeps_times_when_downloading: ClassVar[bool] = False

    @override
    def environment(self) -> dict[str, str]:
        return super().environment() | {"S3_ENDPOINT_URL": self.endpoint}

    @override
    def make_bucket(self, bucket: str) -> None:
        self.run("mb", f"s3://{bucket}")

    @override
    def upload(self, source: Path, bucket: str, key: str) -> None:
        self.run("cp", source, f"s3://{bucket}/{key}")

    @override
    def upload_in_parts(self, source: Path, bucket: str, key: str) -> None:
        self.run("cp", "--part-size", "5", source, f"s3://{bucket}/{key}")

    @override
    def upload_described(
        self, source: Path, bucket: str, key: str, content_type: str, metadata: dict[str, str]
    ) -> None:
        pairs = [word for name, value in metadata.items() for word in ("--metadata", f"{name}={value}")]
        self.run("cp", "--content-type", content_type, *pairs, source, f"s3://{bucket}/{key}")

    @override
    def download(self, bucket: str, key: str, target: Path) -> None:
        self.run("cp", "--raw", f"s3://{bucket}/{key}", target)

    @override
    def sync_up(self, folder: Path, bucket: str, prefix: str) -> int:
        return self._copied(self.run("--json", "sync", f"{folder}/", f"s3://{bucket}/{prefix}/"))

    @override
    def sync_down(self, bucket: str, prefix: str, folder: Path) -> int:
        return self._copied(self.run("--json", "sync", f"s3://{bucket}/{prefix}/*", f"{folder}/"))

    def _copied(self, said: str) -> int:
        return sum(json.loads(line).get("operation") == "cp" for line in said.splitlines())

    @override
    def sizes(self, bucket: str, prefix: str) -> dict[str, int]:
        said = self.run("--json", "ls", f"s3://{bucket}/{prefix}/*")
        found = [json.loads(line) for line in said.splitlines()]
        start = f"s3://{bucket}/{prefix}/"
        return {str(entry["key"]).removeprefix(start): int(entry.get("size", 0)) for entry in found}

    @override
    def total(self, bucket: str, prefix: str) -> int:
        return int(json.loads(self.run("--json", "du", f"s3://{bucket}/{prefix}/*"))["size"])

    @override
    def copy(self, bucket: str, key: str, new_key: str) -> None:
        self.run("cp", "--raw", f"s3://{bucket}/{key}", f"s3://{bucket}/{new_key}")

    @override
    def move(self, bucket: str, key: str, new_key: str) -> None:
        self.run("mv", "--raw", f"s3://{bucket}/{key}", f"s3://{bucket}/{new_key}")

    @override
    def remove(self, bucket: str, key: str) -> None:
        self.run("rm", "--raw", f"s3://{bucket}/{key}")

    @override
    def remove_all(self, bucket: str, prefix: str) -> None:
        self.run("rm", f"s3://{bucket}/{prefix}/*")

    @override
    def remove_bucket(self, bucket: str) -> None:
        self.run("rb", f"s3://{bucket}")

    @override
    def presigned(self, bucket: str, key: str) -> str:
        return self.run("presign", "--expire", "5m", f"s3://{bucket}/{key}").strip()
