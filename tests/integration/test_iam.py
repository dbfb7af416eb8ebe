"""Users, groups and rules on a real server, as S3 clients and administrators meet them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.integration.expect import refused
from tests.support.admin import Admin, Json, allow, deny
from tests.support.server import PASSWORD, Server


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("iam"), workers=request.param) as running:
        s3 = running.client()
        for bucket in ("box", "other"):
            s3.create_bucket(Bucket=bucket)
            for key in ("pub/a", "private/s", "top", "releases", "releases-internal/x"):
                s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        yield running


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server) as signed_in:
        yield signed_in


def presigned(server: Server, user: Json, key: str) -> str:
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=user["access_key_id"],
        aws_secret_access_key=user["secret_access_key"],
        config=Config(signature_version="s3v4"),
    )
    url: str = client.generate_presigned_url("get_object", Params={"Bucket": "box", "Key": key})
    return url


def keys(s3: S3Client, bucket: str = "box", prefix: str = "") -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def test_the_configured_pair_goes_on_as_a_user(server: Server, admin: Admin) -> None:
    admin.user("first", allow("read", "box/*"))
    assert {user["name"] for user in admin.ask("GET", "/admin/users")} >= {"legacy-admin", "first"}
    assert admin.ask("GET", "/whoami")["mode"] == "iam"
    assert server.client().get_object(Bucket="box", Key="top")["Body"].read() == b"top"


def test_what_rules_allow(admin: Admin) -> None:
    s3 = admin.client_of(admin.user("reader", allow("read list", "box/*")))
    assert s3.get_object(Bucket="box", Key="top")["Body"].read() == b"top"
    assert keys(s3) == ["private/s", "pub/a", "releases", "releases-internal/x", "top"]
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["box"]
    refusals: list[Callable[[], object]] = [
        lambda: s3.put_object(Bucket="box", Key="new", Body=b""),
        lambda: s3.delete_object(Bucket="box", Key="top"),
        lambda: s3.get_object(Bucket="other", Key="top"),
        lambda: s3.list_objects_v2(Bucket="other"),
        lambda: s3.copy_object(Bucket="box", Key="n", CopySource="box/top"),
        lambda: s3.create_bucket(Bucket="mine"),
        lambda: s3.create_multipart_upload(Bucket="box", Key="n"),
    ]
    for attempt in refusals:
        with refused("AccessDenied", 403):
            attempt()


def test_a_deny_hides_names_at_every_prefix_and_page(admin: Admin) -> None:
    s3 = admin.client_of(admin.user("nosy", allow("list read", "box/*"), deny("read list", "box/private/*")))
    assert keys(s3) == ["pub/a", "releases", "releases-internal/x", "top"]
    assert keys(s3, prefix="private/") == []
    listed = s3.list_objects_v2(Bucket="box", Delimiter="/")
    assert [p["Prefix"] for p in listed["CommonPrefixes"]] == ["pub/", "releases-internal/"]
    assert listed["ResponseMetadata"]["HTTPHeaders"]["x-amz-meta-dg-list-filtered"] == "true"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="box", PaginationConfig={"PageSize": 1})
    assert [o["Key"] for page in pages for o in page.get("Contents", [])] == keys(s3)
    pages_v1 = s3.get_paginator("list_objects").paginate(Bucket="box", PaginationConfig={"PageSize": 1})
    assert [o["Key"] for page in pages_v1 for o in page.get("Contents", [])] == keys(s3)
    with refused("AccessDenied", 403):
        s3.get_object(Bucket="box", Key="private/s")


def test_a_prefix_of_ones_own(admin: Admin) -> None:
    s3 = admin.client_of(admin.user("dana", allow("*", "box/home/${iam:username}/*")))
    s3.put_object(Bucket="box", Key="home/dana/x y", Body=b"1")
    assert keys(s3) == ["home/dana/x y"]
    with refused("AccessDenied", 403):
        s3.put_object(Bucket="box", Key="home/other/x", Body=b"1")
    done = s3.delete_objects(
        Bucket="box", Delete={"Objects": [{"Key": "home/dana/x y"}, {"Key": "top"}, {"Key": "home/other/z"}]}
    )
    assert [found["Key"] for found in done["Deleted"]] == ["home/dana/x y"]
    assert {(e["Key"], e["Code"]) for e in done["Errors"]} == {
        ("top", "AccessDenied"),
        ("home/other/z", "AccessDenied"),
    }


def test_the_prefix_of_a_condition_is_no_beginning_of_another_name(admin: Admin) -> None:
    condition = {"StringLike": {"s3:prefix": ["releases"]}}
    s3 = admin.client_of(admin.user("exact", allow("list", "box", conditions=condition)))
    assert keys(s3, prefix="releases") == ["releases"]
    with refused("AccessDenied", 403):
        s3.get_object(Bucket="box", Key="releases")


def test_addresses(admin: Admin) -> None:
    outside = {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}}
    s3 = admin.client_of(admin.user("inside", allow("*", "*"), deny("*", "*", conditions=outside)))
    attempts: list[Callable[[], object]] = [
        lambda: s3.get_object(Bucket="box", Key="top"),
        lambda: s3.list_objects_v2(Bucket="box"),
        lambda: s3.copy_object(Bucket="box", Key="n", CopySource="box/top"),
    ]
    for attempt in attempts:
        with refused("AccessDenied", 403):
            attempt()
    done = s3.delete_objects(Bucket="box", Delete={"Objects": [{"Key": "top"}]})
    assert [(e["Key"], e["Code"]) for e in done["Errors"]] == [("top", "AccessDenied")]
    here = {"IpAddress": {"aws:SourceIp": ["127.0.0.0/8"]}}
    near = admin.client_of(admin.user("near", allow("read", "box/*", conditions=here)))
    assert near.get_object(Bucket="box", Key="top")["Body"].read() == b"top"


def test_changes_hold_for_the_next_request(admin: Admin) -> None:
    user = admin.user("changing", allow("read", "box/*"))
    s3, path = admin.client_of(user), f"/admin/users/{user['id']}"
    assert s3.get_object(Bucket="box", Key="top")["Body"].read() == b"top"
    admin.ask("PUT", path, {"permissions": []})
    with refused("AccessDenied", 403):
        s3.get_object(Bucket="box", Key="top")
    group = admin.ask("POST", "/admin/groups", {"name": "grp", "permissions": [allow("read", "box/*")]}, 201)
    admin.ask("POST", f"/admin/groups/{group['id']}/members", {"user_id": user["id"]})
    assert s3.get_object(Bucket="box", Key="top")["Body"].read() == b"top"
    admin.ask("PUT", f"/admin/groups/{group['id']}", {"permissions": []})
    with refused("AccessDenied", 403):
        s3.get_object(Bucket="box", Key="top")
    admin.ask("PUT", f"/admin/groups/{group['id']}", {"permissions": [allow("read", "box/*")]})
    admin.ask("PUT", path, {"enabled": False})
    with refused("InvalidAccessKeyId", 403):
        s3.get_object(Bucket="box", Key="top")
    admin.ask("PUT", path, {"enabled": True})
    rotated = admin.ask("POST", f"{path}/rotate-keys")
    with refused("InvalidAccessKeyId", 403):
        s3.get_object(Bucket="box", Key="top")
    s3 = admin.client_of(rotated)
    assert s3.get_object(Bucket="box", Key="top")["Body"].read() == b"top"
    second = admin.ask("POST", f"{path}/access-keys", status=201)
    assert admin.client_of(second).get_object(Bucket="box", Key="top")["Body"].read() == b"top"
    admin.ask("PUT", f"{path}/access-keys/{second['access_key_id']}", {"enabled": False})
    with refused("InvalidAccessKeyId", 403):
        admin.client_of(second).get_object(Bucket="box", Key="top")
    assert s3.get_object(Bucket="box", Key="top")["Body"].read() == b"top"
    admin.ask("DELETE", f"/admin/groups/{group['id']}", status=204)
    with refused("AccessDenied", 403):
        s3.get_object(Bucket="box", Key="top")
    admin.ask("DELETE", path, status=204)
    with refused("InvalidAccessKeyId", 403):
        s3.get_object(Bucket="box", Key="top")


def test_a_presigned_url_has_the_rights_of_its_signer_now(admin: Admin) -> None:
    user = admin.user("signer", allow("read", "box/*"))
    url = presigned(admin.server, user, "top")
    answer = admin.http.get(url)
    assert answer.content == b"top"
    assert answer.headers["content-security-policy"] == "sandbox", "who may upload must not act as who opens a link"
    admin.ask("PUT", f"/admin/users/{user['id']}", {"enabled": False})
    assert admin.http.get(url).status_code == 403


def test_an_escaped_path_is_the_same_path(server: Server, admin: Admin) -> None:
    """A Deny must not be got round by writing the key otherwise."""
    user = admin.user("sly", allow("read", "box/*"), deny("read", "box/private/*"))
    url = presigned(server, user, "private/s")
    for path in (url, url.replace("/private/", "/%70rivate/"), url.replace("private/s", "private%2Fs")):
        assert admin.http.get(path).status_code == 403


def test_maintenance(server: Server, admin: Admin) -> None:
    s3 = server.client()
    admin.ask("PUT", "/admin/maintenance", {"enabled": True, "reason": "moving house"})
    try:
        assert s3.get_object(Bucket="box", Key="top")["Body"].read() == b"top"
        with refused("SlowDown", 503):
            s3.put_object(Bucket="box", Key="n", Body=b"")
    finally:
        admin.ask("PUT", "/admin/maintenance", {"enabled": False})
    s3.put_object(Bucket="box", Key="after", Body=b"")
    s3.delete_object(Bucket="box", Key="after")


def test_names_and_rules_that_are_refused(admin: Admin) -> None:
    for body, field in (
        ({"name": "$anonymous"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "ok", "access_key_id": "a/b"}, "access_key_id"),
        ({"name": "ok", "secret_access_key": "short"}, "secret_access_key"),
        ({"name": "ok", "unknown": 1}, "unknown"),
    ):
        answer = admin.ask("POST", "/admin/users", body, 400)
        assert (answer["code"], answer["field"]) == ("invalid_request", field)
    for rule, path in (
        ({"actions": ["fly"], "resources": ["*"]}, "permissions[0].actions[0]"),
        ({"actions": ["read"], "resources": ["a*b"]}, "permissions[0].resources[0]"),
        ({"actions": ["read"], "resources": ["a b"]}, "permissions[0].resources[0]"),
        ({"actions": ["read"], "resources": ["${nope}"]}, "permissions[0].resources[0]"),
        ({"actions": [], "resources": ["*"]}, "permissions[0].actions"),
        ({"effect": "Maybe", "actions": ["read"], "resources": ["*"]}, "permissions[0].effect"),
        (allow("read", "*", conditions={"IpAddress": {"aws:SourceIp": "nonsense"}}), ".conditions.IpAddress"),
        (allow("read", "*", conditions={"StringEqualsIgnoreCase": {"s3:prefix": "x"}}), ".conditions"),
    ):
        answer = admin.ask("POST", "/admin/users", {"name": "ok", "permissions": [rule]}, 400)
        assert answer["code"] == "invalid_permissions"
        assert path in answer["field"]
    admin.user("twice")
    assert admin.ask("POST", "/admin/users", {"name": "twice"}, 409)["field"] == "name"


def test_the_last_administrator_stays(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Server(tmp_path_factory.mktemp("last")) as server, Admin(server) as admin:
        boss = admin.user("boss", allow("*", "*"))
        legacy = next(user for user in admin.ask("GET", "/admin/users") if user["name"] == "legacy-admin")
        admin.ask("DELETE", f"/admin/users/{legacy['id']}", status=204)
        with refused("InvalidAccessKeyId", 403):
            server.client().list_buckets()
        path = f"/admin/users/{boss['id']}"
        for method, body in (("DELETE", None), ("PUT", {"enabled": False}), ("PUT", {"permissions": []})):
            assert admin.ask(method, path, body, 409)["code"] == "last_admin"
        nothing = {"name": "nothing", "permissions": [deny("*", "*")], "member_ids": [boss["id"]]}
        assert admin.ask("POST", "/admin/groups", nothing, 409)["code"] == "last_admin"
        key = f"{path}/access-keys/{boss['access_key_id']}"
        assert admin.ask("PUT", key, {"enabled": False}, 409)["code"] == "last_admin"
        admin.ask("DELETE", f"{path}?allow_open=true", status=204)
        assert admin.ask("GET", "/whoami")["mode"] == "bootstrap"
        server.client().list_buckets()
        with pytest.raises(ClientError):
            admin.client_of(boss).list_buckets()


def test_users_that_another_database_lacks_are_gone_at_once(tmp_path: Path) -> None:
    database, kept = tmp_path / "deltaglider_config.db", tmp_path / "kept.db"
    with Server(tmp_path, workers=2) as server, Admin(server) as admin:
        admin.user("boss", allow("*", "*"))
        server.stop()
        shutil.copy(database, kept)
        server.start()
        admin.ask("POST", "/admin/login", {"password": PASSWORD})
        late = admin.client_of(admin.user("late", allow("*", "*")))
        late.list_buckets()
        kept.replace(database)

        def is_refused() -> bool:
            try:
                late.list_buckets()
            except ClientError as error:
                return error.response["Error"]["Code"] == "InvalidAccessKeyId"
            return False

        # Whichever worker answers.
        server.wait_for(lambda: all(is_refused() for _ in range(8)), 20)


def test_users_are_there_after_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Server(tmp_path_factory.mktemp("restart")) as server:
        with Admin(server) as admin:
            user = admin.user("stays", allow("*", "*"))
        server.restart()
        server.client(user["access_key_id"], user["secret_access_key"]).create_bucket(Bucket="mine")
        with Admin(server) as admin:
            shown = admin.ask("GET", f"/admin/users/{user['id']}")
            assert "secret_access_key" not in shown
            assert user["secret_access_key"] not in (server.root / "server.log").read_text()
