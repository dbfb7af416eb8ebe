"""The pages of the manual, as the server shows them under `/_/docs/`: to everyone, without a build step or a session.

All pages are found once, when the server starts, and asked for by name afterwards. A path of a request is looked up and
never joined to a folder, so no path leads out of it.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Self

from markdown_it import MarkdownIt
from markdown_it.token import Token

PREFIX = "/_/docs/"
_PRODUCT = "DeltaGlider Proxy"
INDEX = "index"
_SECTIONS = {"tutorial": "Tutorial", "how-to": "How to", "reference": "Reference", "explanation": "Explanation"}
"""Folders that are shown, in the order of the navigation; what is written for contributors is not among them."""

_ELSEWHERE = {"production": "reference", "internals/format": "explanation"}
"""Pages outside of these folders, each with the folder that it is listed under."""

_WORTH_CONTENTS = 4
"""Parts that a page must have to begin with a list of them."""

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #222; --paper: #fff; --box: #f3f3f3; --link: #0b57d0; --line: #ccc; --faint: #666;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --paper: #16181c; --box: #23262c; --link: #8ab4f8; --line: #444; --faint: #999; }
}
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; margin: 0; color: var(--ink); background: var(--paper); }
a { color: var(--link); }
.page { display: flex; gap: 2.5rem; max-width: 76rem; margin: 0 auto; padding: 1rem; }
.page > nav { flex: 0 0 14rem; font-size: 15px; }
.page > nav ul { list-style: none; padding: 0; margin: 0; }
.page > nav li { padding: .15rem 0; }
.page > nav p { margin: 1.2rem 0 .3rem; }
[aria-current] { font-weight: bold; color: inherit; text-decoration: none; }
main { flex: 1; min-width: 0; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; margin: 1.8em 0 .6em; }
h1 { margin-top: 0; }
.contents { font-size: 15px; border-left: 3px solid var(--line); padding-left: 1rem; }
.contents ul { list-style: none; padding: 0; margin: 0; columns: 18rem; }
.to-pages { display: none; }
pre, code { font: 14px/1.5 ui-monospace, monospace; background: var(--box); border-radius: 3px; }
code { padding: .1em .25em; }
pre { padding: .8rem; overflow-x: auto; }
pre code { padding: 0; }
h1 code, h2 code, h3 code { font-size: .9em; }
table { display: block; overflow-x: auto; border-collapse: collapse; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
td { min-width: 5rem; overflow-wrap: normal; }
@media (max-width: 48rem) {
  .page { flex-direction: column-reverse; gap: 1rem; }
  .page > nav { flex: none; border-top: 1px solid var(--line); font-size: 16px; }
  .page > nav li { padding: .35rem 0; }
  .to-pages { display: block; margin-bottom: 1rem; }
  table, tbody, tr, td { display: block; border: none; }
  thead, td:empty { display: none; }
  tr { border-top: 1px solid var(--line); padding: .4rem 0; }
  td { padding: .1rem 0; overflow-wrap: anywhere; }
  td[data-label]::before { content: attr(data-label) ": "; color: var(--faint); font-size: 13px; }
}
@media print { .page > nav, .to-pages { display: none; } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_LOCAL_PAGE = re.compile(r"^(?!/)[^:?#]+\.md(?=#|$)")
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class _Source:
    title: str
    text: str


class Documentation:
    """Reads all pages below a folder when it is made; a folder that is not there holds none."""

    def __init__(self, folder: Path) -> None:
        self._sources = dict(_sources(folder))
        self._rendered: dict[str, bytes] = {}

    @classmethod
    def shipped(cls) -> Self:
        """The pages inside the installed package, or those of the checkout that the package is run from."""
        package = Path(__file__).parents[1]
        packed = package / "manual"
        return cls(packed if packed.is_dir() else package.parents[1] / "docs")

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._sources)

    def page(self, name: str) -> bytes | None:
        """HTML in UTF-8, or None if there is no such page. `name` is what follows `/_/docs/`, in whatever form it came;
        nothing at all means the first page.
        """
        name = name or INDEX
        if name != INDEX and name not in self._sources:
            return None
        if name not in self._rendered:
            self._rendered[name] = self._render(name)
        return self._rendered[name]

    def _render(self, name: str) -> bytes:
        source = self._sources.get(name, _Source("Documentation", "# Documentation\n"))
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="referrer" content="no-referrer">\n'
            f"<title>{escape(_named(source.title))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
            f'<div class="page">\n{self._navigation(name)}<main>\n<a class="to-pages" href="#pages">All pages</a>\n'
            f"{_with_contents(source.text)}</main>\n</div>\n</body>\n</html>\n"
        ).encode()

    def _navigation(self, current: str) -> str:
        mark = ' aria-current="page"' if current == INDEX else ""
        parts = [f'<nav id="pages" aria-label="Pages">\n<a href="{PREFIX}"{mark}>Start</a>\n']
        for folder, heading in _SECTIONS.items():
            entries = [entry for entry in self._by_title if _folder(entry[0]) == folder]
            if not entries:
                continue
            parts.append(f"<p><strong>{heading}</strong></p>\n<ul>\n")
            for name, title in entries:
                mark = ' aria-current="page"' if name == current else ""
                parts.append(f'<li><a href="{PREFIX}{escape(name)}"{mark}>{escape(title)}</a></li>\n')
            parts.append("</ul>\n")
        return "".join([*parts, "</nav>\n"])

    @cached_property
    def _by_title(self) -> Sequence[tuple[str, str]]:
        pairs = ((name, source.title) for name, source in self._sources.items())
        return sorted(pairs, key=lambda pair: pair[1].casefold())


def markdown_to_html(text: str) -> str:
    """HTML in the text is shown as text. Links to other pages (`../reference/x.md#y`) lose their `.md`, and headings
    get the anchors that GitHub gives them, so that one text works in both places.
    """
    return _rendered(text)[0]


def _with_contents(text: str) -> str:
    """Beginning with a list of its parts, if they are many."""
    html, parts = _rendered(text)
    title, end, rest = html.partition("</h1>\n")
    if len(parts) < _WORTH_CONTENTS or not end:
        return html
    links = "".join(f'<li><a href="#{escape(name)}">{escape(heading)}</a></li>\n' for name, heading in parts)
    return f'{title}{end}<nav class="contents" aria-label="On this page">\n<ul>\n{links}</ul>\n</nav>\n{rest}'


def _rendered(text: str) -> tuple[str, list[tuple[str, str]]]:
    """And the anchor and text of each heading of the second level."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    seen: dict[str, int] = {}
    parts: list[tuple[str, str]] = []
    _label_cells(tokens)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            heading = _plain(following)
            name = _unique(anchor(heading), seen)
            token.attrSet("id", name)
            if token.tag == "h2":
                parts.append((name, heading))
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", _LOCAL_PAGE.sub(_without_suffix, str(child.attrs["href"])))
    return str(parser.renderer.render(tokens, parser.options, {})), parts


