"""No connection to others is opened but through the guard."""

import ast
from pathlib import Path

import deltaglider_proxy

ROOT = Path(deltaglider_proxy.__file__).parent
OPENERS = {"ClientSession", "TCPConnector", "BaseConnector", "ThreadedResolver", "AsyncResolver"}


def opened_in(path: Path) -> set[str]:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    return names & OPENERS


def test_sessions_are_opened_in_one_place() -> None:
    found = {str(path.relative_to(ROOT)): names for path in ROOT.rglob("*.py") if (names := opened_in(path))}
    assert found == {
        "outbound/session.py": {"ClientSession", "TCPConnector"},
        "outbound/resolver.py": {"ThreadedResolver"},
    }
