"""Policies that most people begin with."""

from dataclasses import dataclass

from deltaglider_proxy.control.model import Effect, Permission

_EVERYTHING = ("*",)


@dataclass(frozen=True, slots=True)
class Canned:
    name: str
    description: str
    permissions: tuple[Permission, ...]


def _allow(*actions: str) -> Permission:
    return Permission(Effect.ALLOW, actions, _EVERYTHING)


CANNED = (
    Canned("Full Access", "Everything, administration included", (_allow("*"),)),
    Canned("Read Only", "Read and list everything", (_allow("read", "list"),)),
    Canned("Read/Write", "Read, write and list everything", (_allow("read", "write", "list"),)),
    Canned(
        "Read/Write (No Delete)",
        "Everything but deleting",
        (_allow("*"), Permission(Effect.DENY, ("delete",), _EVERYTHING)),
    ),
)


def bucket_owner(bucket: str) -> Canned:
    """Everything in one bucket, and nothing elsewhere."""
    owned = Permission(Effect.ALLOW, ("*",), (bucket, f"{bucket}/*"))
    return Canned(f"Bucket Owner ({bucket})", f"Everything in the bucket {bucket}", (owned,))
