import pytest

from deltaglider_proxy.s3.protocol.copy_source import CopySource, Directive, parse_copy_source, parse_directive
from deltaglider_proxy.s3.protocol.errors import Code, S3Error


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"bucket/key", "key"),
        (b"/bucket/key", "key"),
        (b"bucket%2Fa%2Fb", "a/b"),
        (b"bucket/a+b%20c%25", "a+b c%"),
        (b"bucket/a%3Fb", "a?b"),
        (b"bucket/key?versionId=null", "key"),
        (b"bucket//key/", "/key/"),
        (b"bucket/" + b"k" * 1024, "k" * 1024),
    ],
)
def test_copy_sources(value: bytes, key: str) -> None:
    assert parse_copy_source({b"x-amz-copy-source": value}) == CopySource("bucket", key)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", Code.InvalidArgument),
        (b"bucket", Code.InvalidArgument),
        (b"bucket/", Code.InvalidArgument),
        (b"/bucket", Code.InvalidArgument),
        (b"bucket/key?versionId=1", Code.InvalidArgument),
        (b"bucket/key?", Code.InvalidArgument),
        (b"BUCKET/key", Code.InvalidBucketName),
        (b"bucket/%ff", Code.InvalidArgument),
        (b"bucket/a%00", Code.InvalidArgument),
        (b"bucket/" + b"k" * 1025, Code.KeyTooLongError),
        (b"arn:aws:s3:us-west-2:1:accesspoint/a/object/b", Code.NotImplemented),
    ],
)
def test_refused_copy_sources(value: bytes, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        parse_copy_source({b"x-amz-copy-source": value})
    assert caught.value.code is code


def test_directives() -> None:
    name = b"x-amz-metadata-directive"
    assert parse_directive({}, name) is Directive.COPY
    assert parse_directive({name: b"COPY"}, name) is Directive.COPY
    assert parse_directive({name: b"REPLACE"}, name) is Directive.REPLACE
    with pytest.raises(S3Error) as caught:
        parse_directive({name: b"replace"}, name)
    assert caught.value.code is Code.InvalidArgument
    assert caught.value.fields["ArgumentName"] == "x-amz-metadata-directive"
