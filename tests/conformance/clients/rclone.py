"""rclone, told of the server by variables as its remote `dgp`."""

import json
from pathlib import Path

from typing_extensions import override

from tests.conformance.clients.client import REGION, Client


class Rclone(Client):
    @override
    def environment(self) -> dict[str, str]:
        remote = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENV_AUTH": "true",
            "ENDPOINT": self.endpoint,
            "REGION": REGION,
        }
        return super().environment() | {
            "RCLONE_CONFIG": "",  # none is read, so it has none to miss
            **{f"RCLONE_CONFIG_DGP_{name}": value for name, value in remote.items()},
        }

    @override
    def make_bucket(self, bucket: str) -> None:
        self.run("mkdir", f"dgp:{bucket}")

    @override
    def upload(self, source: Path, bucket: str, key: str) -> None:
        self.run("copyto", source, f"dgp:{bucket}/{key}")

    @override
    def upload_in_parts(self, source: Path, bucket: str, key: str) -> None:
        self.run("copyto", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M", source, f"dgp:{bucket}/{key}")

    @override
    def upload_described(
        self, source: Path, bucket: str, key: str, content_type: str, metadata: dict[str, str]
    ) -> None:
        pairs = [word for name, value in metadata.items() for word in ("--metadata-set", f"{name}={value}")]
        typed = ["--metadata-set", f"content-type={content_type}"]
        self.run("copyto", "--metadata", *typed, *pairs, source, f"dgp:{bucket}/{key}")

    @override
    def download(self, bucket: str, key: str, target: Path) -> None:
        self.run("copyto", f"dgp:{bucket}/{key}", target)

    @override
    def sync_up(self, folder: Path, bucket: str, prefix: str) -> int:
        return self._copied(folder, f"dgp:{bucket}/{prefix}")

    @override
    def sync_down(self, bucket: str, prefix: str, folder: Path) -> int:
        return self._copied(f"dgp:{bucket}/{prefix}", folder)

    def _copied(self, source: str | Path, target: str | Path) -> int:
        """Of the lines that it logs, those about objects; a renewed modification time would count too."""
        said = self.call("sync", "--use-json-log", "-v", source, target).stderr
        return sum("object" in json.loads(line) for line in said.splitlines())

    @override
    def sizes(self, bucket: str, prefix: str) -> dict[str, int]:
        found = json.loads(self.run("lsjson", "--recursive", "--files-only", f"dgp:{bucket}/{prefix}"))
        return {str(entry["Path"]): int(entry["Size"]) for entry in found}

    @override
    def total(self, bucket: str, prefix: str) -> int:
        return int(json.loads(self.run("size", "--json", f"dgp:{bucket}/{prefix}"))["bytes"])

    @override
    def copy(self, bucket: str, key: str, new_key: str) -> None:
        self.run("copyto", f"dgp:{bucket}/{key}", f"dgp:{bucket}/{new_key}")

    @override
    def move(self, bucket: str, key: str, new_key: str) -> None:
        self.run("moveto", f"dgp:{bucket}/{key}", f"dgp:{bucket}/{new_key}")

    @override
    def remove(self, bucket: str, key: str) -> None:
        self.run("deletefile", f"dgp:{bucket}/{key}")

    @override
    def remove_all(self, bucket: str, prefix: str) -> None:
        self.run("delete", f"dgp:{bucket}/{prefix}")

    @override
    def remove_bucket(self, bucket: str) -> None:
        self.run("rmdir", f"dgp:{bucket}")

    @override
    def presigned(self, bucket: str, key: str) -> str:
        return self.run("link", "--expire", "5m", f"dgp:{bucket}/{key}").strip()
