"""What a stranger may ask for, from the bytes of the request to the decision about it."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.admission.chain import Chain, Verdict
from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.strangers import anonymous_rules
from deltaglider_proxy.s3.admission import resolve_request
from deltaglider_proxy.s3.protocol.errors import S3Error

PUBLIC = {"box": ["pub/"], "all": [""]}
CHAIN = Chain([], PUBLIC)
RULES = anonymous_rules(PUBLIC)


def allowed(method: str, path: str, query: str = "", *, signed: bool = False) -> bool:
    """Whether a stranger gets it: both the chain and what everyone may do have to agree."""
    facts = resolve_request(method, path, query, authenticated=signed, address=None)
    if CHAIN.decide(facts).verdict is not Verdict.ALLOW_ANONYMOUS:
        return False
    context = Context(now=0.0, prefix=facts.list_prefix if not facts.key else None)
    if facts.key:
        return RULES.allows("read", facts.bucket, facts.key, context)
    return RULES.allows("list", facts.bucket, "", context)


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("/box/pub/x", "", True),
        ("/box/pub/sub/x", "", True),
        ("/box/pu%62/x", "", True),
        ("/b%6Fx/pub/x", "", True),
        ("/box/pub%2Fx", "", True),
        ("/box/pub/x", "response-content-type=text/plain", True),
        ("/all/x", "", True),
        ("/box/other", "", False),
        ("/box/pub", "", False),
        ("/box/pubx", "", False),
        ("/box/publicity/x", "", False),
        ("/box/%2570ub/x", "", False),
        ("/box//pub/x", "", False),
        ("/box/PUB/x", "", False),
        ("/cat/pub/x", "", False),
        ("/box/pub/x", "acl", False),
        ("/box/pub/x", "tagging", False),
        ("/box/pub/x", "uploadId=1", False),
        ("/box/pub/x", "attributes", False),
        ("/all/x", "acl", False),
        ("/box", "prefix=pub/", True),
        ("/box", "list-type=2&prefix=pub/", True),
        ("/box", "prefix=pub%2Fsub/", True),
        ("/box", "prefix=pub", True),
        ("/box/", "prefix=pub/", True),
        ("/all", "", True),
        ("/all", "prefix=x", True),
        ("/box", "", False),
        ("/box", "prefix=", False),
        ("/box", "prefix=pu", False),
        ("/box", "prefix=publicity", False),
        ("/box", "prefix=%2570ub/", False),
        ("/box", "prefix=other/", False),
        ("/box", "uploads&prefix=pub/", False),
        ("/box", "versions&prefix=pub/", False),
        ("/all", "uploads", False),
        ("/all", "acl", False),
        ("/all", "policy", False),
        ("/", "", False),
    ],
)
def test_reads(path: str, query: str, *, wanted: bool) -> None:
    assert allowed("GET", path, query) is wanted
    assert not allowed("GET", path, query, signed=True)


def test_heads() -> None:
    assert allowed("HEAD", "/box/pub/x")
    assert not allowed("HEAD", "/box/other")


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("PUT", "/box/pub/x", ""),
        ("DELETE", "/box/pub/x", ""),
        ("POST", "/box/pub/x", "uploads"),
        ("PUT", "/all/x", ""),
        ("PUT", "/all/x", "acl"),
        ("PUT", "/all/x", "uploadId=1&partNumber=1"),
        ("POST", "/all/x", "uploadId=1"),
        ("DELETE", "/all/x", ""),
        ("PUT", "/all", ""),
        ("POST", "/all", ""),
        ("POST", "/all", "delete"),
        ("DELETE", "/all", ""),
    ],
)
def test_changes(method: str, path: str, query: str) -> None:
    assert not allowed(method, path, query)


@pytest.mark.parametrize("path", ["/BOX/pub/x", "/%42ox/pub/x", "/box%2Fpub/x"])
def test_what_names_no_bucket_is_no_request(path: str) -> None:
    with pytest.raises(S3Error):
        allowed("GET", path)


@pytest.mark.parametrize("query", ["X-Amz-Algorithm=AWS4-HMAC-SHA256", "AWSAccessKeyId=x"])
def test_credentials_in_the_address_are_credentials(query: str) -> None:
    assert not allowed("GET", "/box/pub/x", query)


@given(st.text(max_size=12).map("/".__add__), st.sampled_from(["box", "all"]))
def test_keys_are_public_by_what_they_are_and_not_by_how_they_are_written(rest: str, bucket: str) -> None:
    try:
        plain = allowed("GET", f"/{bucket}/pub{quote(rest)}")
        coded = allowed("GET", f"/{bucket}/" + "".join(f"%{byte:02X}" for byte in f"pub{rest}".encode()))
    except S3Error:
        return
    assert plain is coded is True
