"""Several servers, each with a database of its own, that share their users through an object of a real S3 service."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from typing_extensions import override

from tests.integration.expect import refused
from tests.support.admin import Admin, Json, allow
from tests.support.server import PASSWORD_HASH, Server
from tests.support.storage.services.service import Service
from tests.support.storage.services.versitygw import versitygw

BUCKET, KEY = "shared-users", ".deltaglider/config.db"

_STORAGE = """\
  backend:
    type: s3
    endpoint: {endpoint}
    access_key_id: {key}
    secret_access_key: {secret}
    allow_local: true"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with versitygw(tmp_path_factory.mktemp("versitygw")) as running:
        yield running


@pytest.fixture
def bucket(service: Service) -> Iterator[str]:
    """As it is before any node has used it."""
    client = service.client()
    client.create_bucket(Bucket=BUCKET)
    yield BUCKET
    for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=each["Key"])
    client.delete_bucket(Bucket=BUCKET)


@dataclass
class Fleet:
    root: Path
    service: Service
    stack: ExitStack
    servers: dict[str, Server] = field(default_factory=dict)

    def node(self, name: str, *, endpoint: str = "", workers: int = 1, poll: str = "1", **environment: str) -> Server:
        """Not started."""
        storage = _STORAGE.format(
            endpoint=endpoint or self.service.endpoint, key=self.service.access_key, secret=self.service.secret_key
        )
        root = self.root / name
        root.mkdir(exist_ok=True)
        variables = {"DGP_CONFIG_SYNC_BUCKET": BUCKET, "DGP_CONFIG_SYNC_POLL_SECS": poll, **environment}
        self.servers[name] = Server(root, workers=workers, storage=storage, environment=variables)
        return self.servers[name]

    def started(self, name: str, *, endpoint: str = "", workers: int = 1, poll: str = "1") -> "Node":
        server = self.node(name, endpoint=endpoint, workers=workers, poll=poll)
        self.stack.enter_context(server)
        return Node(server, self.stack.enter_context(Admin(server)))


@dataclass
class Node:
    server: Server
    admin: Admin

    def users(self) -> dict[str, Json]:
        return {user["name"]: user for user in self.admin.ask("GET", "/admin/users")}

    def names(self) -> set[str]:
        return set(self.users())

    def wait_for_users(self, *names: str) -> None:
        self.wait_for(lambda: self.names() == set(names))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        self.server.wait_for(condition, 40)

    def logs(self, text: str) -> bool:
        return text in self.server.log.read_text()


@pytest.fixture
def fleet(service: Service, bucket: str, tmp_path: Path) -> Iterator[Fleet]:
    del bucket
    with ExitStack() as stack:
        yield Fleet(tmp_path, service, stack)


def may_list(node: Node, user: Json, bucket: str) -> bool:
    try:
        node.server.client(user["access_key_id"], user["secret_access_key"]).list_objects_v2(Bucket=bucket)
    except ClientError:
        return False
    return True


def may_not_list(node: Node, user: Json, bucket: str) -> bool:
    return not may_list(node, user, bucket)


