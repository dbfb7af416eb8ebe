"""A server that speaks HTTPS, and what its clients see of its certificate."""

import hashlib
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx2
from botocore.config import Config
from mypy_boto3_s3 import S3Client
from typing_extensions import override

from tests.support.server import ACCESS_KEY, PASSWORD, SECRET_KEY, START_SECONDS, Server


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def secured_client(endpoint: str, trusted: Path, access_key: str, secret: str) -> S3Client:
    """Presigns for version 4, unlike boto3 as it comes."""
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        verify=str(trusted),
        config=Config(signature_version="s3v4", connect_timeout=5, read_timeout=60, retries={"max_attempts": 0}),
    )
    return client


def secured_http(endpoint: str, trusted: Path) -> httpx2.Client:
    context = ssl.create_default_context(cafile=trusted)
    return httpx2.Client(base_url=endpoint, verify=context, timeout=30, trust_env=False)


@dataclass
class HttpsServer(Server):
    """`environment` says DGP_TLS_ENABLED."""

    trusted: Path | None = None
    """Certificates that clients trust."""

    @property
    @override
    def endpoint(self) -> str:
        return f"https://localhost:{self.port}"

    @override
    def start(self) -> None:
        self.process = self._spawn()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_/health", timeout=2, context=unverified()):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.03)
        raise RuntimeError(f"the server did not start: {self.log.read_text()[-3000:]}")

    @override
    def client(self, access_key: str = ACCESS_KEY, secret: str = SECRET_KEY) -> S3Client:
        assert self.trusted is not None
        return secured_client(self.endpoint, self.trusted, access_key, secret)

    def http(self) -> httpx2.Client:
        assert self.trusted is not None
        return secured_http(self.endpoint, self.trusted)

    def sign_in(self, http: httpx2.Client) -> httpx2.Response:
        answer = http.post("/_/api/admin/login", json={"password": PASSWORD})
        self.secrets.update(cookie.value for cookie in http.cookies.jar if cookie.value)
        return answer

    def fingerprint(self) -> str:
        """SHA-256 of the certificate that a new connection is shown."""
        shown = ssl.get_server_certificate(("127.0.0.1", self.port), timeout=10)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest()


def digest(pem: bytes) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()
