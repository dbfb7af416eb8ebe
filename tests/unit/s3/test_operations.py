import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.authorize import Action
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.model import service
from deltaglider_proxy.s3.protocol.operations import (
    OPERATIONS,
    BodyKind,
    Level,
    Operation,
    check_parameters,
    match,
)
from deltaglider_proxy.s3.protocol.request import Request, parse_request


def request(method: str, target: str, *headers: bytes) -> Request:
    path, _, query = target.partition("?")
    return parse_request(method, path.encode(), query.encode(), [(name, b"bucket/key") for name in headers])


COPY = b"x-amz-copy-source"


@pytest.mark.parametrize(
    ("method", "target", "headers", "name"),
    [
        ("GET", "/", (), "ListBuckets"),
        ("GET", "/?x-id=ListBuckets&prefix=a", (), "ListBuckets"),
        ("HEAD", "/", (), "HeadService"),
        ("GET", "/bucket", (), "ListObjects"),
        ("GET", "/bucket?prefix=a&delete-marker=1", (), "ListObjects"),
        ("GET", "/bucket/?list-type=2", (), "ListObjectsV2"),
        ("GET", "/bucket?versions&prefix=a", (), "ListObjectVersions"),
        ("GET", "/bucket?uploads", (), "ListMultipartUploads"),
        ("GET", "/bucket?delimiter=%2F&id=7", (), "ListObjects"),
        ("HEAD", "/bucket", (), "HeadBucket"),
        ("PUT", "/bucket", (), "CreateBucket"),
        ("DELETE", "/bucket", (), "DeleteBucket"),
        ("POST", "/bucket?delete", (), "DeleteObjects"),
        ("POST", "/bucket", (), "PostObject"),
        ("GET", "/bucket?location=", (), "GetBucketLocation"),
        ("GET", "/bucket?policy", (), "GetBucketPolicy"),
        ("GET", "/bucket?metrics", (), "ListBucketMetricsConfigurations"),
        ("GET", "/bucket?metrics&id=1", (), "GetBucketMetricsConfiguration"),
        ("GET", "/bucket/key", (), "GetObject"),
        ("GET", "/bucket/key?x-id=GetObject&response-expires=1", (), "GetObject"),
        ("GET", "/bucket/key?partNumber=1", (), "GetObject"),
        ("GET", "/bucket/key?versionId=null", (), "GetObject"),
        ("HEAD", "/bucket/key?partNumber=1", (), "HeadObject"),
        ("GET", "/bucket/key?uploadId=a", (), "ListParts"),
        ("GET", "/bucket/key?attributes", (), "GetObjectAttributes"),
        ("PUT", "/bucket/key", (), "PutObject"),
        ("PUT", "/bucket/key", (COPY,), "CopyObject"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=a", (), "UploadPart"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=a", (COPY,), "UploadPartCopy"),
        ("PUT", "/bucket/key?tagging", (), "PutObjectTagging"),
        ("POST", "/bucket/key?uploads", (), "CreateMultipartUpload"),
        ("POST", "/bucket/key?uploadId=a", (), "CompleteMultipartUpload"),
        ("DELETE", "/bucket/key?uploadId=a", (), "AbortMultipartUpload"),
        ("DELETE", "/bucket/key", (), "DeleteObject"),
        ("DELETE", "/bucket/dir/", (), "DeleteObject"),
        ("POST", "/bucket/key?select&select-type=2", (), "SelectObjectContent"),
    ],
)
def test_match(method: str, target: str, headers: tuple[bytes, ...], name: str) -> None:
    assert match(request(method, target, *headers)).name == name


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("PUT", "/", Code.MethodNotAllowed),
        ("DELETE", "/", Code.MethodNotAllowed),
        ("POST", "/bucket/key", Code.MethodNotAllowed),
        ("DELETE", "/bucket/key?acl", Code.MethodNotAllowed),
        ("DELETE", "/bucket?acl", Code.MethodNotAllowed),
        ("DELETE", "/bucket?versioning", Code.MethodNotAllowed),
        ("DELETE", "/bucket/key?delete", Code.MethodNotAllowed),
        ("PUT", "/bucket?location", Code.MethodNotAllowed),
        ("PUT", "/bucket/key?uploads", Code.MethodNotAllowed),
        ("PUT", "/bucket/key?uploadId=a", Code.MethodNotAllowed),
        ("PUT", "/bucket/key?partNumber=1", Code.InvalidArgument),
        ("DELETE", "/bucket/key?partNumber=1&uploadId=a", Code.MethodNotAllowed),
        ("GET", "/bucket?acl&policy", Code.InvalidArgument),
        ("DELETE", "/bucket/key?acl&tagging", Code.InvalidArgument),
        ("PATCH", "/bucket/key", Code.NotImplemented),
        ("BREW", "/", Code.NotImplemented),
        ("get", "/bucket/key", Code.NotImplemented),
    ],
)
def test_no_match(method: str, target: str, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        match(request(method, target))
    assert caught.value.code is code


def test_method_not_allowed_says_what_is() -> None:
    with pytest.raises(S3Error) as caught:
        match(request("POST", "/bucket/key"))
    assert caught.value.headers["allow"] == "GET, HEAD, PUT, DELETE"


SUBRESOURCES = sorted({name for row in OPERATIONS for name in row.query})


@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    st.sampled_from(["/bucket", "/bucket/key"]),
    st.lists(st.sampled_from(SUBRESOURCES), min_size=1, max_size=3, unique=True),
    st.booleans(),
)
def test_no_subresource_is_ever_ignored(method: str, path: str, names: list[str], copy: bool) -> None:
    asked = request(method, f"{path}?{'&'.join(names)}", *((COPY,) if copy else ()))
    row: Operation | None = None
    refused = 0
    try:
        row = match(asked)
    except S3Error as error:
        refused = error.status
    if row is None:
        assert refused in (400, 405)
        return
    optional = {"id"} | ({"partNumber"} if method in ("GET", "HEAD") else set())
    assert set(names) - optional == set(row.query) - optional
    assert row.method == method


