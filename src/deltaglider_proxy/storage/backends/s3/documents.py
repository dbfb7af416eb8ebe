"""The XML that S3 answers with and takes, as far as this backend needs it.

Elements are found by their local names: services disagree about the namespace. The answers come over a network from
somebody else's program, so no entity is resolved and nothing is fetched.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from lxml import etree

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Malformed(Exception):
    """The answer is not the XML that it should be."""


def parse(body: bytes) -> etree._Element:
    """The root element. Raises Malformed."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Malformed(f"an answer is no XML: {error}") from error


def local(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2]


def children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    return (child for child in element if local(child) == name)


def text(element: etree._Element, name: str) -> str | None:
    """The text of the first child with this name; None if there is none."""
    for child in children(element, name):
        return child.text or ""
    return None


def required(element: etree._Element, name: str) -> str:
    """Raises Malformed."""
    found = text(element, name)
    if found is None:
        raise Malformed(f"an answer {local(element)!r} has no {name}")
    return found


def error_of(body: bytes) -> tuple[str, str]:
    """Code and message of an error document; empty where the body is none."""
    return detail(body, "Code"), detail(body, "Message")


def detail(body: bytes, name: str) -> str:
    """What an error document says under this name; empty if it says nothing, or is none."""
    if not body.lstrip().startswith(b"<"):
        return ""
    try:
        root = parse(body)
    except Malformed:
        return ""
    return text(root, name) or "" if local(root) == "Error" else ""


def timestamp(value: str) -> float:
    """Of the form in listings, as whole seconds, which is all that headers have. Raises Malformed."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise Malformed(f"{value!r} is no timestamp") from error
    return float(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))


def etag(value: str) -> str:
    """Without its quotes."""
    return value.removeprefix("W/").strip('"')


def create_bucket(region: str) -> bytes:
    """Empty for us-east-1, which is not named."""
    if region in ("", "us-east-1"):
        return b""
    return (
        f'<CreateBucketConfiguration xmlns="{_NAMESPACE}"><LocationConstraint>{escape(region)}</LocationConstraint>'
        f"</CreateBucketConfiguration>"
    ).encode()


def complete_upload(etags: Sequence[str]) -> bytes:
    """The parts 1, 2, … of an upload."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(value)}&quot;</ETag></Part>"
        for number, value in enumerate(etags, 1)
    )
    return f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{parts}</CompleteMultipartUpload>'.encode()
