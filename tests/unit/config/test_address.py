import pytest
from pydantic import TypeAdapter, ValidationError

from deltaglider_proxy.config.address import IpText, ListenAddress, NetworkText


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("0.0.0.0:9000", "0.0.0.0", 9000), ("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:65535", "::1", 65535)],
)
def test_addresses(text: str, host: str, port: int) -> None:
    address = ListenAddress.parse(text)
    assert address == ListenAddress(host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "9000", ":9000", "localhost:9000", "1.2.3:9", "1.2.3.4:65536", "::1:9000", "[1.2.3.4]:9", "1.2.3.4:9 "]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="IP:PORT"):
        ListenAddress.parse(text)


def test_rules_keep_the_text() -> None:
    assert TypeAdapter(NetworkText).validate_python("10.0.0.1/8") == "10.0.0.1/8"
    assert TypeAdapter(IpText).validate_python("::ffff:1.2.3.4") == "::ffff:1.2.3.4"


@pytest.mark.parametrize("text", ["10.0.0.0/33", "host", "1.2.3.4/8/8", "1.2.3.4\0"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValidationError, match="network"):
        TypeAdapter(NetworkText).validate_python(text)
