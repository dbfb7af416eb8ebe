"""Bodies in XML, read by the shapes of the AWS service model.

The parser is told to load nothing, and a document type is refused outright: no entity, however nested, is ever
expanded. Elements that the shape does not know are ignored; values of the wrong kind are MalformedXML.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from botocore.model import ListShape, Shape, StructureShape
from lxml import etree

from deltaglider_proxy.s3.protocol.checksums import SIZES, is_checksum
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.etags import unquote
from deltaglider_proxy.s3.protocol.model import structure
from deltaglider_proxy.s3.protocol.tags import MAX_OBJECT_TAGS, check_tags

Value = str | int | bool | list["Value"] | Mapping[str, "Value"]

MAX_DELETES = 1000
MAX_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class DeleteItem:
    key: str
    version: str | None = None
    etag: str | None = None
    """The object must have this tag."""


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    items: tuple[DeleteItem, ...]
    quiet: bool


@dataclass(frozen=True, slots=True)
class PartItem:
    number: int
    etag: str
    algorithm: str | None = None
    """Of the checksum, if there is one; e.g. `CRC32`."""
    checksum: str = ""
    """Base64."""


def parse_delete(body: bytes) -> DeleteRequest:
    """Raises MalformedXML, as all of these."""
    document = _parse(body, "Delete")
    items = tuple(
        DeleteItem(_text(item, "Key"), _optional(item, "VersionId"), _optional(item, "ETag"))
        for item in _structures(document, "Objects")
    )
    if not 1 <= len(items) <= MAX_DELETES:
        raise S3Error(Code.MalformedXML, f"A Delete must name 1 to {MAX_DELETES} objects, not {len(items)}.")
    return DeleteRequest(items, document.get("Quiet") is True)


def parse_complete_upload(body: bytes) -> tuple[PartItem, ...]:
    """The parts in order. Raises InvalidPartOrder, InvalidArgument, NotImplemented too."""
    parts = []
    for item in _structures(_parse(body, "CompletedMultipartUpload", "CompleteMultipartUpload"), "Parts"):
        number = item.get("PartNumber")
        if not isinstance(number, int) or not 1 <= number <= MAX_PARTS:
            raise S3Error(Code.MalformedXML, f"PartNumber must be from 1 to {MAX_PARTS}.")
        parts.append(PartItem(number, unquote(_text(item, "ETag")), *_checksum_of(item)))
    if not parts:
        raise S3Error(Code.MalformedXML, "A CompleteMultipartUpload must name at least one part.")
    if any(after.number <= before.number for before, after in pairwise(parts)):
        raise S3Error(Code.InvalidPartOrder)
    return tuple(parts)


def _checksum_of(part: Mapping[str, Value]) -> tuple[str | None, str]:
    found = {
        name.removeprefix("Checksum"): value
        for name, value in part.items()
        if name.startswith("Checksum") and isinstance(value, str)
    }
    if unknown := found.keys() - SIZES.keys():
        raise S3Error(Code.NotImplemented, f"The checksum algorithm {min(unknown)} is not implemented.")
    if len(found) > 1 or not all(is_checksum(algorithm, value) for algorithm, value in found.items()):
        said = "".join(f"{algorithm}:{value[:128]};" for algorithm, value in found.items())
        raise S3Error(
            Code.InvalidArgument,
            "Invalid Base64 or multiple checksums present in request",
            {"ArgumentName": "Checksum", "ArgumentValue": said},
        )
    return next(iter(found.items()), (None, ""))


def parse_tagging(body: bytes, most: int = MAX_OBJECT_TAGS) -> dict[str, str]:
    """Raises InvalidTag too."""
    document = _parse(body, "Tagging")
    if "TagSet" not in document:
        raise S3Error(Code.MalformedXML, "A Tagging needs a TagSet.")
    return check_tags(((_text(tag, "Key"), _text(tag, "Value")) for tag in _structures(document, "TagSet")), most)


def parse_create_bucket(body: bytes) -> str | None:
    """The location that the client wishes, if any; an empty body is the common case."""
    if not body.strip():
        return None
    return _optional(_parse(body, "CreateBucketConfiguration"), "LocationConstraint")


def parse_versioning(body: bytes) -> str:
    """`Enabled` or `Suspended`. Raises NotImplemented for MFA delete."""
    document = _parse(body, "VersioningConfiguration")
    if document.get("MFADelete") == "Enabled":
        raise S3Error(Code.NotImplemented, "MFA delete is not implemented.")
    status = document.get("Status")
    if status not in ("Enabled", "Suspended"):
        raise S3Error(Code.MalformedXML, "Status must be Enabled or Suspended.")
    return str(status)


def check_acl(body: bytes) -> None:
    """The body of a change of ACL, which may be empty: it must say what is so already, that the owner has everything.

    Raises AccessControlListNotSupported too.
    """
    if not body.strip():
        return
    document = _parse(body, "AccessControlPolicy")
    owner = document.get("Owner")
    owner_id = owner.get("ID") if isinstance(owner, Mapping) else None
    for grant in _structures(document, "Grants"):
        grantee = grant.get("Grantee")
        grantee_id = grantee.get("ID") if isinstance(grantee, Mapping) else None
        if grantee_id is None or grantee_id != owner_id or grant.get("Permission") != "FULL_CONTROL":
            raise S3Error(Code.AccessControlListNotSupported)


def _parse(body: bytes, shape_name: str, root_name: str = "") -> Mapping[str, Value]:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise S3Error(Code.MalformedXML) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise S3Error(Code.MalformedXML, "A document type is not allowed.")
    expected = root_name or shape_name
    if _local(root) != expected:
        raise S3Error(Code.MalformedXML, f"The root element must be {expected}.")
    return _read_structure(root, structure(shape_name))


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname


def _serialized(name: str, shape: Shape) -> str:
    return str(shape.serialization.get("name", name))


@cache
def _members(shape: StructureShape) -> Mapping[str, tuple[str, Shape, bool]]:
    """By the name of the element: the member's name, its shape, and whether it is a flattened list."""
    members = {}
    for name, member in shape.members.items():
        # A flattened list has no element of its own: its items stand among the members.
        flat = isinstance(member, ListShape) and bool(member.serialization.get("flattened"))
        members[_serialized(name, member)] = (name, member, flat)
    return members


