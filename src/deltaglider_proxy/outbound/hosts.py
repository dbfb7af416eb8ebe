"""The host of a URL in the one form in which it will be connected to.

A filter that reads `0x7f.1` as a name while the resolver reads it as 127.0.0.1 is no filter, so every way of writing an
address becomes that address before anything is compared.

Source: https://url.spec.whatwg.org/#host-parsing, and inet_aton(3) for the forms of IPv4.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from yarl import URL

Host = str | IPv4Address | IPv6Address
"""A name in lower-case ASCII without a final dot, or an address."""

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_OCTAL: Final = re.compile(r"0[0-7]*")
_LONGEST_NAME: Final = 253


class NoHost(ValueError):
    """Says what is wrong; the text itself is not repeated."""


def parse_host(text: str) -> Host:
    """`text`: what stands between `://` and the port, with the brackets of IPv6. Raises NoHost."""
    if text.startswith("["):
        return _ipv6(text)
    name = _ascii(text).removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(labels)
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise NoHost("the host is no name that the DNS knows; write letters, digits, `-` and `.`")
    return name


def _ascii(text: str) -> str:
    if text.isascii():
        return text.lower()
    try:
        host = URL.build(scheme="https", host=text).raw_host
    except ValueError as error:
        raise NoHost("the host cannot be written in ASCII; write its `xn--` form") from error
    return (host or "").lower()


def _ipv6(text: str) -> IPv6Address:
    inner = text[1:-1]
    if not text.endswith("]") or "%" in inner:
        raise NoHost("the host is no IPv6 address in brackets; zones have no meaning here")
    try:
        return IPv6Address(inner)
    except ValueError as error:
        raise NoHost("the host is no IPv6 address") from error


def _ipv4(labels: list[str]) -> IPv4Address:
    """Up to four numbers, decimal, octal or hex, of which the last fills what the others leave."""
    numbers = [_number(label) for label in labels]
    room = 256 ** (5 - len(numbers)) if len(numbers) <= 4 else 0
    if numbers[-1] >= room or any(number > 255 for number in numbers[:-1]):
        raise NoHost("the host ends with a number and is no IPv4 address")
    value = numbers[-1]
    for position, number in enumerate(numbers[:-1]):
        value += number << (8 * (3 - position))
    return IPv4Address(value)


def _number(label: str) -> int:
    if not _NUMBER.fullmatch(label):
        raise NoHost("the host ends with a number and is no IPv4 address")
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    if label.startswith("0"):
        if not _OCTAL.fullmatch(label):
            raise NoHost("the host holds a number that begins with 0 and is not octal")
        return int(label, 8)
    return int(label)
