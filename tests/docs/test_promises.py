"""What `production.md` names as a proof is there."""

import ast
from functools import lru_cache
from pathlib import Path

import pytest

from deltaglider_proxy.config.environment import VARIABLES
from tools.reference.promises import promises

ROOT = Path(__file__).parents[2]
_NAMED = sorted({test for listed in promises().values() for promise in listed for test in promise.tests})


@lru_cache
def _tests_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(each.name for each in functions if each.name.startswith("test_"))


@pytest.mark.parametrize("test", _NAMED)
def test_the_proof_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert (ROOT / path).is_file(), f"there is no {path}"
    found = _tests_in(ROOT / path)
    assert found
    if name:
        assert name in found, f"{path} has no {name}"


def test_each_promise_is_made_once() -> None:
    texts = [promise.text for listed in promises().values() for promise in listed]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(
    ("variable", "default"),
    [
        ("DGP_CACHE_MB", "100"),
        ("DGP_CONFIG_SYNC_POLL_SECS", "300"),
        ("DGP_MAX_DELTA_RATIO", "0.75"),
        ("DGP_MAX_MULTIPART_UPLOADS", "1000"),
        ("DGP_MAX_OBJECT_SIZE", "104857600"),
        ("DGP_METADATA_CACHE_MB", "50"),
        ("DGP_SECURE_COOKIES", "true"),
        ("DGP_TRUST_PROXY_HEADERS", "false"),
    ],
)
def test_defaults_that_are_promised(variable: str, default: str) -> None:
    assert next(each.default for each in VARIABLES if each.name == variable) == default
