"""Each document is read back by botocore's own parser, with the shape that the operation has in the service model."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from urllib.parse import unquote

import pytest
from botocore.model import StructureShape
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from deltaglider_proxy.engine.model import (
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    ObjectInfo,
    PartInfo,
    UploadInfo,
)
from deltaglider_proxy.s3.protocol import xml_out
from deltaglider_proxy.s3.protocol.listing import (
    BucketsQuery,
    ListQuery,
    PartsQuery,
    decode_token,
    parse_objects_v1,
    parse_objects_v2,
    parse_uploads,
    parse_versions,
)
from deltaglider_proxy.s3.protocol.model import service
from deltaglider_proxy.s3.protocol.operations import OPERATIONS, Operation

Parsed = Mapping[str, object]

XML_KEYS = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), min_size=1, max_size=30
)
ANY_KEYS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=30)
T = 1_255_369_830.9
WHEN = datetime(2009, 10, 12, 17, 50, 30, tzinfo=UTC)
CRC = Checksum(ChecksumAlgorithm.CRC32C, "AAAAAA==")
COMPOSITE = Checksum(ChecksumAlgorithm.SHA256, "x-2", ChecksumType.COMPOSITE)
OWNER = {"ID": "deltaglider_proxy", "DisplayName": "DeltaGlider Proxy"}


def read(operation: str, body: bytes) -> Parsed:
    shape = service().operation_model(operation).output_shape
    assert isinstance(shape, StructureShape)
    response = {"status_code": 200, "headers": {}, "body": body}
    parsed = cast("dict[str, object]", create_parser("rest-xml").parse(response, shape))
    assert cast("dict[str, object]", parsed.pop("ResponseMetadata"))["HTTPStatusCode"] == 200
    assert body.startswith(xml_out.DECLARATION)
    return parsed


def info(key: str, checksum: Checksum | None = None) -> ObjectInfo:
    return ObjectInfo(key=key, size=5, etag="e", modified=T, checksum=checksum)


def rows(parsed: Parsed, name: str) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", parsed.get(name, []))


ENTRIES = (info("a<&>'\" b"), "b/", info("c", CRC))


def test_list_objects_v2() -> None:
    query = parse_objects_v2({"prefix": "p&", "delimiter": "/", "max-keys": "3", "start-after": "s<", "list-type": "2"})
    parsed = read("ListObjectsV2", xml_out.list_objects_v2("bucket", query, ENTRIES, truncated=True))
    token = parsed["NextContinuationToken"]
    assert decode_token(str(token)) == "c"
    assert {**parsed, "NextContinuationToken": ""} == {
        "Name": "bucket",
        "Prefix": "p&",
        "Delimiter": "/",
        "MaxKeys": 3,
        "KeyCount": 3,
        "StartAfter": "s<",
        "IsTruncated": True,
        "NextContinuationToken": "",
        "Contents": [
            {"Key": "a<&>'\" b", "LastModified": WHEN, "ETag": '"e"', "Size": 5, "StorageClass": "STANDARD"},
            {
                "Key": "c",
                "LastModified": WHEN,
                "ETag": '"e"',
                "ChecksumAlgorithm": ["CRC32C"],
                "ChecksumType": "FULL_OBJECT",
                "Size": 5,
                "StorageClass": "STANDARD",
            },
        ],
        "CommonPrefixes": [{"Prefix": "b/"}],
    }


def test_the_second_page_and_its_end() -> None:
    query = parse_objects_v2({"continuation-token": "raw", "fetch-owner": "true"})
    parsed = read("ListObjectsV2", xml_out.list_objects_v2("bucket", query, ENTRIES, truncated=False))
    assert parsed["ContinuationToken"] == "raw"
    assert "NextContinuationToken" not in parsed
    assert parsed["IsTruncated"] is False
    assert [row["Owner"] for row in rows(parsed, "Contents")] == [OWNER, OWNER]


def test_a_page_of_nothing() -> None:
    query = parse_objects_v2({"max-keys": "0"})
    parsed = read("ListObjectsV2", xml_out.list_objects_v2("bucket", query, (), truncated=False))
    assert parsed == {"Name": "bucket", "Prefix": "", "KeyCount": 0, "MaxKeys": 0, "IsTruncated": False}


def test_a_token_after_a_common_prefix() -> None:
    parsed = read("ListObjectsV2", xml_out.list_objects_v2("bucket", ListQuery(), ENTRIES[:2], truncated=True))
    assert decode_token(str(parsed["NextContinuationToken"])) == "b/"


def test_list_objects() -> None:
    query = parse_objects_v1({"prefix": "p", "delimiter": "/", "marker": "m&"})
    parsed = read("ListObjects", xml_out.list_objects("bucket", query, ENTRIES, truncated=True))
    assert parsed["Marker"] == "m&"
    assert parsed["NextMarker"] == "c"
    assert parsed["Delimiter"] == "/"
    assert parsed["MaxKeys"] == 1000
    assert [row["Owner"] for row in rows(parsed, "Contents")] == [OWNER, OWNER]
    last = read("ListObjects", xml_out.list_objects("bucket", ListQuery(), (), truncated=False))
    assert last == {"Name": "bucket", "Prefix": "", "Marker": "", "MaxKeys": 1000, "IsTruncated": False}


@given(st.lists(XML_KEYS, max_size=5))
def test_any_key_of_a_listing(keys: list[str]) -> None:
    entries = [info(key) for key in keys]
    for url, decode in ((False, str), (True, unquote)):
        query = ListQuery(url_encoded=url)
        parsed = read("ListObjectsV2", xml_out.list_objects_v2("bucket", query, entries, truncated=False))
        assert [decode(str(row["Key"])) for row in rows(parsed, "Contents")] == keys
        assert parsed.get("EncodingType") == ("url" if url else None)


@given(ANY_KEYS)
def test_url_encoding_carries_every_key(key: str) -> None:
    query = parse_objects_v1(
        {"prefix": key, "delimiter": key, "marker": key, "encoding-type": "url"},
    )
    parsed = read("ListObjects", xml_out.list_objects("bucket", query, [info(key), key], truncated=True))
    for name in ("Prefix", "Delimiter", "Marker", "NextMarker"):
        assert unquote(str(parsed[name])) == key
    assert unquote(str(rows(parsed, "Contents")[0]["Key"])) == key
    assert unquote(str(rows(parsed, "CommonPrefixes")[0]["Prefix"])) == key


def test_list_object_versions() -> None:
    query = parse_versions({"prefix": "p", "key-marker": "k", "version-id-marker": "null", "delimiter": "/"})
    parsed = read("ListObjectVersions", xml_out.list_object_versions("bucket", query, ENTRIES, truncated=True))
    assert parsed["KeyMarker"] == "k"
    assert parsed["VersionIdMarker"] == "null"
    assert parsed["NextKeyMarker"] == "c"
    assert parsed["NextVersionIdMarker"] == "null"
    assert rows(parsed, "Versions")[0] == {
        "Key": "a<&>'\" b",
        "VersionId": "null",
        "IsLatest": True,
        "LastModified": WHEN,
        "ETag": '"e"',
        "Size": 5,
        "Owner": OWNER,
        "StorageClass": "STANDARD",
    }
    assert rows(parsed, "CommonPrefixes") == [{"Prefix": "b/"}]


def test_list_multipart_uploads() -> None:
    plain = UploadInfo("a&", "id1", T)
    summed = UploadInfo("b", "id2", T, checksum_algorithm=ChecksumAlgorithm.SHA1, checksum_type=ChecksumType.COMPOSITE)
    query = parse_uploads({"prefix": "p", "key-marker": "k", "upload-id-marker": "u", "max-uploads": "2"})
    parsed = read("ListMultipartUploads", xml_out.list_multipart_uploads("bucket", query, (plain, summed), True))
    row = {
        "Key": "a&",
        "UploadId": "id1",
        "Initiator": OWNER,
        "Owner": OWNER,
        "StorageClass": "STANDARD",
        "Initiated": WHEN,
    }
    assert rows(parsed, "Uploads") == [
        row,
        {**row, "Key": "b", "UploadId": "id2", "ChecksumAlgorithm": "SHA1", "ChecksumType": "COMPOSITE"},
    ]
    assert parsed["NextKeyMarker"] == "b"
    assert parsed["NextUploadIdMarker"] == "id2"
    assert parsed["MaxUploads"] == 2
    parsed = read("ListMultipartUploads", xml_out.list_multipart_uploads("bucket", query, (plain, "c/"), True))
    assert (parsed["NextKeyMarker"], parsed["NextUploadIdMarker"]) == ("c/", "")
    assert rows(parsed, "CommonPrefixes") == [{"Prefix": "c/"}]


def test_list_parts() -> None:
    upload = UploadInfo("k<", "id", T, checksum_algorithm=ChecksumAlgorithm.CRC32C)
    parts = [PartInfo(2, 7, "e", T), PartInfo(5, 8, "f", T, CRC)]
    parsed = read("ListParts", xml_out.list_parts("bucket", upload, PartsQuery("id", 1, 2), parts, True))
    assert parsed == {
        "Bucket": "bucket",
        "Key": "k<",
        "UploadId": "id",
        "PartNumberMarker": 1,
        "NextPartNumberMarker": 5,
        "MaxParts": 2,
        "IsTruncated": True,
        "Parts": [
            {"PartNumber": 2, "LastModified": WHEN, "ETag": '"e"', "Size": 7},
            {"PartNumber": 5, "LastModified": WHEN, "ETag": '"f"', "Size": 8, "ChecksumCRC32C": "AAAAAA=="},
        ],
        "Initiator": OWNER,
        "Owner": OWNER,
        "StorageClass": "STANDARD",
        "ChecksumAlgorithm": "CRC32C",
    }


def test_list_buckets() -> None:
    body = xml_out.list_buckets([("a", T), ("b", T)], BucketsQuery("p", "", 2), next_after="b")
    row = {"Name": "a", "CreationDate": WHEN, "BucketRegion": "us-east-1"}
    assert read("ListBuckets", body) == {
        "Owner": OWNER,
        "Buckets": [row, {**row, "Name": "b"}],
        "Prefix": "p",
        "ContinuationToken": "b",
    }
    assert read("ListBuckets", xml_out.list_buckets([], BucketsQuery("", "", 2))) == {"Owner": OWNER, "Buckets": []}


def test_multipart_results() -> None:
    body = xml_out.initiate_multipart_upload("bucket", "k&", "id")
    assert read("CreateMultipartUpload", body) == {"Bucket": "bucket", "Key": "k&", "UploadId": "id"}
    body = xml_out.complete_multipart_upload("http://h/bucket/k?&", "bucket", "k&", "e-2", COMPOSITE)
    assert read("CompleteMultipartUpload", body) == {
        "Location": "http://h/bucket/k?&",
        "Bucket": "bucket",
        "Key": "k&",
        "ETag": '"e-2"',
        "ChecksumSHA256": "x-2",
        "ChecksumType": "COMPOSITE",
    }


def test_a_document_may_follow_the_declaration_and_spaces() -> None:
    body = xml_out.complete_multipart_upload("l", "bucket", "k", "e-2")
    late = xml_out.DECLARATION + b"   " + body.removeprefix(xml_out.DECLARATION)
    assert read("CompleteMultipartUpload", late) == read("CompleteMultipartUpload", body)


def test_copies() -> None:
    result = {"LastModified": WHEN, "ETag": '"e"', "ChecksumCRC32C": "AAAAAA=="}
    body = xml_out.copy_object("e", T, CRC)
    assert read("CopyObject", body) == {"CopyObjectResult": {**result, "ChecksumType": "FULL_OBJECT"}}
    assert read("UploadPartCopy", xml_out.copy_part("e", T, CRC)) == {"CopyPartResult": result}
    assert read("CopyObject", xml_out.copy_object("e", T)) == {
        "CopyObjectResult": {"LastModified": WHEN, "ETag": '"e"'}
    }


def test_delete_result() -> None:
    failures = [xml_out.DeleteFailure("c<", "AccessDenied", "no & never", "null")]
    body = xml_out.delete_result([("a&", None), ("b", "null")], failures)
    assert read("DeleteObjects", body) == {
        "Deleted": [{"Key": "a&"}, {"Key": "b", "VersionId": "null"}],
        "Errors": [{"Key": "c<", "VersionId": "null", "Code": "AccessDenied", "Message": "no & never"}],
    }
    assert read("DeleteObjects", xml_out.delete_result([], [])) == {}


def test_tagging() -> None:
    body = xml_out.tagging({"a": "1&", "b": ""})
    tags = [{"Key": "a", "Value": "1&"}, {"Key": "b", "Value": ""}]
    assert read("GetObjectTagging", body) == {"TagSet": tags}
    assert read("GetBucketTagging", xml_out.tagging({})) == {"TagSet": []}


@pytest.mark.parametrize("operation", ["GetBucketAcl", "GetObjectAcl"])
def test_access_control(operation: str) -> None:
    assert read(operation, xml_out.access_control_policy()) == {
        "Owner": OWNER,
        "Grants": [{"Grantee": {**OWNER, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}],
    }


ALL = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})


def test_object_attributes() -> None:
    body = xml_out.object_attributes(ALL, 12, "e-3", COMPOSITE, (5, 5, 2), after=1, limit=1)
    assert read("GetObjectAttributes", body) == {
        "ETag": "e-3",
        "Checksum": {"ChecksumSHA256": "x-2", "ChecksumType": "COMPOSITE"},
        "ObjectParts": {
            "TotalPartsCount": 3,
            "PartNumberMarker": 1,
            "NextPartNumberMarker": 2,
            "MaxParts": 1,
            "IsTruncated": True,
            "Parts": [{"PartNumber": 2, "Size": 5}],
        },
        "StorageClass": "STANDARD",
        "ObjectSize": 12,
    }
    assert read("GetObjectAttributes", xml_out.object_attributes(frozenset({"ObjectSize"}), 12, "e", None, ())) == {
        "ObjectSize": 12
    }


def test_bucket_documents() -> None:
    # botocore turns the empty element into None by a handler of its own, above the parser.
    assert not read("GetBucketLocation", xml_out.location_constraint()).get("LocationConstraint")
    assert read("GetBucketVersioning", xml_out.versioning(None)) == {}
    assert read("GetBucketVersioning", xml_out.versioning("Enabled")) == {"Status": "Enabled"}
    assert read("GetBucketPolicyStatus", xml_out.policy_status(True)) == {"PolicyStatus": {"IsPublic": True}}


@pytest.mark.parametrize("row", [row for row in OPERATIONS if row.document], ids=lambda row: row.name)
def test_configurations(row: Operation) -> None:
    parsed = read(row.name, xml_out.configuration(row.document))
    if row.name == "GetBucketRequestPayment":
        assert parsed == {"Payer": "BucketOwner"}
    elif row.name.startswith("List"):
        assert parsed == {"IsTruncated": False}
    else:
        assert parsed == {}


@dataclass(frozen=True)
class Hostile:
    """What a backend that we do not trust might say."""

    key: str = "k"
    size: int = 1
    etag: str = "</ETag><Owner>&\x01"
    modified: float = T
    checksum: Checksum | None = None


def test_nothing_from_outside_is_markup() -> None:
    body = xml_out.list_objects_v2(
        "bucket", ListQuery(), [Hostile(checksum=Checksum(ChecksumAlgorithm.SHA1, "</a>"))], truncated=False
    )
    assert b"<Owner>" not in body
    assert b"</a>" not in body


def test_post_response() -> None:
    root = etree.fromstring(xml_out.post_response("http://h/b/k&", "bucket", "k&", "e"))
    assert root.tag == "PostResponse"
    assert {child.tag: child.text for child in root} == {
        "Location": "http://h/b/k&",
        "Bucket": "bucket",
        "Key": "k&",
        "ETag": '"e"',
    }
