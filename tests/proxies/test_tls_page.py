"""The page on HTTPS: its configuration serves, and its commands work where the certificate is the server's own."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.proxies.certificates import Files
from tests.proxies.https import HttpsServer
from tests.proxies.reverse import fitted, shown
from tests.support.server import ACCESS_KEY, SECRET_KEY

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "tls.md"


@pytest.mark.parametrize(("days", "said"), [(90, ""), (3, "the certificate expires in")])
def test_the_configuration_is_valid(tmp_path: Path, days: int, said: str) -> None:
    files = Files(tmp_path)
    files.renew(lasts=timedelta(days=days))
    (block,) = shown("yaml", PAGE)
    folder = "/etc/deltaglider_proxy/tls"
    moved = [(f"{folder}/fullchain.pem", str(files.cert)), (f"{folder}/privkey.pem", str(files.key))]
    (tmp_path / "config.yaml").write_text(fitted(block, moved))
    command = [str(Path(sys.executable).with_name("deltaglider_proxy")), "config", "lint", "config.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown_of_tls = [line for line in (done.stdout + done.stderr).splitlines() if "advanced.tls" in line]
    assert [said in line for line in shown_of_tls] == ([True] if said else [])


@pytest.mark.slow
def test_the_commands(tmp_path: Path) -> None:
    trust, look = shown("bash", PAGE)
    server = HttpsServer(tmp_path, environment={"DGP_TLS_ENABLED": "true"})
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with server:
        script = fitted(trust + look, [("localhost:9000", f"localhost:{server.port}")])
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        fingerprint = server.fingerprint()
    assert fingerprint.upper() in done.stdout.replace(":", "")
    assert "notAfter=" in done.stdout
    assert "PRIVATE" not in (tmp_path / "deltaglider.crt").read_text()
