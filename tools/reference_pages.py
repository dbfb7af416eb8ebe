"""Writes the pages of the manual that the code already knows: settings, variables, commands, operations, errors.

Run it as `python -m tools.reference_pages` after a change of one of them; a test compares what it would write with what
is there, so the pages are never older than the code.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from tools.reference.admin_api import admin_api
from tools.reference.authentication import authentication
from tools.reference.command_line import command_line
from tools.reference.configuration import configuration
from tools.reference.environment import environment
from tools.reference.errors import errors
from tools.reference.metrics import metrics
from tools.reference.promises import production
from tools.reference.s3_api import s3_api

DOCS = Path(__file__).parents[1] / "docs"

PAGES: Mapping[str, Callable[[], str]] = {
    "production.md": production,
    "reference/admin-api.md": admin_api,
    "reference/authentication.md": authentication,
    "reference/cli.md": command_line,
    "reference/configuration.md": configuration,
    "reference/environment.md": environment,
    "reference/errors.md": errors,
    "reference/metrics.md": metrics,
    "reference/s3-api.md": s3_api,
}
"""What makes the text of each, by its path below `docs`."""


def main() -> None:
    for name, make in PAGES.items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
