"""`s3 get-bucket-acl` and `s3 put-bucket-acl`: who may do what with a bucket, as the service has it."""

import json
from collections.abc import Mapping
from typing import Final

from lxml import etree

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result
from deltaglider_proxy.cli.s3.endpoint import Endpoint
from deltaglider_proxy.cli.s3.locations import BadArgument
from deltaglider_proxy.cli.s3.plain_store import open_client
from deltaglider_proxy.storage.backends.s3 import documents
from deltaglider_proxy.storage.backends.s3.answers import meaning
from deltaglider_proxy.storage.backends.s3.client import Call
from deltaglider_proxy.storage.errors import Unavailable

CANNED: Final = ("private", "public-read", "public-read-write", "authenticated-read")
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"


async def get(endpoint: Endpoint, bucket: str) -> int:
    """Raises StorageError."""
    call = Call("GET", bucket, query={"acl": ""})
    async with open_client(endpoint) as client:
        answer = await client.read(call)
    if not answer.good:
        raise meaning(answer, call.subject, mutation=False)
    try:
        found = parse(answer.body)
    except documents.Malformed as error:
        raise Unavailable(f"{call.subject}: {error}") from error
    result(json.dumps(found, indent=2) + "\n")
    return ExitCode.OK


def parse(body: bytes) -> Mapping[str, object]:
    """An answer to GetBucketAcl. Raises documents.Malformed."""
    root = documents.parse(body)
    owner = next((_fields(each) for each in documents.children(root, "Owner")), {})
    grants = [
        {
            "Grantee": _grantee(next(documents.children(grant, "Grantee"), None)),
            "Permission": documents.required(grant, "Permission"),
        }
        for grants in documents.children(root, "AccessControlList")
        for grant in documents.children(grants, "Grant")
    ]
    return {"Owner": owner, "Grants": grants}


def _grantee(element: etree._Element | None) -> Mapping[str, str]:
    if element is None:
        raise documents.Malformed("a grant names no Grantee")
    kind = element.get(_TYPE)
    return {**({"Type": kind} if kind else {}), **_fields(element)}


def _fields(element: etree._Element) -> dict[str, str]:
    return {documents.local(child): child.text for child in element if child.text}


def check(canned: str | None, grants: Mapping[str, str]) -> None:
    """Raises BadArgument."""
    if (canned is None) == (not grants):
        raise BadArgument("give either --acl or at least one --grant-... option")
    if canned is not None and canned not in CANNED:
        raise BadArgument(f"--acl {canned}: use one of {', '.join(CANNED)}")


async def put(endpoint: Endpoint, bucket: str, canned: str | None, grants: Mapping[str, str]) -> int:
    """After `check`; `grants` by the name of the header behind `x-amz-grant-`. Raises StorageError."""
    headers = {f"x-amz-grant-{name}": grantee for name, grantee in grants.items()}
    if canned is not None:
        headers["x-amz-acl"] = canned
    async with open_client(endpoint) as client:
        await client.change(Call("PUT", bucket, query={"acl": ""}, headers=headers))
    result(f"OK: ACL updated on s3://{bucket}\n")
    return ExitCode.OK
