"""A hook of MkDocs: the site has the sections of the manual that the server shows, in their order, then what is written
for contributors. Pages are found, so a new one needs no entry anywhere.
"""

from collections.abc import Iterator, MutableMapping
from pathlib import Path

_SECTIONS = {
    "tutorial": "Tutorial",
    "how-to": "How to",
    "reference": "Reference",
    "explanation": "Explanation",
    "internals": "Internals",
    "adr": "Decisions",
}


def on_config(config: MutableMapping[str, object]) -> MutableMapping[str, object]:
    docs = Path(str(config["docs_dir"]))
    sections = [{heading: list(_pages(docs, folder))} for folder, heading in _SECTIONS.items()]
    config["nav"] = [{"Start": "index.md"}, *sections]
    return config


def _pages(docs: Path, folder: str) -> Iterator[str]:
    paths = [*(docs / folder).glob("*.md"), *(docs.glob("production.md") if folder == "reference" else ())]
    for path in sorted(paths, key=_title):
        yield path.relative_to(docs).as_posix()


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].casefold()