def _read_structure(element: etree._Element, shape: StructureShape) -> Mapping[str, Value]:
    members = _members(shape)
    found: dict[str, Value] = {}
    lists: dict[str, list[Value]] = {}
    for child in element:
        known = members.get(_local(child))
        if known is None:
            continue
        name, member, flat = known
        if flat and isinstance(member, ListShape):
            lists.setdefault(name, []).append(_read(child, member.member))
        elif name in found:
            raise S3Error(Code.MalformedXML, f"The element {name} stands twice.")
        else:
            found[name] = _read(child, member)
    return {**found, **lists}


def _read(element: etree._Element, shape: Shape) -> Value:
    if isinstance(shape, StructureShape):
        return _read_structure(element, shape)
    if isinstance(shape, ListShape):
        item = _serialized("member", shape.member)
        return [_read(child, shape.member) for child in element if _local(child) == item]
    text = element.text or ""
    if len(element):
        raise S3Error(Code.MalformedXML, f"The element {_local(element)} must hold text.")
    match shape.type_name:
        case "boolean":
            if text.strip().lower() not in ("true", "false"):
                raise S3Error(Code.MalformedXML, f"{_local(element)} must be true or false.")
            return text.strip().lower() == "true"
        case "integer" | "long":
            digits = text.strip()
            if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
                raise S3Error(Code.MalformedXML, f"{_local(element)} must be a number.")
            return int(digits)
        case _:
            return text


def _structures(document: Mapping[str, Value], name: str) -> list[Mapping[str, Value]]:
    items = document.get(name, [])
    assert isinstance(items, list)
    return [item for item in items if isinstance(item, Mapping)]


def _text(item: Mapping[str, Value], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise S3Error(Code.MalformedXML, f"An element {name} is missing.")
    return value


def _optional(item: Mapping[str, Value], name: str) -> str | None:
    value = item.get(name)
    return value if isinstance(value, str) else None
