"""Signing a request again after a field was taken out of its head, as only who knows the secret can.

Nothing else of the signature changes: its date, scope and digest of the body stay. A body in signed chunks cannot be
kept valid, because each chunk's signature continues that of the head. Source: AWS Signature Version 4 for S3,
"Authenticating Requests: Using the Authorization Header".
"""

import hashlib
import hmac
import re
from dataclasses import replace
from urllib.parse import urlsplit

from tests.support.storage.services.http1 import Head

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+), *SignedHeaders=([^,]+), *Signature=([0-9a-f]+)"
)


def signature(head: Head, secret_key: str, scope: str, names: list[str]) -> str:
    """In hex. `scope` is DATE/REGION/SERVICE/aws4_request; `names` are the signed fields in lower case, sorted."""
    parts = urlsplit(head.target)
    query = "&".join(sorted(pair if "=" in pair else f"{pair}=" for pair in parts.query.split("&") if pair))
    fields = "".join(f"{name}:{' '.join((head.get(name) or '').split())}\n" for name in names)
    payload = head.get("x-amz-content-sha256") or "UNSIGNED-PAYLOAD"
    canonical = "\n".join([head.method, parts.path, query, fields, ";".join(names), payload])
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{head.get('x-amz-date')}\n{scope}\n{digest}"
    key = f"AWS4{secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def signed_again(head: Head, secret_key: str) -> Head:
    """A signature over those of its signed fields that are left. A head that is not signed comes back as it is."""
    found = _AUTHORIZATION.fullmatch(head.get("authorization") or "")
    if found is None:
        return head
    access_key, scope, listed, _ = found.groups()
    names = [name for name in listed.split(";") if head.get(name) is not None]
    made = signature(head, secret_key, scope, names)
    value = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={made}"
    fields = tuple((name, value if name.lower() == "authorization" else old) for name, old in head.fields)
    return replace(head, fields=fields)
