"""Every page, whoever writes it: configurations are valid, links lead somewhere, generated pages are of today."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deltaglider_proxy.ops.documentation import markdown_to_html
from tools.reference_pages import REFERENCE, pages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
_VALIDATED = re.compile(r"^```ya?ml\n(# validate\n.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
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
            assert fragment in _ANCHOR.findall(markdown_to_html(page.read_text())), link


@pytest.mark.parametrize("name", pages())
def test_generated_pages_are_of_today(name: str) -> None:
    there = (REFERENCE / name).read_text(encoding="utf-8")
    assert there == pages()[name], "run: python -m tools.reference_pages"
