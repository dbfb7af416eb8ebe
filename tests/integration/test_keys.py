"""Every legal key is a key of its own, however odd, and none of them reaches what is ours."""

from pathlib import Path
from urllib.parse import quote

import pytest
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused, lacks, refused
from tests.integration.wire import Wire
from tests.support.server import Server

ODD = [
    "a",
    "a/b",
    "a/b/c",
    "a//b",
    "a/",
    "a/b/",
    "/a",
    "//a",
    "/",
    "//",
    ".",
    "..",
    "../a",
    "a/..",
    "a/../b",
    "a/./b",
    "./a",
    ".hidden",
    "..a",
    "a..",
    "dir/.file",
    "emoji-🚀/ключ/鍵",
    "e\u0301",
    "\u00e9",
    "100%",
    "%41",
    "%2F",
    "a%2fb",
    "a+b",
    "a b",
    " ",
    " leading and trailing ",
    "<&>\"'",
    "a\\b",
    "a:b*c?d|e",
    "a#b?c=d&e",
    "\x01",
    "tab\there",
    "line\nfeed",
    "\r",
    "\x7f",
    "x" * 255,
    "x" * 256,
    "x" * 1024,
    "y/" * 512,
    "ü" * 512,
    "CON",
    "Upper",
    "upper",
    "reference.bin",
    "a.delta",
    ".dg/thing",
    ".deltaglider",
    ".deltaglider/",
    ".deltaglider/v1",
    ".deltaglider/v1/refs/x",
    ".deltaglider/config.db",
    ".deltaglider-trash",
    "~",
    "\uffff",
    "\U0010ffff",
]


def in_order(keys: list[str]) -> list[str]:
    return sorted(keys, key=lambda key: key.encode())


def is_no_xml(key: str) -> bool:
    """A document cannot name such a key, and line ends in it would change on the way."""
    return any(character in "\x01\uffff\r\n" for character in key)


def test_all_of_them_side_by_side(s3: S3Client, bucket: str) -> None:
    for key in ODD:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in ODD:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
    listed = s3.list_objects_v2(Bucket=bucket)
    assert [entry["Key"] for entry in listed["Contents"]] == in_order(ODD)
    for entry in listed["Contents"]:
        assert entry["Size"] == len(entry["Key"].encode())
    for key in ODD:
        copy = f"copies/{ODD.index(key)}"
        s3.copy_object(Bucket=bucket, Key=copy, CopySource={"Bucket": bucket, "Key": key})
        assert s3.get_object(Bucket=bucket, Key=copy)["Body"].read() == key.encode(), key
        s3.delete_object(Bucket=bucket, Key=copy)
    gone = ODD[::2]
    for key in gone:
        s3.delete_object(Bucket=bucket, Key=key)
    left = ODD[1::2]
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == in_order(left)
    for key in left:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
    for key in filter(is_no_xml, left):
        s3.delete_object(Bucket=bucket, Key=key)
    named = [key for key in left if not is_no_xml(key)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in named]})
    assert len(answer["Deleted"]) == len(named)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.delete_bucket(Bucket=bucket)


def test_they_survive_a_restart(server: Server, s3: S3Client, bucket: str) -> None:
    for key in ODD:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"n": str(len(key))})
    server.restart()
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == in_order(ODD)
    for key in ODD:
        found = s3.get_object(Bucket=bucket, Key=key)
        assert (found["Body"].read(), found["Metadata"]) == (key.encode(), {"n": str(len(key))})


@pytest.mark.parametrize("key", [".deltaglider/v1/first/x", ".deltaglider/v1/refs/", "../.deltaglider/host.lock"])
def test_no_key_reaches_what_is_ours(server: Server, s3: S3Client, bucket: str, key: str) -> None:
    data = b"similar" * 40_000
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"app-{number}", Body=data + bytes([number]))
    before = our_files(server)
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key=key)
    s3.delete_object(Bucket=bucket, Key=key)
    s3.put_object(Bucket=bucket, Key=key, Body=b"mine")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"mine"
    assert before <= our_files(server)
    for number in range(3):
        assert s3.get_object(Bucket=bucket, Key=f"app-{number}")["Body"].read() == data + bytes([number])
    s3.delete_object(Bucket=bucket, Key=key)
    assert before <= our_files(server)


def our_files(server: Server) -> set[Path]:
    """References, which stay, and the lock of the data directory."""
    return {path for path in server.data.rglob("*") if "refs" in path.parts or path.name == "host.lock"}


def test_internal_names_are_in_no_listing(s3: S3Client, bucket: str) -> None:
    data = b"similar" * 40_000
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"app-{number}", Body=data + bytes([number]))
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    keys = [f"app-{number}" for number in range(3)]
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == keys
    assert [e["Key"] for e in s3.list_object_versions(Bucket=bucket)["Versions"]] == keys
    assert lacks(s3.list_objects_v2(Bucket=bucket, Delimiter="/"), "CommonPrefixes")
    assert s3.list_objects_v2(Bucket=bucket, Prefix=".deltaglider")["KeyCount"] == 0
    assert s3.list_objects_v2(Bucket=bucket, Prefix=".deltaglider/v1/")["KeyCount"] == 0


@pytest.mark.parametrize(("key", "code"), [("x" * 1025, "KeyTooLongError"), ("ü" * 513, "KeyTooLongError")])
def test_keys_have_a_limit_in_bytes(s3: S3Client, bucket: str, key: str, code: str) -> None:
    with refused(code, 400):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    with refused(code, 400):
        s3.get_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize(
    ("path", "code"),
    [("a%00b", "InvalidArgument"), ("%FF", "InvalidURI"), ("%C0%AF", "InvalidURI"), ("%zz", "InvalidURI")],
)
def test_paths_that_are_no_keys(wire: Wire, bucket: str, path: str, code: str) -> None:
    check_refused(wire.request("PUT", f"/{bucket}/{path}", body=b"x"), code, 400)
    check_refused(wire.request("GET", f"/{bucket}/{path}"), code, 400)


def test_a_plus_in_a_path_is_a_plus(wire: Wire, s3: S3Client, bucket: str) -> None:
    assert wire.request("PUT", f"/{bucket}/a+b", body=b"plus").status == 200
    assert s3.get_object(Bucket=bucket, Key="a+b")["Body"].read() == b"plus"
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="a b")


def test_a_path_is_decoded_once(wire: Wire, s3: S3Client, bucket: str) -> None:
    assert wire.request("PUT", f"/{bucket}/{quote('%41', safe='')}", body=b"escaped").status == 200
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="A")
    assert s3.get_object(Bucket=bucket, Key="%41")["Body"].read() == b"escaped"


def test_folder_markers_may_have_a_body_and_deleting_one_deletes_nothing_else(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="dir/", Body=b"")
    s3.put_object(Bucket=bucket, Key="dir/file", Body=b"x")
    s3.put_object(Bucket=bucket, Key="full/", Body=b"content")
    assert s3.get_object(Bucket=bucket, Key="full/")["Body"].read() == b"content"
    s3.delete_object(Bucket=bucket, Key="dir/")
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["dir/file", "full/"]
