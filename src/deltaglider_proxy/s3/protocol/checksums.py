"""What a client says about the digests of a body: which must be computed, and whether they agree.

Headers and trailers become one `Expected` before the body flows; nothing is computed here. A checksum that we cannot
verify is refused, never dropped. Source: S3 User Guide, "Checking object integrity".
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.request import Headers

SIZES: Mapping[str, int] = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
"""Bytes of each algorithm's digest, by the name that S3 gives it; in lower case it is the name of the digest."""

_PREFIX = b"x-amz-checksum-"
_NOT_VALUES = frozenset({b"x-amz-checksum-algorithm", b"x-amz-checksum-type", b"x-amz-checksum-mode"})
_HEX_SHA256 = re.compile(rb"[0-9a-fA-F]{64}")
_COMPOSITE_ONLY = frozenset({"SHA1", "SHA256"})


@dataclass(frozen=True, slots=True)
class Checked:
    """A checksum that was verified and is to be kept: algorithm as S3 names it, value in base64."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class Expected:
    content_md5: bytes | None = None
    payload_sha256: bytes | None = None
    algorithm: str | None = None
    """Of the checksum to keep."""
    value: bytes | None = None
    """The checksum from the head; None if it comes as a trailer, or not at all."""
    computed: bool = False
    """The client sends no checksum: the one that is computed here is kept."""

    @property
    def digests(self) -> frozenset[str]:
        """Names of what must be computed over the decoded body, `md5` aside, which always is."""
        names = set() if self.payload_sha256 is None else {"sha256"}
        if self.algorithm is not None:
            names.add(self.algorithm.lower())
        return frozenset(names)

    def verify(self, digests: Mapping[str, bytes], trailers: Mapping[str, str]) -> Checked | None:
        """Compare with what was computed; the checksum to keep. Raises XAmzContentSHA256Mismatch, BadDigest,
        InvalidRequest.
        """
        if self.payload_sha256 is not None and not hmac.compare_digest(self.payload_sha256, digests["sha256"]):
            raise S3Error(
                Code.XAmzContentSHA256Mismatch,
                fields={
                    "ClientComputedContentSHA256": self.payload_sha256.hex(),
                    "S3ComputedContentSHA256": digests["sha256"].hex(),
                },
            )
        if self.content_md5 is not None and not hmac.compare_digest(self.content_md5, digests["md5"]):
            raise S3Error(
                Code.BadDigest,
                "The Content-MD5 you specified did not match what we received.",
                {
                    "ExpectedDigest": b64encode(self.content_md5).decode(),
                    "CalculatedDigest": b64encode(digests["md5"]).decode(),
                },
            )
        if self.algorithm is None:
            return None
        computed = digests[self.algorithm.lower()]
        value = computed if self.computed else self.value
        if value is None:
            name = _header_name(self.algorithm)
            if name not in trailers:
                raise S3Error(Code.InvalidRequest, f"The trailer {name} was announced and did not come.")
            value = _decode(f"{name} trailing", trailers[name], self.algorithm)
        if not hmac.compare_digest(value, computed):
            raise S3Error(Code.BadDigest, f"The {self.algorithm} you specified did not match the calculated checksum.")
        return Checked(self.algorithm, b64encode(computed).decode())

    @property
    def claimed(self) -> Checked | None:
        """What a header says of the body that is still to come."""
        if self.algorithm is None or self.value is None:
            return None
        return Checked(self.algorithm, b64encode(self.value).decode())

    def of_part(self, upload: "UploadChecksum | None") -> "Expected":
        """The same for a part of an upload. Raises InvalidRequest for another algorithm than the upload's.

        A checksum of the full object needs one of each part, and whose it is does not matter: it is computed if none
        was sent. A composite one is of checksums that the client knows, because it has to name them in the end.
        """
        if upload is None or self.algorithm == upload.algorithm:
            return self
        if self.algorithm is None and upload.type == "FULL_OBJECT":
            return replace(self, algorithm=upload.algorithm, computed=True)
        sent = self.algorithm.lower() if self.algorithm is not None else "null"
        raise S3Error(
            Code.InvalidRequest,
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm.lower()}, actual checksum "
            f"Type: {sent}",
        )


_NOTHING = Expected()


@dataclass(frozen=True, slots=True)
class UploadChecksum:
    """What a multipart upload was begun with."""

    algorithm: str
    type: str
    """`FULL_OBJECT` or `COMPOSITE`."""


@dataclass(frozen=True, slots=True)
class WholeChecksum:
    """What the end of an upload says of the object: algorithm, value in base64, and the number of parts if given."""

    algorithm: str
    value: str
    parts: int | None


def parse_expected(headers: Headers, *, values_count: bool = True) -> Expected:
    """`values_count`: the checksum headers, if any, are about this body. Raises InvalidDigest, InvalidRequest,
    NotImplemented.
    """
    value = _value(headers) if values_count else None
    announced = _announced(headers)
    declared = headers.get(b"x-amz-sdk-checksum-algorithm") if values_count else None
    if value is not None and announced is not None:
        raise S3Error(
            Code.InvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    algorithm = value[0] if value is not None else announced
    if declared is not None:
        name = parse_algorithm(declared.decode("latin-1"))
        if algorithm is None:
            raise S3Error(
                Code.InvalidRequest,
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                "headers were found.",
            )
        if algorithm != name:
            raise S3Error(Code.InvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    md5, payload = _content_md5(headers), _payload_sha256(headers)
    if md5 is None and payload is None and algorithm is None:
        return _NOTHING
    return Expected(md5, payload, algorithm, None if value is None else value[1])


def _content_md5(headers: Headers) -> bytes | None:
    text = headers.get(b"content-md5")
    if text is None:
        return None
    try:
        digest = b64decode(text, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 16:
        raise S3Error(Code.InvalidDigest, fields={"Content-MD5": text.decode("latin-1")})
    return digest


def _payload_sha256(headers: Headers) -> bytes | None:
    text = headers.get(b"x-amz-content-sha256")
    if text is None or text == b"UNSIGNED-PAYLOAD" or text.startswith(b"STREAMING-"):
        return None
    if _HEX_SHA256.fullmatch(text) is None:
        raise S3Error(
            Code.InvalidRequest,
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER, or a SHA-256 in hex.",
        )
    return bytes.fromhex(text.decode())


def _value_headers(headers: Headers) -> list[bytes]:
    """None or one."""
    names = [name for name in headers if name.startswith(_PREFIX) and name not in _NOT_VALUES]
    if len(names) > 1:
        raise S3Error(
            Code.InvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    return names


def _value(headers: Headers) -> tuple[str, bytes] | None:
    names = _value_headers(headers)
    if not names:
        return None
    name = names[0].decode("latin-1")
    algorithm = parse_algorithm(name.removeprefix("x-amz-checksum-"))
    return algorithm, _decode(name, headers[names[0]].decode("latin-1"), algorithm)


def _announced(headers: Headers) -> str | None:
    names = [name.strip().lower() for name in headers.get(b"x-amz-trailer", b"").split(b",") if name.strip()]
    checksums = [name for name in names if name.startswith(_PREFIX)]
    if len(checksums) > 1:
        raise S3Error(Code.InvalidRequest, "Expecting a single x-amz-checksum- trailer. Multiple were found.")
    return parse_algorithm(checksums[0].decode("latin-1").removeprefix("x-amz-checksum-")) if checksums else None


def parse_algorithm(text: str) -> str:
    """The name that S3 gives an algorithm, from either case. Raises NotImplemented for one that cannot be verified."""
    name = text.upper()
    if name not in SIZES:
        raise S3Error(Code.NotImplemented, f"The checksum algorithm {text[:32]} is not implemented: use one of {_ALL}.")
    return name


_ALL = ", ".join(SIZES)


def _header_name(algorithm: str) -> str:
    return f"x-amz-checksum-{algorithm.lower()}"


def _decode(name: str, text: str, algorithm: str) -> bytes:
    value = _decoded(algorithm, text)
    if value is None:
        raise S3Error(Code.InvalidRequest, f"Value for {name} header is invalid.")
    return value


def _decoded(algorithm: str, text: str) -> bytes | None:
    try:
        value = b64decode(text, validate=True)
    except ValueError:
        return None
    return value if len(value) == SIZES[algorithm] else None


def parse_upload_checksum(headers: Headers) -> UploadChecksum | None:
    """None: none was asked for. Raises InvalidRequest, NotImplemented."""
    text = headers.get(b"x-amz-checksum-algorithm")
    kind = parse_type(headers)
    if text is None:
        if kind is not None:
            raise S3Error(
                Code.InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return None
    algorithm = parse_algorithm(text.decode("latin-1"))
    kind = kind or ("FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")
    if (kind == "FULL_OBJECT" and algorithm in _COMPOSITE_ONLY) or (kind == "COMPOSITE" and algorithm == "CRC64NVME"):
        raise S3Error(
            Code.InvalidRequest,
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return UploadChecksum(algorithm, kind)


def parse_type(headers: Headers) -> str | None:
    """`x-amz-checksum-type`. Raises InvalidRequest."""
    text = headers.get(b"x-amz-checksum-type")
    if text is None:
        return None
    kind = text.decode("latin-1").upper()
    if kind not in ("FULL_OBJECT", "COMPOSITE"):
        raise S3Error(Code.InvalidRequest, "Value for x-amz-checksum-type header is invalid.")
    return kind


def parse_whole_checksum(headers: Headers) -> WholeChecksum | None:
    """Raises InvalidRequest, NotImplemented."""
    names = _value_headers(headers)
    if not names:
        return None
    name = names[0].decode("latin-1")
    algorithm = parse_algorithm(name.removeprefix("x-amz-checksum-"))
    value, dash, parts = headers[names[0]].decode("latin-1").partition("-")
    if not is_checksum(algorithm, value) or (dash and not (parts.isascii() and parts.isdigit() and len(parts) <= 5)):
        raise S3Error(Code.InvalidRequest, f"Value for {name} header is invalid.")
    return WholeChecksum(algorithm, value, int(parts) if dash else None)


def is_checksum(algorithm: str, text: str) -> bool:
    """Whether it is base64 of as many bytes as the algorithm has."""
    return _decoded(algorithm, text) is not None


def check_object_size(headers: Headers, size: int) -> None:
    """What the end of an upload says of the size of the object. Raises InvalidRequest."""
    text = headers.get(b"x-amz-mp-object-size", b"%d" % size).decode("latin-1")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise S3Error(Code.InvalidRequest, f"Value for x-amz-mp-object-size header is invalid: '{text[:32]}'")
    if digits != text:
        raise S3Error(Code.InvalidRequest, f"Value for x-amz-mp-object-size header is less than zero: '{text[:32]}'")
    if text != str(size):
        raise S3Error(
            Code.InvalidRequest,
            f"The provided 'x-amz-mp-object-size' header value {text[:32]} does not match what was computed: {size}",
        )


def composite_checksum(algorithm: str, parts: Sequence[str]) -> str:
    """The checksum of the parts' checksums (base64 each), with their number. Not every algorithm has this type."""
    joined = b"".join(map(b64decode, parts))
    match algorithm:
        case "SHA1":
            digest = hashlib.sha1(joined, usedforsecurity=False).digest()
        case "SHA256":
            digest = hashlib.sha256(joined).digest()
        case "CRC32":
            digest = binascii.crc32(joined).to_bytes(4, "big")
        case "CRC32C":
            digest = _crc32c(joined).to_bytes(4, "big")
        case _:
            raise ValueError(f"{algorithm} has no composite checksum")
    return f"{b64encode(digest).decode()}-{len(parts)}"


def _crc32c(data: bytes) -> int:
    """Bit by bit: it only ever sees four bytes for each part."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0x82F63B78 if value & 1 else value >> 1
    return value ^ 0xFFFFFFFF
