"""A small disk of its own: ext4 in a file, which can be filled, fall back to read-only, and be mended.

A file system with open files cannot be remounted read-only by hand, so it is made to believe in an error, upon which
`errors=remount-ro` does what a failing disk would: the journal is given up and every write fails with EROFS.
"""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

_BALLAST = "ballast"


class CannotMount(Exception):
    """This machine lets us have no disk; the message says why."""


class Disk:
    """`close` unmounts it and removes its file."""

    def __init__(self, image: Path, mount: Path, size: int) -> None:
        """Raises CannotMount."""
        self._image = image
        self.path = mount
        mount.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(size)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.path))

    def fill(self, leave: int) -> None:
        """Until at most `leave` bytes are free."""
        found = os.statvfs(self.path)
        size = found.f_bavail * found.f_frsize - leave
        if size > 0:
            # What is free for data and what the file system needs for itself are not exactly told apart.
            with (self.path / _BALLAST).open("wb") as file, suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, size)

    def fill_up(self) -> None:
        """What `fill` has left, and others have freed, too."""
        block = bytes(4096)
        with (self.path / f"{_BALLAST}-rest").open("ab", buffering=0) as file:
            try:
                while file.write(block):
                    pass
            except OSError:
                return

    def empty(self) -> None:
        for name in (_BALLAST, f"{_BALLAST}-rest"):
            (self.path / name).unlink(missing_ok=True)

    def break_down(self) -> None:
        """Raises CannotMount where the kernel does not do that."""
        device = Path(_device(self.path)).name
        trigger = Path("/sys/fs/ext4") / device / "trigger_fs_error"
        try:
            trigger.write_text("1")
        except OSError as error:
            raise CannotMount(f"{trigger}: {error.strerror}") from error

    def mend(self) -> None:
        """After `break_down`, when nobody uses it any more."""
        self._unmount()
        checked = subprocess.run(["fsck.ext4", "-f", "-y", str(self._image)], capture_output=True, check=False)
        if checked.returncode > 2:
            raise RuntimeError(f"fsck.ext4 failed: {checked.stdout.decode()[-500:]}")
        self._mount()

    def _unmount(self) -> None:
        deadline = time.monotonic() + 20
        while subprocess.run(["umount", str(self.path)], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.path} is still in use by {_users(self.path)}")
            time.sleep(0.2)

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)
        self._image.unlink(missing_ok=True)


def _users(mount: Path) -> list[str]:
    """Processes with something open below it, and what."""
    found = []
    for link in (*Path("/proc").glob("[0-9]*/cwd"), *Path("/proc").glob("[0-9]*/fd/*")):
        with suppress(OSError):
            if link.readlink().is_relative_to(mount):
                found.append(f"{link}: {link.readlink()}")
    return found


def _run(*command: str) -> None:
    try:
        subprocess.run(command, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise CannotMount(f"{command[0]}: {said}") from error


def _device(mount: Path) -> str:
    for line in Path("/proc/mounts").read_text().splitlines():
        device, place, *_ = line.split()
        if place == str(mount):
            return device
    raise CannotMount(f"{mount} is not mounted")
