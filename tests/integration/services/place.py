"""A bucket of a service in which questions about S3 are asked, each with the answer that S3 gives.

An answer is a short text: a status and its error code, or what was found. Each question has keys of its own, so that
they can be asked in any order.
"""

import http.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import CompletedPartTypeDef

from tests.support.storage.services.http1 import Head
from tests.support.storage.services.service import Service
from tests.support.storage.services.signing import signature

REFUSED = "412 PreconditionFailed"
WRONG = '"00000000000000000000000000000000"'
"""An ETag that no object has."""


@dataclass(frozen=True, slots=True)
class Place:
    service: Service
    client: S3Client
    bucket: str

    def call(self, operation: str, **arguments: object) -> None:
        """For arguments that are put together at run time."""
        getattr(self.client, operation)(Bucket=self.bucket, **arguments)

    def etag(self, key: str) -> str:
        return self.client.head_object(Bucket=self.bucket, Key=key)["ETag"]

    def put(self, key: str, body: bytes = b"body", **more: str) -> str:
        """Its ETag, as told later."""
        self.call("put_object", Key=key, Body=body, **more)
        return self.etag(key)

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self, prefix: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def upload(self, key: str, sizes: Sequence[int] = (4,)) -> tuple[str, list[CompletedPartTypeDef]]:
        """An upload with parts, ready to be completed."""
        started = self.client.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        parts: list[CompletedPartTypeDef] = []
        for number, size in enumerate(sizes, 1):
            made = self.client.upload_part(
                Bucket=self.bucket, Key=key, UploadId=started, PartNumber=number, Body=bytes([number]) * size
            )
            parts.append({"PartNumber": number, "ETag": made["ETag"]})
        return started, parts

    def complete(self, key: str, started: str, parts: Sequence[CompletedPartTypeDef], **conditions: str) -> str:
        given = {"Parts": parts}
        return outcome(
            lambda: self.call(
                "complete_multipart_upload", Key=key, UploadId=started, MultipartUpload=given, **conditions
            )
        )

    def raw(self, method: str, key: str, fields: dict[str, str], body: bytes = b"") -> http.client.HTTPResponse:
        """A request that the SDK would not send. Only fields that begin with x-amz- are signed."""
        path = f"/{self.bucket}/{quote(key, safe='/-._~')}"
        host = urlsplit(self.service.endpoint).netloc
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        sent = {"host": host, "x-amz-date": moment, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", **fields}
        head = Head(f"{method} {path} HTTP/1.1", tuple(sent.items()))
        names = sorted(name.lower() for name in sent if name == "host" or name.lower().startswith("x-amz-"))
        scope = f"{moment[:8]}/{self.service.region}/s3/aws4_request"
        sent["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.service.access_key}/{scope}, SignedHeaders={';'.join(names)}, "
            f"Signature={signature(head, self.service.secret_key, scope, names)}"
        )
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {**sent, "content-length": str(len(body))}.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(body)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    s3: str
    """What S3 answers."""
    ask: Callable[[Place], str]


QUESTIONS: list[Question] = []


def question(name: str, s3: str) -> Callable[[Callable[[Place], str]], Callable[[Place], str]]:
    def register(ask: Callable[[Place], str]) -> Callable[[Place], str]:
        QUESTIONS.append(Question(name, s3, ask))
        return ask

    return register


def outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except ClientError as error:
        return (
            f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error'].get('Code', '')}".strip()
        )
    return "done"
