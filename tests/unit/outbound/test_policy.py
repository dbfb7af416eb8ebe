"""Which URLs may be called, decided on the host that the connection will use, however it is written."""

from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.outbound.addresses import Kind, refusal
from deltaglider_proxy.outbound.policy import RefusedUrl, check_url

STRICT = (Kind.OIDC, Kind.WEBHOOK, Kind.BACKEND)
CORPORATE = (ip_network("10.1.0.0/16"), ip_network("fd12::/16"))


def passes(text: str, kind: Kind) -> bool:
    try:
        check_url(text, kind)
    except RefusedUrl:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "localhost.localdomain", "ip6-localhost", "ip6-loopback", "api.localhost",
        "x.internal", "x.local", "x.localdomain", "X.Internal.", "ⓛocalhost", "printer。local",
        "127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.1.",
        "１２７.0.0.1", "127。0。0。1", "0", "0x", "0.0.0.0",
        "10.0.0.1", "10.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.0.0.8", "192.0.0.9", "198.18.0.1",
        "100.64.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.51.100.1",
        "203.0.113.1", "[::]", "[::1]", "[::7f00:1]", "[fc00::1]", "[fdff::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]",
        "[2001:db8::1]", "[2001::1]", "[3fff::1]", "[::ffff:10.0.0.1]", "[::ffff:8.8.8.8]", "[::ffff:0:8.8.8.8]",
        "[64:ff9b::10.0.0.1]", "[64:ff9b:1::8.8.8.8]", "[2002:7f00:1::]", "[2002:a00:1::5]",
    ],
)  # fmt: skip
def test_what_is_not_public_is_for_local_backends_only(host: str) -> None:
    for kind in STRICT:
        with pytest.raises(RefusedUrl, match=r"not public; (set allow_local|list its network)"):
            check_url(f"https://{host}/x", kind)
    assert check_url(f"http://{host}:9000", Kind.BACKEND_DEV).port == 9000


@pytest.mark.parametrize(
    "host",
    [
        "metadata", "metadata.google.internal", "METADATA.google.internal.", "metadata.aws", "metadata.goog",
        "instance-data.ec2.internal", "169.254.169.254", "169.254.43518", "0xa9fea9fe", "2852039166",
        "0251.0376.0251.0376",
        "169。254。169。254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16",
        "[fd00:ec2::254]", "[FD00:0EC2:0::0254]", "[fd00:ec2::23]", "[fd20:ce::254]", "[::ffff:a9fe:a9fe]",
        "[::ffff:169.254.169.254]", "[::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]", "[2002:a83f:8110::1]", "[64:ff9b::100.100.100.200]",
    ],
)  # fmt: skip
def test_metadata_services_are_for_nobody(host: str) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    for kind in Kind:
        with pytest.raises(RefusedUrl, match="metadata service"):
            check_url(f"https://{host}/latest", kind, everything)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://accounts.example.com/x?y=%20", "https://accounts.example.com/x?y=%20"),
        ("HTTPS://Accounts.Example.COM.:443", "https://accounts.example.com"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://example.com:/", "https://example.com/"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://134744072/", "https://8.8.8.8/"),
        ("https://192.0.1.1/", "https://192.0.1.1/"),
        ("https://172.32.0.1/", "https://172.32.0.1/"),
        ("https://[2600:1F00::0001]:444/", "https://[2600:1f00::1]:444/"),
        ("https://[64:ff9b::8.8.8.8]/", "https://[64:ff9b::808:808]/"),
        ("https://[2002:808:808::1]", "https://[2002:808:808::1]"),
        ("https://internal.example.com", "https://internal.example.com"),
        ("https://metadata.example.com", "https://metadata.example.com"),
        ("https://127.0.0.1.example.com", "https://127.0.0.1.example.com"),
    ],
)
def test_what_is_public_passes_in_its_one_form(text: str, url: str) -> None:
    for kind in Kind:
        target = check_url(text, kind)
        assert target.url == url
        assert check_url(target.url, kind) == target


