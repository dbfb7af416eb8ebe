"""What the server shows of its manual."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.ops.documentation import CONTENT_SECURITY_POLICY, Documentation, anchor, markdown_to_html

SHIPPED = Documentation.shipped()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    for name in ("how-to", "internals"):
        (docs / name).mkdir(parents=True)
    (docs / "how-to" / "mend.md").write_text("# Mend <it>\n\ntext\n")
    (docs / "internals" / "open.md").write_text("# Open\n")
    (tmp_path / "secret.md").write_text("# secret\n")
    return docs


def test_every_shipped_page_is_shown() -> None:
    assert "how-to/administer" in SHIPPED.names
    for name in SHIPPED.names:
        page = SHIPPED.page(name)
        assert page is not None
        assert b"<h1" in page


def test_pages_are_titled_and_listed(folder: Path) -> None:
    page = Documentation(folder).page("how-to/mend")
    assert page is not None
    assert b"<title>Mend &lt;it&gt;" in page
    assert b'href="/_/docs/how-to/mend" aria-current="page"' in page


def test_a_page_is_made_once(folder: Path) -> None:
    documentation = Documentation(folder)
    assert documentation.page("how-to/mend") is documentation.page("how-to/mend")


def test_what_is_written_for_contributors_is_not_shown(folder: Path) -> None:
    assert Documentation(folder).page("internals/open") is None


def test_without_pages_there_is_still_a_first_one(tmp_path: Path) -> None:
    page = Documentation(tmp_path / "missing").page("")
    assert page is not None
    assert b"<h1" in page


@pytest.mark.parametrize("name", ["../secret", "how-to/../../secret", "how-to/mend.md", "/how-to/mend", "how-to//mend"])
def test_paths_lead_nowhere_else(folder: Path, name: str) -> None:
    assert Documentation(folder).page(name) is None


@given(st.text(st.sampled_from("./\\%2eindexhow-tomend\0"), min_size=1))
def test_only_names_of_pages_are_answered(name: str) -> None:
    assert (SHIPPED.page(name) is not None) == (name == "index" or name in SHIPPED.names)


def test_pages_load_nothing_from_elsewhere_and_run_nothing() -> None:
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    for name in SHIPPED.names:
        page = SHIPPED.page(name)
        assert page is not None
        assert not any(part in page for part in (b"<script", b"<link", b"<img", b"<iframe", b" style="))


def test_html_in_a_page_is_text() -> None:
    assert "<script" not in markdown_to_html("<script>alert(1)</script>\n\n[a](javascript:alert)")
    assert "href" not in markdown_to_html("[a](javascript:alert)")


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("../reference/s3-commands.md#exit-codes", "../reference/s3-commands#exit-codes"),
        ("monitor.md", "monitor"),
        ("https://example.com/a.md", "https://example.com/a.md"),
        ("#below", "#below"),
    ],
)
def test_links_to_pages(link: str, shown: str) -> None:
    assert f'href="{shown}"' in markdown_to_html(f"[a]({link})")


def test_equal_headings_have_different_anchors() -> None:
    page = markdown_to_html("# One `two`\n\n# One `two`\n")
    assert 'id="one-two"' in page
    assert 'id="one-two-1"' in page
    assert anchor("What `stats` counts, and why") == "what-stats-counts-and-why"