@pytest.mark.timeout(240)
def test_what_one_node_changes_all_take(fleet: Fleet, service: Service) -> None:
    service.client().create_bucket(Bucket="box")
    one = fleet.started("one", workers=2)
    ana = one.admin.user("ana", allow("list", "box"))
    one.wait_for(lambda: one.logs("gave what this node has changed"))
    two, three = fleet.started("two"), fleet.started("three")
    assert two.names() == three.names() == {"ana", "legacy-admin"}, "before anyone is served"
    assert may_list(two, ana, "box"), "secrets open under the keys of each node"

    made = {}
    threads = [
        threading.Thread(target=lambda n=node, k=name: made.update({k: n.admin.user(k, allow("list", "box"))}))
        for name, node in (("bea", one), ("cyd", two), ("dan", three))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everyone = ("ana", "bea", "cyd", "dan", "legacy-admin")
    for node in (one, two, three):
        node.wait_for_users(*everyone)
        for user in made.values():
            node.wait_for(partial(may_list, node, user, "box"))
    assert len({user["id"] for user in made.values()}) == 3

    two.admin.ask("PUT", f"/admin/users/{ana['id']}", {"enabled": False})
    three.admin.ask("DELETE", f"/admin/users/{made['bea']['id']}", status=204)
    for node in (one, two, three):
        node.wait_for(partial(may_not_list, node, ana, "box"))
        node.wait_for_users("ana", "cyd", "dan", "legacy-admin")
        assert may_list(node, made["cyd"], "box")
    metrics = one.admin.http.get(f"{one.server.endpoint}/_/metrics").text
    assert "deltaglider_config_sync_last_success_timestamp_seconds 1" in metrics


def test_clients_never_see_the_shared_bucket(fleet: Fleet, service: Service) -> None:
    service.client().create_bucket(Bucket="plain")
    node = fleet.started("one")
    node.wait_for(lambda: node.logs("gave what this node has changed"))
    client = node.server.client()
    assert BUCKET not in {found["Name"] for found in client.list_buckets()["Buckets"]}
    with refused("NoSuchBucket", 404):
        client.get_object(Bucket=BUCKET, Key=KEY)
    with refused("NoSuchBucket", 404):
        client.delete_object(Bucket=BUCKET, Key=KEY)
    with refused("NoSuchBucket", 404):
        client.copy_object(Bucket="plain", Key="stolen", CopySource={"Bucket": BUCKET, "Key": KEY})
    with refused("NoSuchBucket", 404):
        client.put_object(Bucket=BUCKET, Key=KEY, Body=b"mine")
    with refused("NoSuchBucket", 404):
        client.delete_bucket(Bucket=BUCKET)
    with refused("BucketAlreadyExists", 409):
        client.create_bucket(Bucket=BUCKET)
    data = service.client().get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
    assert not data.startswith(b"SQLite"), "it is encrypted"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_killed_writer_loses_nothing_that_it_acknowledged(fleet: Fleet) -> None:
    reader = fleet.started("reader")
    server = fleet.node("writer")
    names = ["legacy-admin"]
    server.start()
    try:
        for number in range(2):
            with Admin(server) as admin:
                admin.user(f"user-{number}", allow("list", "box"))
                names.append(f"user-{number}")
            server.kill()
            server.start()
        with Admin(server) as admin:
            writer = Node(server, admin)
            assert writer.names() == set(names)
            reader.wait_for_users(*names)
            assert not list(server.root.glob("*.sync-*"))
    finally:
        server.stop()


class _Gate(socketserver.ThreadingTCPServer):
    """Leads to the service while it is open."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int) -> None:
        self.open = True
        self.links: list[socket.socket] = []
        gate = self

        class Handler(socketserver.BaseRequestHandler):
            @override
            def handle(self) -> None:
                if not gate.open:
                    return
                with socket.create_connection(("127.0.0.1", port)) as there:
                    here: socket.socket = self.request
                    gate.links += [here, there]
                    back = threading.Thread(target=_pump, args=(there, here), daemon=True)
                    back.start()
                    _pump(here, there)
                    back.join()

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def shut(self) -> None:
        self.open = False
        for link in self.links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.mark.timeout(240)
def test_a_partitioned_node_goes_on_and_comes_back(fleet: Fleet, service: Service) -> None:
    service.client().create_bucket(Bucket="parted")
    gate = _Gate(int(service.endpoint.rsplit(":", 1)[1]))
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    try:
        one = fleet.started("one")
        users = {name: one.admin.user(name, allow("list", "parted")) for name in ("ana", "bea", "cyd")}
        one.wait_for(lambda: one.logs("gave what this node has changed"))
        two = fleet.started("two", endpoint=gate.endpoint)
        two.wait_for_users("ana", "bea", "cyd", "legacy-admin")
        gate.shut()
        two.admin.user("dan", allow("list", "parted"))
        two.admin.ask("DELETE", f"/admin/users/{users['ana']['id']}", status=204)
        two.admin.ask("PUT", f"/admin/users/{users['cyd']['id']}", {"enabled": False})
        two.wait_for(lambda: two.logs("[config-sync] failed"))
        one.admin.ask("PUT", f"/admin/users/{users['ana']['id']}", {"name": "anna"})
        one.admin.ask("PUT", f"/admin/users/{users['cyd']['id']}", {"name": "cydney"})
        one.admin.ask("DELETE", f"/admin/users/{users['bea']['id']}", status=204)
        assert two.names() == {"bea", "cyd", "dan", "legacy-admin"}, "what it knows goes on to hold"
        assert two.admin.ask("POST", "/admin/config/sync-now", status=502)["code"] == "sync_failed"
        gate.open = True
        for node in (one, two):
            node.wait_for_users("cydney", "dan", "legacy-admin")
            assert node.users()["cydney"]["enabled"] is False, "nobody gets rights back by a merge"
        assert two.logs("the other change holds")
    finally:
        gate.shutdown()
        gate.server_close()


@pytest.mark.timeout(240)
def test_a_bad_or_older_copy_never_replaces_a_good_one(fleet: Fleet, service: Service) -> None:
    client = service.client()
    node = fleet.started("one")
    node.admin.user("ana", allow("list", "box"))

    def shared() -> bytes:
        return client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()

    node.wait_for(lambda: node.logs("generation=1") or node.logs("gave what"))
    old = shared()
    node.admin.user("bea", allow("list", "box"))
    node.wait_for(lambda: shared() != old)
    good = shared()
    for bad, said in ((b"", "is empty"), (b"no database at all" * 999, "cannot be opened"), (good[:8192], "is")):
        client.put_object(Bucket=BUCKET, Key=KEY, Body=bad)
        answer = node.admin.ask("POST", "/admin/config/sync-now", status=502)
        assert said in answer["detail"]
        assert node.names() == {"ana", "bea", "legacy-admin"}
        assert shared() == bad, "what is not understood is not replaced"
    client.put_object(Bucket=BUCKET, Key=KEY, Body=old)
    node.wait_for(lambda: node.logs("older than what this node has taken"))
    node.wait_for(lambda: shared() != old)
    assert node.names() == {"ana", "bea", "legacy-admin"}
    other = fleet.started("two")
    assert other.names() == {"ana", "bea", "legacy-admin"}


@pytest.mark.slow
def test_a_node_that_joins_keeps_its_own_users_aside(fleet: Fleet) -> None:
    lonely = fleet.node("two")
    with Server(lonely.root, storage="  filesystem: {root}/data") as alone, Admin(alone) as admin:
        admin.user("zoe", allow("list", "box"))
    one = fleet.started("one")
    one.admin.user("ana", allow("list", "box"))
    one.wait_for(lambda: one.logs("gave what this node has changed"))
    two = fleet.started("two")
    assert two.names() == {"ana", "legacy-admin"}
    assert (lonely.root / "deltaglider_config.db.before-sync").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_an_end_of_sessions_is_shared_at_once(fleet: Fleet) -> None:
    one, two = fleet.started("one", poll="3600"), fleet.started("two", poll="3600")
    two.admin.ask("GET", "/admin/users")
    answer = one.admin.ask("POST", "/admin/sessions/revoke-user", {"identity": "somebody"})
    assert answer["pushed"] is True
    assert answer["propagation_bound_secs"] == 3600
    assert two.admin.ask("POST", "/admin/config/sync-now") == {
        "downloaded": True,
        "status": "took what other nodes have changed",
    }
    assert two.admin.ask("POST", "/admin/config/sync-now")["downloaded"] is False


@pytest.mark.slow
def test_another_bootstrap_hash_is_refused_at_the_start(fleet: Fleet) -> None:
    one = fleet.started("one")
    one.wait_for(lambda: one.logs("gave what this node has changed"))
    other = PASSWORD_HASH[:-1] + "x"
    code, log = fleet.node("two", DGP_BOOTSTRAP_PASSWORD_HASH=other).refused_start()
    assert code == 1
    assert "all nodes need the same bootstrap password hash" in log


def test_what_cannot_be_shared_is_said(tmp_path: Path) -> None:
    with Server(tmp_path, environment={"DGP_CONFIG_SYNC_BUCKET": "anything"}) as server, Admin(server) as admin:
        assert "the default backend is a local directory" in server.log.read_text()
        assert admin.ask("POST", "/admin/config/sync-now", status=404)["code"] == "sync_off"


def test_a_bucket_that_is_not_there(service: Service, tmp_path: Path) -> None:
    with ExitStack() as stack:
        code, log = Fleet(tmp_path, service, stack).node("one").refused_start()
    assert code == 1
    assert "advanced.config_sync_bucket: shared-users/.deltaglider/config.db cannot be used yet" in log
