import pytest

from deltaglider_proxy.access.sso.discovery import DiscoveryFailed, checked, discover

ISSUER = "https://id.example.com"
GOOD = {
    "issuer": ISSUER + "/",
    "authorization_endpoint": "https://id.example.com/auth",
    "token_endpoint": "https://id.example.com/token",
    "jwks_uri": "https://keys.example.com/jwks",
}


def test_a_provider_that_speaks_for_itself() -> None:
    found = checked(GOOD, ISSUER, ())
    assert found.authorization_endpoint == "https://id.example.com/auth"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": "https://other.example.com"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"token_endpoint": None}, "lacks token_endpoint"),
        ({"token_endpoint": "http://id.example.com/token"}, "token_endpoint"),
        ({"jwks_uri": "https://169.254.169.254/jwks"}, "jwks_uri"),
        ({"authorization_endpoint": "https://localhost/auth"}, "authorization_endpoint"),
    ],
)
def test_what_is_not_taken(change: dict[str, object], said: str) -> None:
    with pytest.raises(DiscoveryFailed, match=said):
        checked({**GOOD, **change}, ISSUER, ())


def test_no_object_and_no_public_host() -> None:
    with pytest.raises(DiscoveryFailed):
        checked([], ISSUER, ())


@pytest.mark.parametrize("issuer", ["http://id.example.com", "https://127.0.0.1", "https://0x7f.1", "nonsense"])
async def test_where_nobody_is_asked(issuer: str) -> None:
    with pytest.raises(DiscoveryFailed):
        await discover(issuer, ())
