"""What clients may ask of this server that S3 does not know. Nothing of it is ever done to who did not ask."""

from collections.abc import Mapping

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.request import Request

_RECURSIVE = b"x-deltaglider-recursive"


def asks_recursive(request: Request) -> bool:
    """Whether a DELETE is meant for everything below its key: by a header, or by the parameter `recursive`.

    Without either, a key that ends in a slash is one object, which tools delete as a matter of course. Raises
    InvalidArgument for a value that is neither true nor false, and for a key that ends in no slash: `logs` is not meant
    to take `logs-2` with it.
    """
    said = request.header(_RECURSIVE) or request.parameters.get("recursive", "false")
    wanted = said.lower()
    if wanted not in ("true", "false"):
        raise _invalid("must be true or false.", said)
    if wanted == "true" and not request.key.endswith("/"):
        raise _invalid("needs a key that ends in a slash.", said)
    return wanted == "true"


def _invalid(rule: str, said: str) -> S3Error:
    name = _RECURSIVE.decode()
    return S3Error(Code.InvalidArgument, f"{name} {rule}", {"ArgumentName": name, "ArgumentValue": said[:256]})


def shown_metadata(kind: str, size: int, stored_size: int, user: Mapping[str, str]) -> dict[str, str]:
    """What a listing with `metadata=true` says of an object, beside what any listing does."""
    own = {"x-amz-meta-dg-note": kind, "x-amz-meta-dg-file-size": str(size)}
    if kind == "delta":
        own["x-amz-meta-dg-delta-size"] = str(stored_size)
    return own | {f"x-amz-meta-user-{name}": value for name, value in user.items()}
