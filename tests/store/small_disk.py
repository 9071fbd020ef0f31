"""A real file system of a few MiB, which can be filled to its last byte; only where this user may mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

KINDS = ("tmpfs", "ext4")


class SmallDisk:
    """One that is mounted at `folder`; `fill` and `empty` as somebody else on the computer does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._others = folder / "somebody's logs"

    def free(self) -> int:
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Take all room, but for so many bytes."""
        with self._others.open("ab", buffering=0) as file:
            size = 1 << 16
            while size:
                with suppress(OSError):
                    while self.free() >= leave + size:
                        file.write(b"x" * size)
                size >>= 1

    def empty(self) -> None:
        self._others.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, kind: str = "tmpfs", mebibytes: int = 12) -> Iterator[SmallDisk]:
    """Mount one below a folder; skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    place, image = folder / "disk", folder / "image"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(place)]
    if kind == "ext4":
        with image.open("wb") as file:
            file.truncate(mebibytes << 20)
        _run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image))
        mount = ["mount", "-o", "loop", str(image), str(place)]
    _run(*mount)
    try:
        yield SmallDisk(place)
    finally:
        subprocess.run(("umount", str(place)), check=True)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{' '.join(command)}: {error.stderr.strip()}")
