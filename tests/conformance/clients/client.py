"""What every command-line client of S3 can do, said once, so that one set of tests drives them all.

Each client runs as a person would run it, with its defaults, and only its own words for the endpoint and the keys.
"""

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.support.server import ACCESS_KEY, SECRET_KEY

REGION = "us-east-1"
_SECONDS = 100


@dataclass(frozen=True)
class Client(ABC):
    """`home` is an empty folder: no configuration of the person who runs the tests is found there."""

    program: Path
    endpoint: str
    home: Path

    def environment(self) -> dict[str, str]:
        """Keys and endpoint in the variables that most clients read, and nothing else from outside."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    keeps_metadata_when_moving: ClassVar[bool] = True
    keeps_times_when_downloading: ClassVar[bool] = True
    signs_urls_with_version_4: ClassVar[bool] = True

    def run(self, *arguments: str | Path) -> str:
        """What it prints; a failure raises with that and its errors."""
        return self.call(*arguments).stdout

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.program, *arguments],
            cwd=self.home,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            raise AssertionError(f"{self.program.name} {arguments}: exit code {done.returncode}\n{said}")
        return done

    @abstractmethod
    def make_bucket(self, bucket: str) -> None: ...

    @abstractmethod
    def upload(self, source: Path, bucket: str, key: str) -> None: ...

    @abstractmethod
    def upload_in_parts(self, source: Path, bucket: str, key: str) -> None:
        """As `upload`, in parts of 5 MiB."""

    @abstractmethod
    def upload_described(
        self, source: Path, bucket: str, key: str, content_type: str, metadata: dict[str, str]
    ) -> None:
        """As `upload`, with a content type and metadata."""

    @abstractmethod
    def download(self, bucket: str, key: str, target: Path) -> None: ...

    @abstractmethod
    def sync_up(self, folder: Path, bucket: str, prefix: str) -> int:
        """How many files were sent."""

    @abstractmethod
    def sync_down(self, bucket: str, prefix: str, folder: Path) -> int:
        """How many objects were fetched."""

    @abstractmethod
    def sizes(self, bucket: str, prefix: str) -> dict[str, int]:
        """Sizes of the objects under a prefix without `/` at its end, by the rest of their keys."""

    @abstractmethod
    def total(self, bucket: str, prefix: str) -> int:
        """The bytes under a prefix, as the client adds them up."""

    @abstractmethod
    def copy(self, bucket: str, key: str, new_key: str) -> None: ...

    @abstractmethod
    def move(self, bucket: str, key: str, new_key: str) -> None: ...

    @abstractmethod
    def remove(self, bucket: str, key: str) -> None: ...

    @abstractmethod
    def remove_all(self, bucket: str, prefix: str) -> None: ...

    @abstractmethod
    def remove_bucket(self, bucket: str) -> None: ...

    @abstractmethod
    def presigned(self, bucket: str, key: str) -> str:
        """A URL that anyone may read for some minutes."""
