"""Where the pages of the manual are run, and what is there before their first command."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fixtures.legacy import older
from tests.support.admin import Admin, allow
from tests.support.programs import on_path
from tests.support.server import ACCESS_KEY, PASSWORD, PASSWORD_HASH, SECRET_KEY, Server, free_port
from tests.support.storage.services.moto import moto
from tests.support.storage.services.versitygw import versitygw

FOLDER = "elsewhere"
"""Where the commands are run, in the folder that a scene is given."""


@dataclass
class Scene:
    address: str
    """Host and port of the server that the page talks to."""
    environment: dict[str, str] = field(default_factory=dict)


def _of(server: Server, **more: str) -> Scene:
    environment = {
        "SERVER": server.endpoint,
        "DGP_BOOTSTRAP_PASSWORD": PASSWORD,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return Scene(server.endpoint.removeprefix("http://"), environment | more)


@contextmanager
def a_server(folder: Path, server: Server | None = None) -> Iterator[Scene]:
    with server or Server(folder) as running:
        running.client().create_bucket(Bucket="releases")
        yield _of(running)


@contextmanager
def nothing(folder: Path) -> Iterator[Scene]:
    """The page starts its server itself."""
    address = f"127.0.0.1:{free_port()}"
    environment = {"DGP_BOOTSTRAP_PASSWORD": PASSWORD, "DGP_LISTEN_ADDR": address, "DGP_SHUTDOWN_DRAIN_SECS": "0"}
    yield Scene(address, environment)


@contextmanager
def its_host(folder: Path) -> Iterator[Scene]:
    """Commands find the files of the server, as on its host; there is a user."""
    server = Server(folder)
    with a_server(folder, server) as scene, Admin(server) as admin:
        admin.user("ana", allow("read list", "releases"))
        scene.environment |= {"DGP_CONFIG": str(server.config), "DGP_BOOTSTRAP_PASSWORD_HASH": PASSWORD_HASH}
        yield scene


@contextmanager
def a_sharing_server(folder: Path) -> Iterator[Scene]:
    with versitygw(folder / "service") as service:
        service.client().create_bucket(Bucket="shared-users")
        backend = {"type": "s3", "endpoint": service.endpoint, "allow_local": True}
        backend |= {"access_key_id": service.access_key, "secret_access_key": service.secret_key}
        storage = f"  backend: {json.dumps(backend)}".replace("{", "{{").replace("}", "}}")
        environment = {"DGP_CONFIG_SYNC_BUCKET": "shared-users"}
        with a_server(folder, Server(folder, storage=storage, environment=environment)) as scene:
            yield scene


@contextmanager
def other_service(folder: Path) -> Iterator[Scene]:
    """A service with a bucket to be taken over, beside a server that has none."""
    (folder / ".aws").mkdir()
    (folder / "service").mkdir()
    with moto(folder / "service") as service, Server(folder) as running:
        credentials = f"[old]\naws_access_key_id = {service.access_key}\naws_secret_access_key = {service.secret_key}\n"
        (folder / ".aws" / "credentials").write_text(credentials)
        client = service.client()
        client.create_bucket(Bucket="artifacts")
        first = random.Random(5).randbytes(300_000)
        for key, body in (("app-1.0.tar", first), ("app-1.1.tar", first + b"changed"), ("notes/read me.txt", b"x")):
            client.put_object(Bucket="artifacts", Key=key, Body=body, Metadata={"colour": "red"})
        yield _of(running, OLD=service.endpoint)


_OLD_CONFIGURATION = """\
listen_addr = "127.0.0.1:9000"
max_delta_ratio = 0.5

[backend]
type = "filesystem"
path = "/var/lib/deltaglider_proxy/data"
"""


@contextmanager
def older_proxy(folder: Path) -> Iterator[Scene]:
    """A folder that an older proxy has served, its configuration and its users."""
    on_path("xdelta3")
    base = random.Random(1).randbytes(300_000)
    later = base[:100_000] + b"inserted" + base[100_400:]
    data, bucket = folder / "data", "releases"
    older.lay(data, bucket, "fw/reference.bin", base, older.attribute(older.fields("fw/image.bin", base, "reference")))
    for key, body in (("fw/image-1.bin", base), ("fw/image-2.bin", later)):
        name, delta, fields = older.delta(key, base, body)
        older.lay(data, bucket, name, delta, older.attribute(fields))
    (folder / FOLDER / "old.toml").write_text(_OLD_CONFIGURATION)
    rule = {"id": 1, "effect": "Allow", "actions": ["read", "list"], "resources": ["releases/*"]}
    users = [
        {"id": number, "name": name, "access_key_id": f"AKOLD{number}", "secret_access_key": "secret-of-before", **more}
        for number, name, more in (
            (1, "ana", {"enabled": True, "permissions": [], "group_ids": [1]}),
            (2, "admin", {"enabled": True, "permissions": [{**rule, "actions": ["*"], "resources": ["*"]}]}),
        )
    ]
    groups = [{"id": 1, "name": "readers", "description": "", "permissions": [rule], "member_ids": [1]}]
    (folder / FOLDER / "iam.json").write_text(json.dumps({"version": 2, "users": users, "groups": groups}))
    storage = f"  filesystem: {{root}}/data\n  buckets:\n    {bucket}:\n      legacy_layout: true"
    with Server(folder, storage=storage) as running:
        yield _of(running, AWS_ACCESS_KEY_ID="AKOLD2", AWS_SECRET_ACCESS_KEY="secret-of-before")
