"""`production.md`: what an operator may rely on, each with the tests that prove it, from `promises.toml`."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.reference.markdown import code, page

_FILE = Path(__file__).with_name("promises.toml")
_START = """\
What you may rely on in production, and the tests that prove it. A path without a name stands for all tests in it.
`make test-all` runs them; `pytest NAME` runs one.

What is known to be missing is said where it would be looked for: in the README, in [S3 API](reference/s3-api.md) and in
the [threat model](explanation/threat-model.md#not-defended)."""


@dataclass(frozen=True, slots=True)
class Promise:
    text: str
    tests: Sequence[str] = ()
    """`path::function` or a path, from the root of the checkout."""
    open: str = ""
    """What is missing, where nothing proves it yet."""


def promises() -> dict[str, list[Promise]]:
    """By title of their section. Raises ValueError for one with neither tests nor an excuse."""
    document = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    found = {
        section["title"]: [Promise(**{**entry, "tests": tuple(entry.get("tests", ()))}) for entry in section["promise"]]
        for section in document["section"]
    }
    for each in (promise for listed in found.values() for promise in listed):
        if bool(each.tests) is bool(each.open):
            raise ValueError(f"{_FILE.name}: give {each.text!r} either tests or `open`")
    return found


def production() -> str:
    blocks = [_START]
    for title, listed in promises().items():
        blocks.append(f"## {title}")
        for each in listed:
            proofs = [f"  - {code(test)}" for test in each.tests] or [f"  - not proven yet: {each.open}"]
            blocks.append("\n".join([f"- {each.text}", *proofs]))
    return page("What is promised, and what proves it", *blocks)
