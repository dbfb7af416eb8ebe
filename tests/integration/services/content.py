"""Questions about bodies, their checksums, metadata and ranges."""

import hashlib
from base64 import b64encode
from zlib import crc32

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from tests.integration.services.place import WRONG, Place, outcome, question


@question("ETag of a put", "MD5")
def _(at: Place) -> str:
    etag = at.put("etag-1", b"content")
    return "MD5" if etag == f'"{hashlib.md5(b"content").hexdigest()}"' else etag


@question("ETag of a put of 9 MB", "MD5")
def _(at: Place) -> str:
    etag = at.put("etag-2", bytes(9_000_000))
    return "MD5" if etag == f'"{hashlib.md5(bytes(9_000_000)).hexdigest()}"' else "other"


@question("ETag of an upload in parts", "MD5 of MD5s, -2")
def _(at: Place) -> str:
    sizes = (5 << 20, 3)
    started, parts = at.upload("etag-3", sizes)
    at.complete("etag-3", started, parts)
    etag = at.etag("etag-3")
    digests = b"".join(hashlib.md5(bytes([number]) * size).digest() for number, size in enumerate(sizes, 1))
    return "MD5 of MD5s, -2" if etag == f'"{hashlib.md5(digests).hexdigest()}-2"' else etag


@question("ETags of put, head and list", "same")
def _(at: Place) -> str:
    etags = {at.client.put_object(Bucket=at.bucket, Key="etag-4", Body=b"body")["ETag"], at.etag("etag-4")}
    etags |= {entry["ETag"] for entry in at.client.list_objects_v2(Bucket=at.bucket, Prefix="etag-4")["Contents"]}
    return "same" if len(etags) == 1 else "differ"


