"""The AWS command line interface."""

import re
from pathlib import Path

from typing_extensions import override

from tests.conformance.clients.client import Client


class AwsCli(Client):
    def s3(self, *arguments: str | Path) -> str:
        return self.run("s3", *arguments)

    @override
    def make_bucket(self, bucket: str) -> None:
        self.s3("mb", f"s3://{bucket}")

    @override
    def upload(self, source: Path, bucket: str, key: str) -> None:
        self.s3("cp", source, f"s3://{bucket}/{key}")

    @override
    def upload_in_parts(self, source: Path, bucket: str, key: str) -> None:
        for setting in ("multipart_threshold", "multipart_chunksize"):
            self.run("configure", "set", f"default.s3.{setting}", "5MB")
        self.s3("cp", source, f"s3://{bucket}/{key}")

    @override
    def upload_described(
        self, source: Path, bucket: str, key: str, content_type: str, metadata: dict[str, str]
    ) -> None:
        pairs = ",".join(f"{name}={value}" for name, value in metadata.items())
        self.s3("cp", source, f"s3://{bucket}/{key}", "--content-type", content_type, "--metadata", pairs)

    @override
    def download(self, bucket: str, key: str, target: Path) -> None:
        self.s3("cp", f"s3://{bucket}/{key}", target)

    @override
    def sync_up(self, folder: Path, bucket: str, prefix: str) -> int:
        return self.s3("sync", folder, f"s3://{bucket}/{prefix}", "--no-progress").count("upload: ")

    @override
    def sync_down(self, bucket: str, prefix: str, folder: Path) -> int:
        return self.s3("sync", f"s3://{bucket}/{prefix}", folder, "--no-progress").count("download: ")

    @override
    def sizes(self, bucket: str, prefix: str) -> dict[str, int]:
        lines = self.s3("ls", "--recursive", f"s3://{bucket}/{prefix}/").splitlines()
        found = [re.fullmatch(r"\S+ \S+ +(\d+) (.*)", line) for line in lines]
        return {match[2].removeprefix(f"{prefix}/"): int(match[1]) for match in found if match}

    @override
    def total(self, bucket: str, prefix: str) -> int:
        said = self.s3("ls", "--recursive", "--summarize", f"s3://{bucket}/{prefix}/")
        return int(said.rpartition("Total Size:")[2])

    @override
    def copy(self, bucket: str, key: str, new_key: str) -> None:
        self.s3("cp", f"s3://{bucket}/{key}", f"s3://{bucket}/{new_key}")

    @override
    def move(self, bucket: str, key: str, new_key: str) -> None:
        self.s3("mv", f"s3://{bucket}/{key}", f"s3://{bucket}/{new_key}")

    @override
    def remove(self, bucket: str, key: str) -> None:
        self.s3("rm", f"s3://{bucket}/{key}")

    @override
    def remove_all(self, bucket: str, prefix: str) -> None:
        self.s3("rm", "--recursive", f"s3://{bucket}/{prefix}/")

    @override
    def remove_bucket(self, bucket: str) -> None:
        self.s3("rb", f"s3://{bucket}")

    @override
    def presigned(self, bucket: str, key: str) -> str:
        # In us-east-1 it signs URLs with version 2 unless it is told not to.
        self.run("configure", "set", "default.s3.signature_version", "s3v4")
        return self.s3("presign", f"s3://{bucket}/{key}", "--expires-in", "300").strip()