def test_the_table_agrees_with_the_model() -> None:
    ours = {row.name: row for row in OPERATIONS}
    assert len(ours) == len(OPERATIONS)
    model = service()
    # Superseded spellings of one request, and requests of other endpoints.
    elsewhere = {
        "GetBucketLifecycle",
        "GetBucketNotification",
        "ListDirectoryBuckets",
        "ListObjectAnnotations",
        "PutBucketLifecycle",
        "PutBucketNotification",
        "WriteGetObjectResponse",
    }
    assert set(model.operation_names) - elsewhere == ours.keys() - {"HeadService", "PostObject"}
    for name in ours.keys() - {"HeadService", "PostObject"}:
        row, http = ours[name], model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        if name == "GetObjectLockConfiguration":
            path = "/{Bucket}"
        level = {"/": Level.SERVICE, "/{Bucket}": Level.BUCKET}.get(path, Level.OBJECT)
        assert (row.method, row.level) == (http["method"], level), name
        required = {pair.partition("=")[0] for pair in query.split("&") if pair} - {"select-type"}
        assert required <= set(row.query), name


def test_actions_follow_the_method() -> None:
    for row in OPERATIONS:
        assert row.action in set(Action), row.name
        if row.method in ("GET", "HEAD"):
            assert row.action in ("read", "list", "identified", "public"), row.name
        else:
            assert row.action in ("write", "delete", "admin"), row.name
        if row.action == "public":
            assert row.name == "HeadService"


def test_what_rows_carry() -> None:
    for row in OPERATIONS:
        assert (row.handler == "absent_configuration") == (row.absent is not None)
        assert (row.handler == "empty_configuration") == bool(row.document)
        assert row.absent is None or row.absent.status == 404
        assert (row.source_action == "read") == (COPY in row.headers)
        if row.body is BodyKind.STREAM:
            assert row.name in ("PutObject", "UploadPart")


def test_a_row_without_an_action_cannot_exist() -> None:
    with pytest.raises(ValueError, match="an action is required"):
        Operation("X", "GET", Level.BUCKET, "", "x")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ValueError, match="body_limit"):
        Operation("X", "PUT", Level.BUCKET, "write", "x", body=BodyKind.SMALL_XML)


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/bucket/key?versionId=abc", Code.NoSuchVersion),
        ("HEAD", "/bucket/key?versionId=", Code.NoSuchVersion),
        ("DELETE", "/bucket/key?versionId=abc", Code.InvalidArgument),
        ("PUT", "/bucket/key?versionId=abc", Code.InvalidArgument),
        ("GET", "/bucket?list-type=1", Code.InvalidArgument),
    ],
)
def test_parameters_that_are_not_ignored(method: str, target: str, code: Code) -> None:
    asked = request(method, target)
    with pytest.raises(S3Error) as caught:
        check_parameters(match(asked), asked)
    assert caught.value.code is code


@pytest.mark.parametrize("target", ["/bucket/key?versionId=null", "/bucket/key", "/bucket?list-type=2"])
def test_parameters_that_are_fine(target: str) -> None:
    asked = request("GET", target)
    check_parameters(match(asked), asked)