@question("put with a wrong Content-MD5", "400 BadDigest")
def _(at: Place) -> str:
    return outcome(lambda: at.put("md5", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA=="))


@question("put with a wrong x-amz-checksum-crc32", "400 BadDigest")
def _(at: Place) -> str:
    return outcome(lambda: at.put("crc", ChecksumCRC32="AAAAAA=="))


@question("put with a wrong x-amz-content-sha256", "400")
def _(at: Place) -> str:
    return str(at.raw("PUT", "sha", {"x-amz-content-sha256": "0" * 64}, b"body").status)


CHECKSUM = b64encode(crc32(b"body").to_bytes(4, "big")).decode()


def trailer(at: Place, key: str, checksum: str) -> str:
    body = b"4\r\nbody\r\n0\r\nx-amz-checksum-crc32:" + checksum.encode() + b"\r\n\r\n"
    fields = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "4",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "Content-Encoding": "aws-chunked",
    }
    answer = at.raw("PUT", key, fields, body)
    return f"{answer.status}, {at.read(key)!r}" if answer.status == 200 else str(answer.status)


@question("aws-chunked with a trailer", "200, b'body'")
def _(at: Place) -> str:
    return trailer(at, "trailer-1", CHECKSUM)


@question("aws-chunked with a wrong trailer", "400")
def _(at: Place) -> str:
    return trailer(at, "trailer-2", "AAAAAA==")


@question("aws-chunked is not kept as Content-Encoding", "None")
def _(at: Place) -> str:
    trailer(at, "trailer-3", CHECKSUM)
    return str(at.client.head_object(Bucket=at.bucket, Key="trailer-3").get("ContentEncoding"))


def metadata(at: Place, key: str, given: dict[str, str]) -> str:
    said = outcome(lambda: at.client.put_object(Bucket=at.bucket, Key=key, Body=b"", Metadata=given))
    if said != "done":
        return said
    found = at.client.head_object(Bucket=at.bucket, Key=key)["Metadata"]
    return "kept" if found == given else repr(found)[:60]


@question("metadata of 2 KB in one value", "kept")
def _(at: Place) -> str:
    return metadata(at, "meta-1", {"a": "v" * 2047})


@question("metadata of 2 KB in many values", "kept")
def _(at: Place) -> str:
    return metadata(at, "meta-2", {f"name{number:02}": "v" * 30 for number in range(56)})


@question("metadata of more than 2 KB", "400 MetadataTooLarge")
def _(at: Place) -> str:
    return metadata(at, "meta-3", {"a": "v" * 3000})


@question("metadata names in capitals", "lower")
def _(at: Place) -> str:
    at.raw("PUT", "meta-4", {"x-amz-meta-CaSe": "Value"})
    found = at.raw("HEAD", "meta-4", {})
    names = [name[11:] for name, _ in found.getheaders() if name.lower() == "x-amz-meta-case"]
    return "lower" if names == ["case"] else " ".join(names)


@question("metadata value in UTF-8", "kept or refused")
def _(at: Place) -> str:
    status = at.raw("PUT", "meta-5", {"x-amz-meta-a": "é".encode().decode("latin-1")}).status
    if status != 200:
        return "kept or refused"
    found = (at.raw("HEAD", "meta-5", {}).getheader("x-amz-meta-a") or "").encode("latin-1")
    return "kept or refused" if found == "é".encode() else repr(found)


@question("metadata value in RFC 2047 words", "kept")
def _(at: Place) -> str:
    return metadata(at, "meta-6", {"a": "=?UTF-8?B?w6k=?="})


@question("metadata value that is empty", "kept")
def _(at: Place) -> str:
    return metadata(at, "meta-7", {"a": ""})


@question("metadata value with , ; = and quotes", "kept")
def _(at: Place) -> str:
    return metadata(at, "meta-8", {"a": '{"b": [1, 2]}; c="d"'})


@question("metadata name with _ and .", "kept")
def _(at: Place) -> str:
    return metadata(at, "meta-9", {"a_b.c": "v"})


@question("metadata of an upload in parts", "{'a': 'b'}, text/html")
def _(at: Place) -> str:
    started = at.client.create_multipart_upload(
        Bucket=at.bucket, Key="meta-10", Metadata={"a": "b"}, ContentType="text/html"
    )["UploadId"]
    etag = at.client.upload_part(Bucket=at.bucket, Key="meta-10", UploadId=started, PartNumber=1, Body=b"x")["ETag"]
    at.complete("meta-10", started, [{"PartNumber": 1, "ETag": etag}])
    found = at.client.head_object(Bucket=at.bucket, Key="meta-10")
    return f"{found['Metadata']}, {found['ContentType']}"


@question("system headers", "kept")
def _(at: Place) -> str:
    given = {
        "ContentType": "text/x-odd; charset=utf-8",
        "CacheControl": "no-cache",
        "ContentDisposition": 'attachment; filename="a b"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
    }
    at.call("put_object", Key="meta-11", **given)
    found: dict[str, object] = dict(at.client.head_object(Bucket=at.bucket, Key="meta-11"))
    lost = [name for name, value in given.items() if found.get(name) != value]
    return f"lost {lost}" if lost else "kept"


@question("content type where none was given", "binary/octet-stream")
def _(at: Place) -> str:
    at.raw("PUT", "meta-12.txt", {})
    return str(at.client.head_object(Bucket=at.bucket, Key="meta-12.txt").get("ContentType"))


@question("range of an empty object", "416 InvalidRange")
def _(at: Place) -> str:
    at.put("empty", b"")
    return outcome(lambda: at.client.get_object(Bucket=at.bucket, Key="empty", Range="bytes=0-0"))


@question("last bytes of an empty object", "416 InvalidRange")
def _(at: Place) -> str:
    at.put("empty-2", b"")
    return outcome(lambda: at.client.get_object(Bucket=at.bucket, Key="empty-2", Range="bytes=-5"))


@question("range past the end", "206 bytes 2-3/4")
def _(at: Place) -> str:
    at.put("range")
    answer = at.raw("GET", "range", {"Range": "bytes=2-99"})
    return f"{answer.status} {answer.getheader('Content-Range')}"


@question("range with if-match, other", "412")
def _(at: Place) -> str:
    at.put("range-2")
    return str(at.raw("GET", "range-2", {"Range": "bytes=0-1", "If-Match": WRONG}).status)


@question("two ranges", "200")
def _(at: Place) -> str:
    at.put("range-3")
    return str(at.raw("GET", "range-3", {"Range": "bytes=0-0,2-2"}).status)


@question("reader of an object that is replaced", "old or error")
def _(at: Place) -> str:
    size = 24 << 20
    at.put("replaced", b"o" * size)
    body = at.client.get_object(Bucket=at.bucket, Key="replaced")["Body"]
    first = body.read(1 << 20)
    at.put("replaced", b"n" * size)
    try:
        found = first + body.read()
    except (BotoCoreError, HTTPError):
        return "old or error"
    return "old or error" if found == b"o" * size else "mixed"
