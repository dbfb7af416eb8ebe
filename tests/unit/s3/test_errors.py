from urllib.parse import unquote, unquote_plus

import pytest
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from deltaglider_proxy.s3.protocol.errors import Code, S3Error, error_xml
from deltaglider_proxy.s3.protocol.escape import escape, url_encode
from deltaglider_proxy.s3.protocol.model import structure

XML_TEXT = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff") | st.sampled_from("\t\r\n")
)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_is_what_botocore_reads(code: Code) -> None:
    error = S3Error(code, fields={"Key": "a<b>&\r"})
    body = error_xml(error, "/b/<k>", "REQ", "HOST")
    response = {"status_code": error.status, "headers": {}, "body": body}
    parsed = create_parser("rest-xml").parse(response, structure("GetObjectOutput"))
    assert parsed["Error"]["Code"] == code.value
    assert parsed["Error"]["Message"] == code.message
    assert parsed["Error"]["Key"] == "a<b>&\r"
    assert parsed["Error"]["Resource"] == "/b/<k>"
    assert b"<RequestId>REQ</RequestId><HostId>HOST</HostId>" in body
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == code.status


def test_status_map() -> None:
    assert Code.NoSuchKey.status == 404
    assert Code.InvalidRange.status == 416
    assert Code.QuotaExceeded.status == 403
    assert Code.InsufficientStorage.status == 507
    assert all(code.value == code.name for code in Code)


@pytest.mark.parametrize("code", [Code.SlowDown, Code.ServiceUnavailable])
def test_busy_says_when_to_come_again(code: Code) -> None:
    assert S3Error(code).headers == {"retry-after": "1"}
    assert S3Error(code, headers={"retry-after": "9"}).headers == {"retry-after": "9"}
    assert S3Error(Code.NoSuchKey).headers == {}


def test_message_and_text() -> None:
    assert S3Error(Code.InvalidArgument, "no").message == "no"
    assert str(S3Error(Code.InvalidArgument, "no")) == "InvalidArgument: no"


@given(XML_TEXT)
def test_escaped_text_comes_back(text: str) -> None:
    root = etree.fromstring(f"<a>{escape(text)}</a>".encode())
    assert (root.text or "") == text


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_nothing_raw_gets_through(text: str) -> None:
    assert not set(escape(text)) & set("<>\"'\x00\x01\x1f\r\n\ufffe")


def test_control_characters_are_references() -> None:
    assert escape("a\x01b\r\n") == "a&#1;b&#13;&#10;"


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_url_encoded_text_comes_back(text: str) -> None:
    encoded = url_encode(text)
    assert unquote(encoded) == unquote_plus(encoded) == text
    assert escape(encoded) == encoded
