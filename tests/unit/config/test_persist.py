"""A configuration file is replaced wholly or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deltaglider_proxy.config.persist import (
    CannotPersist,
    can_be_persisted,
    is_mount,
    obstacle,
    persist,
    replace_file,
)
from deltaglider_proxy.server.restore_journal import draft_can_be_made

DIES = """
import os, signal, sys
from pathlib import Path
from deltaglider_proxy.config.persist import persist

left = int(sys.argv[2])

def dying(function):
    def run(*arguments, **named):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*arguments, **named)
    return run

for name in ("open", "write", "fsync", "fchmod", "close"):
    setattr(os, name, dying(getattr(os, name)))
Path.replace = dying(Path.replace)
persist(Path(sys.argv[1]), "new" * 1000)
"""


def test_killed_at_every_step_it_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    old, new, seen, step = "old" * 1000, "new" * 1000, set(), 0
    while True:
        for found in tmp_path.iterdir():
            found.unlink()
        path.write_text(old)
        done = subprocess.run([sys.executable, "-c", DIES, str(path), str(step)], check=False)
        seen.add(path.read_text())
        assert path.read_text() in (old, new)
        original = tmp_path / "c.yaml.orig"
        assert not original.exists() or original.read_text() == old
        assert all(found.stat().st_mode & 0o077 == 0 for found in tmp_path.iterdir() if found != path)
        if done.returncode == 0:
            break
        persist(path, "after")
        assert path.read_text() == "after"
        assert sorted(found.name for found in tmp_path.iterdir()) == ["c.yaml", "c.yaml.orig"]
        step += 1
    assert seen == {old, new}
    assert step > 8


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o600, 0o600), (0o400, 0o400), (None, 0o600)])
def test_modes(tmp_path: Path, before: int | None, after: int) -> None:
    path = tmp_path / "c.yaml"
    if before is not None:
        path.write_text("old")
        path.chmod(before)
    persist(path, "new")
    assert path.stat().st_mode & 0o777 == after
    assert path.with_name("c.yaml.orig").exists() is (before is not None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("old")
    os.chown(path, 12345, 23456)
    persist(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_the_original_is_what_was_there_first(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("# by hand\n")
    for text in ("one", "two"):
        persist(path, text)
    assert path.with_name("c.yaml.orig").read_text() == "# by hand\n"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    target, link = tmp_path / "kept" / "real.yaml", tmp_path / "c.yaml"
    target.write_text("old")
    link.symlink_to(target)
    persist(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_link_in_the_place_of_the_draft_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / ".c.yaml.draft").symlink_to(other)
    with pytest.raises(OSError, match="symbolic"):
        replace_file(tmp_path / "c.yaml", b"x")
    assert other.read_text() == "precious"


def test_toml_is_not_overwritten_with_yaml(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("cache_size_mb = 1\n")
    with pytest.raises(CannotPersist, match="config migrate"):
        persist(path, "x: 1\n")
    assert path.read_text() == "cache_size_mb = 1\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["c.toml", "missing/c.yaml"])
def test_what_could_not_be_written_is_known_before_a_restore_begins(tmp_path: Path, name: str) -> None:
    for check in (can_be_persisted, draft_can_be_made):
        with pytest.raises(CannotPersist):
            check(tmp_path / name)
    draft_can_be_made(tmp_path / "c.yaml")


def test_obstacles(tmp_path: Path) -> None:
    assert obstacle(tmp_path / "c.yaml") is None
    reason = obstacle(tmp_path / "missing" / "c.yaml")
    assert reason is not None
    assert "missing" in reason


def test_a_file_that_is_a_mount_is_known() -> None:
    mounts = (
        "22 1 0:21 / /proc rw - proc proc rw\n"
        "36 35 98:0 /x /etc/deltaglider_proxy/config.yaml ro,noatime - ext3 /dev/root rw\n"
        "37 35 98:0 /x /mnt/with\\040space/c.yaml rw - ext3 /dev/root rw\n"
    )
    assert is_mount(Path("/etc/deltaglider_proxy/config.yaml"), mounts)
    assert is_mount(Path("/mnt/with space/c.yaml"), mounts)
    assert not is_mount(Path("/etc/deltaglider_proxy"), mounts)
