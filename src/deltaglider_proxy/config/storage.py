"""`storage`: backends, and what holds for each bucket."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel

from deltaglider_proxy.config import backends, encryption, lifecycle, replication
from deltaglider_proxy.config.backends import (
    Backend,
    FilesystemBackend,
    NamedBackend,
    environment_suffix,
)
from deltaglider_proxy.config.bucket_names import REMEDY, is_bucket_name
from deltaglider_proxy.config.encryption import Encryption, Unencrypted
from deltaglider_proxy.config.findings import Finding, Keys, dropped, error, info, warning
from deltaglider_proxy.config.lifecycle import Lifecycle
from deltaglider_proxy.config.model import Many, Model, Uint
from deltaglider_proxy.config.replication import Replication
from deltaglider_proxy.config.secret import Secret

SINGLETON = "default"
"""Name of the backend that `storage.backend` defines."""


class BucketShorthands(Model):
    public: bool | None = None
    """true: everyone may read the whole bucket."""


class BucketPolicy(Model):
    shorthands: ClassVar[type[BaseModel] | None] = BucketShorthands

    compression: bool | None = None
    """false: store every object as it is."""
    max_delta_ratio: float | None = None
    """Overrides advanced.max_delta_ratio; 0 to 1."""
    backend: str | None = None
    """Name of the backend that holds the bucket; the default backend if absent."""
    alias: str | None = None
    """Name of the bucket on the backend, if it is another one."""
    public_prefixes: Many[str] = ()
    """Everyone may read keys below these; each ends with `/`, and the empty one means the whole bucket."""
    quota_bytes: Uint | None = None
    """Uploads are refused beyond this many bytes; 0 refuses all."""
    replication_target_only: bool = False
    """Only replication writes here; clients get 403."""
    deltaspace: Literal["family", "prefix"] = "family"
    """Which objects may share a reference: those that look alike, or those below one prefix."""
    legacy_layout: bool = False
    """The bucket may hold objects in the layout of an older proxy."""

    @property
    def readable_prefixes(self) -> tuple[str, ...]:
        """The public prefixes as keys begin: without a leading `/`, sorted, each once."""
        return tuple(sorted({prefix.lstrip("/") for prefix in self.public_prefixes}))


class StorageShorthands(Model):
    s3: str | None = None
    """URL of an S3 service, as the only backend."""
    filesystem: str | None = None
    """A directory, as the only backend."""
    region: str | None = None
    """With s3: its region."""
    force_path_style: bool | None = None
    """With s3: put the bucket into the path."""
    access_key_id: str | None = None
    """With s3: its key id."""
    secret_access_key: Secret | None = None
    """With s3: its secret."""


class Storage(Model):
    shorthands: ClassVar[type[BaseModel] | None] = StorageShorthands

    backend: Backend = FilesystemBackend(type="filesystem", path="./data")
    """The only backend, with the name default; unused when backends are listed."""
    backend_encryption: Encryption = Unencrypted()
    """How the only backend is encrypted."""
    backends: Many[NamedBackend] = ()
    """Several backends."""
    default_backend: str | None = None
    """Backend of the buckets that name none; the first one if absent."""
    buckets: Mapping[str, BucketPolicy] = {}
    """Policies by bucket name."""
    replication: Replication = Replication()
    """Copying objects between buckets."""
    lifecycle: Lifecycle = Lifecycle()
    """Expiring and moving objects."""


def check(storage: Storage, *, complete: bool) -> Iterator[Finding]:
    """`complete`: the environment has been applied, so what is missing now stays missing."""
    keys: Keys = ("storage",)
    yield from _check_backends(storage, keys, complete=complete)
    yield from _check_key_ids(storage, keys)
    names = {backend.name for backend in storage.backends} or {SINGLETON}
    if storage.default_backend is not None and storage.default_backend not in names:
        place = (*keys, "default_backend")
        remedy = f"use one of {', '.join(sorted(names))}"
        yield dropped(place, "no backend has this name", remedy, drop=place, value=storage.default_backend)
    for name, policy in storage.buckets.items():
        yield from _check_bucket(name, policy, names, (*keys, "buckets", name))
    yield from _check_targets(storage, keys)
    yield from replication.check(storage.replication, (*keys, "replication"))
    yield from lifecycle.check(storage.lifecycle, (*keys, "lifecycle"))


def _check_backends(storage: Storage, keys: Keys, *, complete: bool) -> Iterator[Finding]:
    if not storage.backends:
        yield from backends.check(storage.backend, (*keys, "backend"), complete=complete)
        place = (*keys, "backend_encryption")
        filesystem = isinstance(storage.backend, FilesystemBackend)
        mode = storage.backend_encryption
        yield from encryption.check(mode, place, filesystem=filesystem, complete=complete)
        return
    for field in ("backend", "backend_encryption"):
        if field in storage.model_fields_set:
            yield warning((*keys, field), "is ignored, because storage.backends is used", "remove it")
    seen: dict[str, str] = {}
    for index, backend in enumerate(storage.backends):
        place = (*keys, "backends", index)
        suffix = environment_suffix(backend.name)
        if not backend.name:
            yield error((*place, "name"), "must not be empty")
        elif backend.name in seen.values():
            yield error((*place, "name"), "another backend has this name", "rename one of them", value=backend.name)
        elif suffix in seen:
            message = f"shares its environment variables (DGP_BACKEND_{suffix}_…) with {seen[suffix]!r}"
            yield warning((*place, "name"), message, "rename one of them", value=backend.name)
        elif not suffix.isascii() or not suffix.replace("_", "").isalnum():
            message = "no environment variable can address this name"
            yield warning((*place, "name"), message, "use A-Z a-z 0-9 _ . -", value=backend.name)
        seen.setdefault(suffix, backend.name)
        yield from backends.check(backend, place, complete=complete)
        filesystem = isinstance(backend, FilesystemBackend)
        place = (*place, "encryption")
        yield from encryption.check(backend.encryption, place, filesystem=filesystem, complete=complete)


def _check_key_ids(storage: Storage, keys: Keys) -> Iterator[Finding]:
    used: list[tuple[Keys, str, Encryption]] = [
        ((*keys, "backends", index, "encryption"), backend.name, backend.encryption)
        for index, backend in enumerate(storage.backends)
    ]
    if not used:
        used = [((*keys, "backend_encryption"), SINGLETON, storage.backend_encryption)]
    known: dict[str, Secret] = {}
    for place, name, mode in used:
        for key_id, key in encryption.key_ids(name, mode):
            if known.setdefault(key_id, key) != key:
                message = f"the key id {key_id!r} already stands for another key"
                yield error(place, message, "give each key an id of its own")


def _check_bucket(name: str, policy: BucketPolicy, names: set[str], keys: Keys) -> Iterator[Finding]:
    if not is_bucket_name(name):
        yield error(keys, "is no bucket name", REMEDY)
    if policy.alias is not None and not is_bucket_name(policy.alias):
        yield error((*keys, "alias"), "is no bucket name", REMEDY, value=policy.alias)
    if policy.backend is not None and policy.backend not in names:
        remedy = f"use one of {', '.join(sorted(names))}"
        yield error((*keys, "backend"), "no backend has this name", remedy, value=policy.backend)
    if policy.max_delta_ratio is not None and not 0 <= policy.max_delta_ratio <= 1:
        place = (*keys, "max_delta_ratio")
        finding = warning(place, "is ignored, because it is outside 0 to 1", value=policy.max_delta_ratio)
        yield finding.dropping(place)
    if policy.quota_bytes == 0:
        yield info((*keys, "quota_bytes"), "the bucket is frozen: every upload is refused")
    for index, prefix in enumerate(policy.public_prefixes):
        yield from _check_prefix(prefix, (*keys, "public_prefixes", index))


def _check_prefix(prefix: str, keys: Keys) -> Iterator[Finding]:
    key = prefix.lstrip("/")
    if not prefix:
        yield warning(keys, "everyone may read the whole bucket")
    elif not key or "//" in key or "\0" in key or ".." in key.split("/"):
        remedy = "write the beginning of a key, without `..` and `//`; the empty text means the whole bucket"
        yield dropped(keys, "is no prefix", remedy, drop=keys, value=prefix)
    elif not key.endswith("/"):
        yield dropped(keys, "must end with `/`", f"write {key}/", drop=keys, value=prefix)
    elif key != prefix:
        yield warning(keys, "the leading `/` is left out, because no key begins with it", f"write {key}", value=prefix)


def _check_targets(storage: Storage, keys: Keys) -> Iterator[Finding]:
    fed = {rule.destination.bucket.lower() for rule in storage.replication.rules}
    for name, policy in storage.buckets.items():
        if not policy.replication_target_only:
            continue
        place = (*keys, "buckets", name, "replication_target_only")
        if name not in fed:
            yield warning(place, "no replication rule writes here, so nothing does")
        if any(name in (rule.bucket.lower(), *lifecycle.destinations(rule)) for rule in storage.lifecycle.rules):
            yield warning(place, "lifecycle rules change this bucket all the same")
        backend, real = policy.backend, policy.alias or name
        for other, twin in storage.buckets.items():
            same = other != name and (twin.alias or other) == real and twin.backend == backend
            if same and not twin.replication_target_only:
                yield warning(place, f"clients can still write through the bucket {other}", "mark that one too")
