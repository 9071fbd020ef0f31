"""What this process has open."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

FOLDER = Path("/proc/self/fd")


def open_below(folder: Path) -> list[str]:
    """Names of the files below a folder that are open, the lock of a store that is open among them."""
    found = []
    for descriptor in FOLDER.iterdir():
        with suppress(OSError):
            found.append(descriptor.readlink())
    return sorted(path.name for path in found if path.is_relative_to(folder))
