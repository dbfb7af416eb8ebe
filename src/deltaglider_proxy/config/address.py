"""Addresses to listen on, and IP addresses and networks in rules; numeric only, so that nothing here asks the DNS."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import override

_PATTERN = r"([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"
_SHAPE = re.compile(r"(?:(?P<v4>[0-9.]+)|\[(?P<v6>[0-9A-Fa-f:.]+)\]):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class ListenAddress:
    host: str
    """Numeric, without brackets."""
    port: int
    """0 lets the system choose."""

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """Raises ValueError."""
        remedy = "must be IP:PORT, such as 127.0.0.1:9000 or [::1]:9000"
        match = _SHAPE.fullmatch(text)
        if match is None or int(match["port"]) > 65535:
            raise ValueError(remedy)
        try:
            host = ipaddress.IPv4Address(match["v4"]) if match["v4"] else ipaddress.IPv6Address(match["v6"])
        except ValueError:
            raise ValueError(remedy) from None
        return cls(str(host), int(match["port"]))

    @override
    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{_PATTERN}$"}

    @classmethod
    def _validate(cls, value: object) -> "ListenAddress":
        if isinstance(value, ListenAddress):
            return value
        return cls.parse(value if isinstance(value, str) else "")


def _ip(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address") from None
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be an IP address or a network such as 10.0.0.0/8") from None
    return text


IpText = Annotated[str, AfterValidator(_ip)]
"""Kept as written."""

NetworkText = Annotated[str, AfterValidator(_network)]
"""An address or a network, kept as written; bits below the mask do not count."""
