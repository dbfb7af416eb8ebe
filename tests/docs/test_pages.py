"""Every page, whoever writes it: configurations are valid, links lead somewhere, generated pages are of today."""

import json
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deltaglider_proxy.access.policy.validate import parse_permissions
from deltaglider_proxy.ops.documentation import markdown_to_html
from tests.integration.test_admin_openapi import PUBLIC
from tools.reference_pages import DOCS, PAGES

ROOT = Path(__file__).parents[2]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
_VALIDATED = re.compile(r"^```ya?ml\n(# validate\n.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TESTED_ELSEWHERE = {DOCS / "how-to" / "reverse-proxy.md", DOCS / "how-to" / "tls.md"}
"""tests/proxies runs what these show."""

_ELSEWHERE = {"age-encryption.org", "docs.astral.sh", "keepachangelog.com", "semver.org"}
_ANCHOR = re.compile(r' id="([^"]+)"')
_CONFIGURATIONS = [
    pytest.param(block, id=f"{path.stem}-{number}")
    for path in TEXTS
    for number, block in enumerate(_VALIDATED.findall(path.read_text()), start=1)
]


@pytest.mark.parametrize("configuration", _CONFIGURATIONS)
def test_configurations_are_valid(configuration: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(configuration)
    program = Path(sys.executable).with_name("deltaglider_proxy")
    done = subprocess.run(
        [program, "config", "lint", "config.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted({*DOCS.rglob("*.md")} - _TESTED_ELSEWHERE), ids=lambda path: path.stem)
def test_every_yaml_is_tried_somehow(path: Path) -> None:
    firsts = re.findall(r"^```ya?ml\n(.*)$", path.read_text(), re.MULTILINE)
    assert set(firsts) <= {"# validate", "# run"}


def test_the_rule_that_is_shown_is_one() -> None:
    page = (DOCS / "reference/authentication.md").read_text()
    shown = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert shown
    assert [len(parse_permissions([json.loads(rule)])) for rule in shown] == [1] * len(shown)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", path.read_text())):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        target, _, fragment = link.partition("#")
        page = (path.parent / target).resolve() if target else path
        assert page.is_relative_to(ROOT), link
        assert page.exists(), f"{link}: there is no {page.relative_to(ROOT)}"
        if fragment:
            assert fragment in _anchors(page), link


@lru_cache
def _anchors(page: Path) -> frozenset[str]:
    return frozenset(_ANCHOR.findall(markdown_to_html(page.read_text())))


def test_links_to_elsewhere_are_safe_and_few() -> None:
    """They cannot be followed here; a new one is added when somebody has."""
    found = {link for path in TEXTS for link in _LINK.findall(_CODE.sub("", path.read_text())) if "://" in link}
    assert {urlsplit(link).scheme for link in found} == {"https"}
    assert {urlsplit(link).netloc for link in found} <= _ELSEWHERE


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_of_today(name: str) -> None:
    there = (DOCS / name).read_text(encoding="utf-8")
    assert there == PAGES[name](), "run: python -m tools.reference_pages"


def test_the_admin_page_calls_open_what_is_open() -> None:
    page = (DOCS / "reference/admin-api.md").read_text()
    said = re.findall(r"^### `(\w+) ([^`]+)`$.*?^- Who may: (\w+)", page, re.MULTILINE | re.DOTALL)
    assert {(method, path) for method, path, who in said if who == "everyone"} == PUBLIC
