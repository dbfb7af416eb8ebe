from collections.abc import Callable

import pytest
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.model import service
from deltaglider_proxy.s3.protocol.xml_in import (
    DeleteItem,
    PartItem,
    check_acl,
    parse_complete_upload,
    parse_create_bucket,
    parse_delete,
    parse_tagging,
    parse_versioning,
)
from deltaglider_proxy.s3.protocol.xml_out import access_control_policy

XML_TEXT = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), min_size=1, max_size=30
)
NS = b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def serialized(operation: str, **parameters: object) -> bytes:
    """The body that botocore sends."""
    serializer = create_serializer("rest-xml", include_validation=True)
    request = serializer.serialize_to_request({"Bucket": "b", **parameters}, service().operation_model(operation))
    body = request["body"]
    assert isinstance(body, bytes)
    return body


@given(st.lists(XML_TEXT, min_size=1, max_size=5), st.booleans())
def test_delete_as_botocore_sends_it(keys: list[str], quiet: bool) -> None:
    objects = [{"Key": key} for key in keys]
    parsed = parse_delete(serialized("DeleteObjects", Delete={"Objects": objects, "Quiet": quiet}))
    assert parsed.items == tuple(DeleteItem(key) for key in keys)
    assert parsed.quiet is quiet


def test_delete_with_conditions() -> None:
    objects = [{"Key": "k", "VersionId": "null", "ETag": '"e"'}]
    assert parse_delete(serialized("DeleteObjects", Delete={"Objects": objects})).items == (
        DeleteItem("k", "null", '"e"'),
    )


def test_complete_as_botocore_sends_it() -> None:
    parts = [{"PartNumber": n, "ETag": f'"{n:032x}"', "ChecksumCRC32C": "AAAAAA=="} for n in (1, 2, 9)]
    body = serialized("CompleteMultipartUpload", Key="k", UploadId="u", MultipartUpload={"Parts": parts})
    assert parse_complete_upload(body) == tuple(PartItem(n, f"{n:032x}", "CRC32C", "AAAAAA==") for n in (1, 2, 9))


def test_tagging_as_botocore_sends_it() -> None:
    tags = [{"Key": "a b", "Value": "ü"}, {"Key": "c", "Value": ""}]
    assert parse_tagging(serialized("PutObjectTagging", Key="k", Tagging={"TagSet": tags})) == {"a b": "ü", "c": ""}
    assert parse_tagging(serialized("PutObjectTagging", Key="k", Tagging={"TagSet": []})) == {}


