"""What the server shows of its manual."""

import posixpath
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.ops.documentation import CONTENT_SECURITY_POLICY, Documentation, anchor, markdown_to_html

SHIPPED = Documentation.shipped()
_HREF = re.compile(r' href="([^"#]+)[^"]*"')


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


@pytest.mark.parametrize("name", SHIPPED.names)
def test_links_lead_to_pages_that_are_shown(name: str) -> None:
    page = SHIPPED.page(name)
    assert page is not None
    here = "" if name == "index" else posixpath.dirname(name)
    for link in _HREF.findall(page.decode()):
        if link.startswith("https://"):
            continue
        target = posixpath.normpath(posixpath.join("/_/docs", here, link)).removeprefix("/_/docs").strip("/")
        assert SHIPPED.page(target) is not None, link


def test_pages_from_outside_of_the_sections_are_listed_in_one() -> None:
    page = SHIPPED.page("index")
    assert page is not None
    for name in ("production", "internals/format"):
        assert f'<li><a href="/_/docs/{name}">'.encode() in page


def test_a_page_of_many_parts_begins_with_a_list_of_them(folder: Path) -> None:
    parts = [f"## Part `{number}` & more\n\ntext\n" for number in range(5)]
    for count in (1, 3, 5):
        (folder / "how-to" / f"long-{count}.md").write_text("# Long\n\nfirst\n\n" + "\n".join(parts[:count]))
    documentation = Documentation(folder)
    for count, listed in ((1, False), (3, False), (5, True)):
        page = documentation.page(f"how-to/long-{count}")
        assert page is not None
        assert (b'<a href="#part-0--more">Part 0 &amp; more</a>' in page) is listed


def test_the_page_that_is_shown_is_marked() -> None:
    for name, mark in (("index", b'<a href="/_/docs/" aria-current="page">'), ("production", b'production" aria-cur')):
        page = SHIPPED.page(name)
        assert page is not None
        assert page.count(b"aria-current=") == 1
        assert mark in page


def test_no_page_says_what_runs_here() -> None:
    ours = re.compile(rf"(?<![\d.]){re.escape(version('deltaglider-proxy'))}(?![\d.])")
    for name in SHIPPED.names:
        page = SHIPPED.page(name)
        assert page is not None
        assert not ours.search(page.decode()), name


def test_cells_say_what_they_are_where_a_row_is_a_list() -> None:
    page = markdown_to_html("| `name` | default | |\n|---|:-:|---|\n| a | 1 | x |\n\n| other |\n|---|\n| b |\n")
    assert "<td>a</td>" in page
    assert '<td data-label="default">1</td>' in page
    assert "<td>x</td>" in page
    assert "<td>b</td>" in page
    assert "style" not in page