@pytest.mark.parametrize(
    "text",
    [
        "", "example.com", "//example.com", "https:", "https://", "https:///x", "https:example.com", "ftp://example.com",
        "file:///etc/passwd", "gopher://example.com", "https://example.com:0", "https://example.com:65536",
        "https://example.com:x", "https://example.com:１", "https://user@example.com", "https://user:pw@example.com",
        "https://example.com@10.0.0.1/", "https://@example.com", "https://example.com\\@10.0.0.1",
        "https://exa mple.com",
        "https://exam\tple.com", " https://example.com", "https://example.com\n", "https://example.com/\x00",
        "https://exam%70le.com", "https://127.0.0.1%2f", "https://a..b", "https://.", "https://..", "https://example.com..",
        "https://-a.com", "https://a-.com", "https://a_b!.com", "https://" + "a" * 64 + ".com",
        "https://" + "a." * 130 + "com", "https://1.2.3.4.5", "https://256.1.1.1", "https://1.2.3.256", "https://1.2.65536",
        "https://4294967296", "https://0x1ffffffff", "https://09.0.0.1", "https://1.2..4", "https://a.1", "https://a.0xf",
        "https://[::1", "https://::1", "https://[]", "https://[::1]x", "https://[::1]:x", "https://[fe80::1%25eth0]",
        "https://[1.2.3.4]", "https://[v1.x]", "https://example.com/#x", "https://example.com/ü", "https://a℀b.com/",
        "https://\u202eabc.com", "https://example.com/" + "x" * 2048,
    ],
)  # fmt: skip
def test_what_cannot_be_called(text: str) -> None:
    for kind in Kind:
        with pytest.raises(RefusedUrl):
            check_url(text, kind)


def test_only_local_backends_are_called_without_tls() -> None:
    for kind in Kind:
        assert passes("http://example.com", kind) is (kind is Kind.BACKEND_DEV)
        assert passes("https://example.com", kind)


def test_networks_that_are_allowed() -> None:
    for kind in (Kind.OIDC, Kind.WEBHOOK):
        for host in ("10.1.2.3", "0x0a010203", "[fd12::1]", "[64:ff9b::10.1.2.3]"):
            assert check_url(f"https://{host}", kind, CORPORATE).port == 443
        for host in ("10.2.0.1", "127.0.0.1", "[fd13::1]"):
            with pytest.raises(RefusedUrl, match="outbound_allow_cidrs"):
                check_url(f"https://{host}", kind, CORPORATE)
        assert check_url("https://login.corp.internal", kind, CORPORATE).host == "login.corp.internal"
        with pytest.raises(RefusedUrl, match="TLS"):
            check_url("http://10.1.2.3", kind, CORPORATE)


@pytest.mark.parametrize(
    "text",
    ["https://user:hunter2@example.com/", "http://example.com/hunter2", "https://10.0.0.1/?hunter2", "hunter2:x"],
)
def test_no_secret_is_repeated(text: str) -> None:
    with pytest.raises(RefusedUrl) as caught:
        check_url(text, Kind.WEBHOOK)
    assert "hunter2" not in str(caught.value)


def spellings(address: IPv4Address) -> list[str]:
    number = int(address)
    a, b, c, d = address.packed
    return [
        f"{a}.{b}.{c}.{d}", f"{a}.{b}.{c * 256 + d}", f"{a}.{number & 0xFFFFFF}", f"{number}", f"0x{number:x}",
        f"0X{number:X}", f"0{number:o}", f"0x{a:x}.0{b:o}.{c}.0x{d:02x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}.",
        f"{a}。{b}．{c}｡{d}",
    ]  # fmt: skip


@given(st.ip_addresses(v=4))
def test_an_address_is_the_same_however_it_is_written(address: IPv4Address) -> None:
    for kind in Kind:
        wanted = refusal(address, kind) is None
        for text in spellings(address):
            assert passes(f"https://{text}/", kind) is wanted
            if wanted:
                assert check_url(f"https://{text}/", kind).host == str(address)


@given(st.ip_addresses(v=4))
def test_what_carries_an_address_is_no_better_than_it(address: IPv4Address) -> None:
    a, b = f"{int(address) >> 16:x}", f"{int(address) & 0xFFFF:x}"
    for kind in Kind:
        bad = refusal(address, kind) is not None
        for text in (f"::ffff:{a}:{b}", f"::{a}:{b}", f"64:ff9b::{a}:{b}", f"64:ff9b:1::{a}:{b}", f"2002:{a}:{b}::1"):
            assert not (bad and passes(f"https://[{text}]/", kind))


@given(st.text("ab.:/@[]%#?\\0x127 \t１。ⓛ-_", max_size=24).map("https://".__add__))
def test_any_text_is_refused_or_has_one_form(text: str) -> None:
    try:
        target = check_url(text, Kind.BACKEND_DEV)
    except RefusedUrl:
        return
    assert target.url.isascii()
    assert check_url(target.url, Kind.BACKEND_DEV) == target