def test_configurations_as_botocore_sends_them() -> None:
    body = serialized("CreateBucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert parse_create_bucket(body) == "eu-west-1"
    assert parse_create_bucket(b" \n") is None
    body = serialized("PutBucketVersioning", VersioningConfiguration={"Status": "Suspended"})
    assert parse_versioning(body) == "Suspended"


@pytest.mark.parametrize("namespace", [b"", NS, b' xmlns="http://example.com/"'])
@pytest.mark.parametrize("declaration", [b"", b'<?xml version="1.0" encoding="UTF-8"?>\n'])
def test_any_namespace_and_none(namespace: bytes, declaration: bytes) -> None:
    body = declaration + b"<Delete%s><!-- c --><Object><Key>a<!-- c -->b</Key><X>1</X></Object></Delete>" % namespace
    assert parse_delete(body).items == (DeleteItem("ab"),)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (c, b"&%c;" % (c - 1) * 10) for c in b"bcdefghij")
    + b"]><Delete><Object><Key>&j;</Key></Object></Delete>"
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"text",
        b"<Delete>",
        b"<Delete></Delete>",
        b"<Other><Object><Key>k</Key></Object></Other>",
        b"<Delete><Object></Object></Delete>",
        b"<Delete><Object><Key><b/></Key></Object></Delete>",
        b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        b"<Delete><Quiet>maybe</Quiet><Object><Key>k</Key></Object></Delete>",
        b"<Delete>%s</Delete>" % (b"<Object><Key>k</Key></Object>" * 1001),
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
        b"<Delete><Object><Key>&#0;</Key></Object></Delete>",
        b"<Delete><Object><Key>&unknown;</Key></Object></Delete>",
        b"<!DOCTYPE Delete><Delete><Object><Key>k</Key></Object></Delete>",
        b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete><Object><Key>k</Key></Object></Delete>',
        b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>',
        BOMB,
        BOMB.decode().encode("utf-16"),
        b"<a>" * 5000,
    ],
)
def test_malformed(body: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse_delete(body)
    assert caught.value.code is Code.MalformedXML


def complete(*parts: bytes) -> bytes:
    return b"<CompleteMultipartUpload>%s</CompleteMultipartUpload>" % b"".join(
        b"<Part>%s</Part>" % part for part in parts
    )


@pytest.mark.parametrize(
    ("parser", "body", "code"),
    [
        (parse_complete_upload, complete(), Code.MalformedXML),
        (parse_complete_upload, complete(b"<PartNumber>1</PartNumber>"), Code.MalformedXML),
        (parse_complete_upload, complete(b"<ETag>a</ETag>"), Code.MalformedXML),
        (parse_complete_upload, complete(b"<PartNumber>x</PartNumber><ETag>a</ETag>"), Code.MalformedXML),
        (parse_complete_upload, complete(b"<PartNumber>0</PartNumber><ETag>a</ETag>"), Code.MalformedXML),
        (parse_complete_upload, complete(b"<PartNumber>-1</PartNumber><ETag>a</ETag>"), Code.MalformedXML),
        (parse_complete_upload, complete(*[b"<PartNumber>1</PartNumber><ETag>a</ETag>"] * 2), Code.InvalidPartOrder),
        (parse_tagging, b"<Tagging/>", Code.MalformedXML),
        (parse_tagging, b"<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>", Code.MalformedXML),
        (parse_tagging, b"<Tagging><TagSet><Tag><Key/><Value/></Tag></TagSet></Tagging>", Code.InvalidTag),
        (parse_create_bucket, b"nonsense", Code.MalformedXML),
        (parse_versioning, b"<VersioningConfiguration/>", Code.MalformedXML),
        (
            parse_versioning,
            b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>",
            Code.MalformedXML,
        ),
        (
            parse_versioning,
            b"<VersioningConfiguration><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
            Code.NotImplemented,
        ),
    ],
)
def test_refused(parser: Callable[[bytes], object], body: bytes, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        parser(body)
    assert caught.value.code is code


def test_a_thousand_objects_are_not_too_many() -> None:
    body = b"<Delete>%s</Delete>" % (b"<Object><Key>k</Key></Object>" * 1000)
    assert len(parse_delete(body).items) == 1000


@pytest.mark.parametrize("etag", [b'"e"', b"e", b"&quot;e&quot;", b"&amp;quot;e&amp;quot;"])
def test_etags_ignore_quotes(etag: bytes) -> None:
    (part,) = parse_complete_upload(complete(b"<PartNumber> 1 </PartNumber><ETag>%s</ETag>" % etag))
    assert part == PartItem(1, "e")


def test_acl_of_the_owner() -> None:
    owner = {"ID": "o"}
    full = {"Grantee": {"Type": "CanonicalUser", "ID": "o"}, "Permission": "FULL_CONTROL"}
    check_acl(b"")
    check_acl(access_control_policy())
    check_acl(serialized("PutBucketAcl", AccessControlPolicy={"Owner": owner, "Grants": [full]}))
    everyone = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
    for grant in (
        {**full, "Permission": "READ"},
        {**full, "Grantee": {"Type": "CanonicalUser", "ID": "other"}},
        {**full, "Grantee": everyone},
    ):
        with pytest.raises(S3Error) as caught:
            check_acl(serialized("PutBucketAcl", AccessControlPolicy={"Owner": owner, "Grants": [full, grant]}))
        assert caught.value.code is Code.AccessControlListNotSupported


@pytest.mark.parametrize(
    ("checksums", "said"),
    [
        ("<ChecksumCRC32>AAAA</ChecksumCRC32>", "CRC32:AAAA;"),
        ("<ChecksumSHA1>not base64</ChecksumSHA1>", "SHA1:not base64;"),
        (
            "<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>",
            "CRC32:AAAAAA==;CRC32C:AAAAAA==;",
        ),
    ],
)
def test_what_is_no_checksum_of_a_part(checksums: str, said: str) -> None:
    part = f"<Part><PartNumber>1</PartNumber><ETag>e</ETag>{checksums}</Part>"
    with pytest.raises(S3Error) as caught:
        parse_complete_upload(f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode())
    assert caught.value.code is Code.InvalidArgument
    assert caught.value.fields == {"ArgumentName": "Checksum", "ArgumentValue": said}
