"""Serial ports by names that stay the same when an adapter is plugged in again, or another one first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from serial.tools import list_ports  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeagent.config import LineTable

_STABLE = (Path("/dev/serial/by-id"), Path("/dev/serial/by-path"))
"""udev's links: by the adapter's serial number, and by the socket that it is plugged into."""
_PASSING = re.compile(r"/dev/tty(USB|ACM)\d+")


class Port(NamedTuple):
    """A serial port: its name of today, a stable one where there is one, and what it is for people."""

    name: str
    stable: str | None
    text: str


def ports() -> list[Port]:
    """The computer's serial ports, adapters first."""
    found = sorted(list_ports.comports(), key=lambda port: (port.vid is None, port.device))
    return [Port(port.device, stable_name(port.device), port.description or "") for port in found]


def stable_name(name: str, folders: Iterable[Path] = _STABLE) -> str | None:
    """A link of udev's to the port; None where there is none."""
    device = Path(name).resolve()
    for folder in folders:
        for link in sorted(folder.glob("*")):
            if link.resolve() == device:
                return str(link)
    return None


def warnings(lines: Iterable[LineTable]) -> Iterator[str]:
    """Which lines have ports whose names may be other adapters' after the next start."""
    for index, line in enumerate(lines):
        if told := warning(line.port):
            yield f"lines[{index}].port: {told}"


def warning(port: str) -> str:
    """What is wrong with a port's name; empty where it stays the same."""
    if not _PASSING.fullmatch(port):
        return ""
    stable = stable_name(port)
    mend = f"now it is {stable}" if stable else "look for its name with `edgeagent scan`"
    return f"{port} may be another adapter after the next start; {mend}"