def _label_cells(tokens: Sequence[Token]) -> None:
    """On a phone a row is a list, and each cell needs its own head."""
    heads: list[str] = []
    column = 0
    for token, following in pairwise(tokens):
        match token.type:
            case "thead_open":
                heads = []
            case "tr_open":
                column = 0
            case "th_open" | "td_open":
                token.attrs.pop("style", None)  # the policy forbids it, and browsers would complain
                if token.type == "th_open":
                    heads.append(_plain(following))
                elif column and heads[column]:
                    token.attrSet("data-label", heads[column])
                column += 1
            case _:
                pass


def anchor(heading: str) -> str:
    """The anchor that GitHub makes of the text of a heading."""
    return _NOT_IN_ANCHORS.sub("", heading.strip().lower()).replace(" ", "-")


def _unique(name: str, seen: dict[str, int]) -> str:
    count = seen.get(name, 0)
    seen[name] = count + 1
    return f"{name}-{count}" if count else name


def _without_suffix(match: re.Match[str]) -> str:
    return match[0].removesuffix(".md")


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))


def _folder(name: str) -> str:
    """The section that a page is listed in; empty for the first page."""
    return _ELSEWHERE.get(name) or name.rpartition("/")[0]


def _sources(folder: Path) -> Iterator[tuple[str, _Source]]:
    paths = [folder / f"{name}.md" for name in (INDEX, *_ELSEWHERE)]
    paths += [path for section in _SECTIONS for path in sorted((folder / section).glob("*.md"))]
    for path in paths:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            first = text.partition("\n")[0]
            name = path.relative_to(folder).with_suffix("").as_posix()
            title = first.removeprefix("# ").replace("`", "") if first.startswith("# ") else name
            yield name, _Source(title, text)


def _named(title: str) -> str:
    """For the list of a browser's tabs."""
    return title if title == _PRODUCT else f"{title} · {_PRODUCT}"
