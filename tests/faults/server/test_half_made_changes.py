"""A change of the configuration that its worker does not survive."""

import sys
from pathlib import Path

import httpx2
import pytest

from tests.faults.server import dying_worker
from tests.support.admin import Admin
from tests.support.server import Server


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_reached_the_file_comes_to_hold(tmp_path: Path, workers: int) -> None:
    """Otherwise the server would live by the former configuration, and by the new one from some later start on."""
    program = (sys.executable, str(Path(dying_worker.__file__)))
    happened = tmp_path / "happened"
    server = Server(
        tmp_path, workers=workers, program=program, environment={"DIES_ONCE": str(happened)}, keeps_config=True
    )
    with server:
        with Admin(server) as admin, pytest.raises(httpx2.HTTPError):
            admin.http.put("/admin/config/section/advanced", json={"max_object_size": 4321})
        assert happened.exists()
        assert "max_object_size: 4321" in server.config.read_text()
        server.wait_for(lambda: all(holds(server) for _ in range(8)))


def holds(server: Server) -> bool:
    """On the worker that a new connection reaches; false as long as there is none."""
    try:
        with Admin(server) as admin:
            found: dict[str, object] = admin.ask("GET", "/admin/config/section/advanced")
            return found["max_object_size"] == 4321
    except httpx2.HTTPError:
        return False
