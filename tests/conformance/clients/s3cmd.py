"""s3cmd, which reads a configuration file and signs URLs with version 2 only."""

from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from typing_extensions import override

from tests.conformance.clients.client import REGION, Client
from tests.support.server import ACCESS_KEY, SECRET_KEY


class S3cmd(Client):
    signs_urls_with_version_4: ClassVar[bool] = False

    def s3(self, *arguments: str | Path) -> str:
        config = self.home / "s3cfg"
        if not config.exists():
            host = urlsplit(self.endpoint).netloc
            lines = {
                "access_key": ACCESS_KEY,
                "secret_key": SECRET_KEY,
                "bucket_location": REGION,
                "host_base": host,
                "host_bucket": host,
                "use_https": "False",
            }
            text = "".join(f"{name} = {value}\n" for name, value in lines.items())
            config.write_text(f"[default]\n{text}")
        return self.run("--config", config, "--no-progress", *arguments)

    @override
    def make_bucket(self, bucket: str) -> None:
        self.s3("mb", f"s3://{bucket}")

    @override
    def upload(self, source: Path, bucket: str, key: str) -> None:
        self.s3("put", source, f"s3://{bucket}/{key}")

    @override
    def upload_in_parts(self, source: Path, bucket: str, key: str) -> None:
        self.s3("put", "--multipart-chunk-size-mb=5", source, f"s3://{bucket}/{key}")

    @override
    def upload_described(
        self, source: Path, bucket: str, key: str, content_type: str, metadata: dict[str, str]
    ) -> None:
        pairs = [f"--add-header=x-amz-meta-{name}:{value}" for name, value in metadata.items()]
        self.s3("put", f"--mime-type={content_type}", *pairs, source, f"s3://{bucket}/{key}")

    @override
    def download(self, bucket: str, key: str, target: Path) -> None:
        self.s3("get", "--force", f"s3://{bucket}/{key}", target)

    @override
    def sync_up(self, folder: Path, bucket: str, prefix: str) -> int:
        return self.s3("sync", f"{folder}/", f"s3://{bucket}/{prefix}/").count("upload: ")

    @override
    def sync_down(self, bucket: str, prefix: str, folder: Path) -> int:
        return self.s3("sync", f"s3://{bucket}/{prefix}/", f"{folder}/").count("download: ")

    @override
    def sizes(self, bucket: str, prefix: str) -> dict[str, int]:
        start = f"s3://{bucket}/{prefix}/"
        found = [line.split(None, 3) for line in self.s3("ls", "--recursive", start).splitlines()]
        return {path.removeprefix(start): int(size) for _, _, size, path in found}

    @override
    def total(self, bucket: str, prefix: str) -> int:
        return int(self.s3("du", f"s3://{bucket}/{prefix}/").split()[0])

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
        self.s3("rm", "--recursive", "--force", f"s3://{bucket}/{prefix}/")

    @override
    def remove_bucket(self, bucket: str) -> None:
        self.s3("rb", f"s3://{bucket}")

    @override
    def presigned(self, bucket: str, key: str) -> str:
        return self.s3("signurl", f"s3://{bucket}/{key}", "+300").strip()
