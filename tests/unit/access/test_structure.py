"""Secrets are compared in constant time, everywhere: asserted on the code, because a clock would only show luck."""

import ast
import re
from pathlib import Path

import pytest

import deltaglider_proxy

ROOT = Path(deltaglider_proxy.__file__).parent
_SECRET = re.compile(r"secret|signature|password|token|mac\b|digest|hashed", re.IGNORECASE)
_HARMLESS = {
    "access/declarative/reconcile.py",  # compares what an administrator declares with what the database holds
    "control/sharing/merge.py",  # compares rows of two databases
    "server/configuration.py",  # compares two configurations of an administrator
    "server/sync_bucket.py",  # compares the checksum of a download
    "config/secret.py",  # its `==` is compare_digest
}
_ABOUT = re.compile(r"MASK|token_id|\.c\.|len\(|\.isdigit|token_hash|_token\b|payload|content_sha")


def comparisons(path: Path, root: Path = ROOT) -> list[str]:
    """Equality tests of something that is named like a secret."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare) and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Constant) for side in sides):
                continue
            text = ast.unparse(node)
            if _SECRET.search(text) and not _ABOUT.search(text):
                found.append(f"{path.relative_to(root)}:{node.lineno}: {text}")
    return found


def test_no_secret_is_compared_by_equality() -> None:
    found = [
        line
        for folder in ("access", "admin", "crypto", "control", "server")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in _HARMLESS
        for line in comparisons(path)
    ]
    assert found == []


@pytest.mark.parametrize("text", ["given_secret == kept_secret", "a and user.password != given", "digest == b.digest"])
def test_such_a_comparison_would_be_found(tmp_path: Path, text: str) -> None:
    culprit = tmp_path / "culprit.py"
    culprit.write_text(f"if {text}: pass\n")
    assert len(comparisons(culprit, tmp_path)) == 1


def test_keys_are_looked_up_by_hash() -> None:
    accounts = (ROOT / "access" / "accounts.py").read_text()
    assert "self._by_key.get(hash_of(" in accounts
    identity = (ROOT / "access" / "identity.py").read_text()
    assert "compare_digest" in identity
