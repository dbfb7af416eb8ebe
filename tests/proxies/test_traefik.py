"""What the manual says for Traefik, which no test can start: its labels are those of the compose file, and only options
that Traefik reads are set. Source: its references of labels and of entry points.
"""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deltaglider_proxy.config.environment import VARIABLES
from tests.proxies.reverse import shown

COMPOSE = Path(__file__).parents[2] / "deploy" / "docker-compose.yaml"
OPTIONS = re.compile(
    r"traefik\.(enable|docker\.network"
    r"|http\.routers\.[a-z]+\.(rule|entrypoints|middlewares|service|priority|tls|tls\.certresolver|tls\.options)"
    r"|http\.services\.[a-z]+\.loadbalancer\.(passhostheader|server\.(port|scheme|url)|healthcheck\.[a-z]+))"
)


def service(text: str) -> Any:
    return YAML(typ="safe").load(text)["services"]["deltaglider_proxy"]


@pytest.fixture
def on_the_page() -> Any:
    return service(shown("yaml")[0])


def test_the_page_and_the_compose_file_say_the_same(on_the_page: Any) -> None:
    assert on_the_page["labels"] == service(COMPOSE.read_text())["labels"]


def test_labels_are_what_traefik_reads(on_the_page: Any) -> None:
    for name, value in on_the_page["labels"].items():
        assert OPTIONS.fullmatch(name), name
        assert isinstance(value, str), f"{name}: labels are text"
    assert {name.split(".")[3] for name in on_the_page["labels"] if name.count(".") > 2} == {"dgp"}
    assert re.fullmatch(r"Host\(`[a-z.]+`\)", on_the_page["labels"]["traefik.http.routers.dgp.rule"])


def test_no_middleware_touches_what_clients_sign(on_the_page: Any) -> None:
    assert not any("middlewares" in name for name in on_the_page["labels"])


def test_the_environment_is_what_the_server_reads(on_the_page: Any) -> None:
    assert set(on_the_page["environment"]) <= {variable.name for variable in VARIABLES}
    assert ip_network(on_the_page["environment"]["DGP_TRUSTED_PROXY_CIDRS"]).is_private


def test_the_entry_point_changes_no_request() -> None:
    """One key in another place would be ignored, or stop Traefik."""
    _, block = shown("yaml")
    (point,) = YAML(typ="safe").load(block)["entryPoints"].values()
    assert set(point) == {"address", "transport", "http"}
    assert point["transport"] == {"respondingTimeouts": {"readTimeout": "30m"}}
    assert point["http"]["sanitizePath"] is False
    allowed = {"Slash", "BackSlash", "Semicolon", "Percent", "QuestionMark", "Hash"}
    assert point["http"]["encodedCharacters"] == {f"allowEncoded{name}": True for name in allowed}
