"""`reference/environment.md`, from the table of variables."""

from itertools import groupby

from deltaglider_proxy.config.environment import VARIABLES
from tools.reference.markdown import cell, code, default, page, table

_HEAD = ("variable", "default", "what it does")


def environment() -> str:
    blocks = [
        "They override the configuration file; flags override them. `deltaglider_proxy --show-env` prints them all."
    ]
    for category, variables in groupby(VARIABLES, key=lambda variable: variable.category):
        rows = [
            (code(each.name), default(each.default), cell(each.description))
            for each in sorted(variables, key=lambda each: each.name)
        ]
        blocks += [f"## {category}", table(_HEAD, rows)]
    return page("Environment variables", *blocks)
