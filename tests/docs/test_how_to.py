"""The pages are run as they stand there: every `sh` and `python` block, and the steps of every pipeline (`# run`), in
order, in one shell, each page in a place of its own. Where a page needs more than a server there is a scene for it.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.docs.scenes import FOLDER, Scene, a_server, a_sharing_server, its_host, nothing, older_proxy, other_service

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(sh|python|yaml(?=\n# run\n))\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GIVEN = re.compile(r"^export (SERVER|DGP_BOOTSTRAP_PASSWORD)=.*$", re.MULTILINE)
_ADDRESS = "127.0.0.1:9000"
_SECONDS = 100

_SHOWN: Mapping[str, tuple[str, ...]] = {
    "explanation/how-deltas-are-chosen.md": ("fw-1.4.1-rc2.tar is of the family fw-*.tar", "*/app.zip"),
    "how-to/administer.md": ('"reason":"explicit_deny"', '"intact":true'),
    "how-to/backup.md": ('"keep user ana"', '"name":"ana"'),
    "how-to/config-sync.md": ('"status":"nothing new"', "deltaglider_config_sync_last_success_timestamp_seconds 1"),
    "how-to/ci-pipelines.md": ("X-Amz-Signature", '"decision": "continue"'),
    "how-to/migrate-from-1.x.md": ("fw/image-2.bin", "back.bin"),
    "how-to/migrate-from-minio.md": ("Nothing to migrate", "3 objects to copy"),
    "how-to/security-checklist.md": ('"mode":"bootstrap"', "<Code>AccessDenied</Code>", "nothing is public"),
    "how-to/set-up-a-bucket.md": ('"total_objects":2', "make_bucket: firmware"),
    "how-to/troubleshoot.md": ('"status":"healthy"', '"status":"ready"', "deltaglider_cache_max_bytes"),
    "how-to/upgrade.md": ('"status":"healthy"', '"version":"', '"intact":true'),
    "tutorial/quick-start.md": ('"total_objects":2', "identical", "20000009 b'a change'"),
}
"""What the commands of a page must have printed, beside ending well."""


_SCENES: Mapping[str, Callable[[Path], AbstractContextManager[Scene]]] = {
    "explanation/how-deltas-are-chosen.md": nothing,
    "how-to/backup.md": its_host,
    "how-to/config-sync.md": a_sharing_server,
    "how-to/migrate-from-1.x.md": older_proxy,
    "how-to/migrate-from-minio.md": other_service,
    "tutorial/quick-start.md": nothing,
}
"""Where there is more or less than a server with a bucket."""

_SECRETS = {"DGP_ACCESS_KEY_ID": "access_key_id", "DGP_SECRET_ACCESS_KEY": "secret_access_key"}
"""Of pipelines: fields of the answer that made the user `pipeline`."""


def _script(page: str, scene: Scene) -> str:
    parts = ["set -euo pipefail"]
    for language, block in _BLOCK.findall((DOCS / page).read_text()):
        text = _GIVEN.sub("", block.replace(_ADDRESS, scene.address))
        match language:
            case "python":
                text = f"python3 - <<'END OF PYTHON'\n{text}END OF PYTHON\n"
            case "yaml":
                document = YAML(typ="safe").load(text)
                text = "\n".join(_steps(document)).replace("https://s3.example.com", f"http://{scene.address}")
            case _:
                pass
        parts.append(text)
    return "\n".join(parts)


def _steps(value: object, name: str = "") -> Iterator[str]:
    """The variables and commands of a pipeline, as its runner would see them."""
    match name, value:
        case "env" | "variables", dict():
            yield from (f'export {variable}="{_of_secrets(str(given))}"' for variable, given in value.items())
        case "run", str():
            yield value
        case "script", list():
            yield from value
        case _, dict():
            for key, item in value.items():
                yield from _steps(item, str(key))
        case _, list():
            for item in value:
                yield from _steps(item)
        case _:
            pass


def _of_secrets(given: str) -> str:
    secret = re.fullmatch(r"\$\{\{ secrets\.(\w+) \}\}", given)
    if secret is None:
        return given
    return f'$(python3 -c \'import json; print(json.load(open("pipeline.json"))["{_SECRETS[secret[1]]}"])\')'


_SLOW = {
    "how-to/backup.md",
    "how-to/ci-pipelines.md",
    "how-to/config-sync.md",
    "how-to/migrate-from-1.x.md",
    "how-to/migrate-from-minio.md",
    "how-to/upgrade.md",
}
"""Many commands, each of which takes a second to begin."""

_FOR_CONTRIBUTORS = {"internals", "adr"}

PAGES = sorted(
    name.as_posix()
    for name in (path.relative_to(DOCS) for path in DOCS.rglob("*.md"))
    if name.parts[0] not in _FOR_CONTRIBUTORS and _BLOCK.search((DOCS / name).read_text())
)


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if page in _SLOW else []) for page in PAGES]
)
def test_every_command_works(page: str, tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    with _SCENES.get(page, a_server)(tmp_path) as scene:
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("DGP_", "AWS_"))}
        path = f"{Path(sys.executable).parent}:{clean['PATH']}"
        process = subprocess.Popen(
            ["bash", "-x", "-c", _script(page, scene)],
            cwd=folder,
            env={**clean, **scene.environment, "PATH": path, "HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=_SECONDS)
        finally:
            _end(process)
    assert process.returncode == 0, output[-1000:] + errors[-3000:]
    for shown in _SHOWN.get(page, ()):
        assert shown in output


def _end(process: subprocess.Popen[str]) -> None:
    """Also of what the page has started and, having failed, did not stop."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_pages_with_an_expectation_exist() -> None:
    assert {*_SHOWN, *_SCENES, *_SLOW} <= {*PAGES}
