"""The simulator's end of a serial line: a fresh pty under a stable name, or a port that is there already."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import tty
from contextlib import suppress
from pathlib import Path

import serial  # type: ignore[import-untyped]

from edgeagent.acquire.serial_port import PARITY

_PTYS = Path("/dev/pts")
_CHUNK = 4096

_PIECE = 16
"""Characters sent at once, as a serial chip hands them on."""


class PortRefused(OSError):
    """The port cannot be served on: why, and what to do."""


class Port:
    """Bytes in, bytes out, never waiting; open until closed.

    Attributes:
        is_pty: nothing but this program paces the bytes.
        character_s: how long one character takes.

    Args:
        name: a name for a fresh pty, which becomes a symbolic link to its other end, or a character device.

    Raises:
        PortRefused: something else is at the name, or the device cannot be opened.
    """

    def __init__(self, name: str, baud: int, parity: str, stop_bits: int, data_bits: int = 8) -> None:
        self.name = name
        self.character_s = (1 + data_bits + (parity != "none") + stop_bits) / baud
        self._link = Path(name)
        self._slave: int | None = None
        self._serial: serial.Serial | None = None
        self.is_pty = not _is_port(self._link)
        if self.is_pty:
            self._make()
        else:
            try:
                # An inter-byte timeout makes pyserial set VMIN = 1: an empty read then means a hang-up.
                self._serial = serial.Serial(name, baud, bytesize=data_bits, parity=PARITY[parity], stopbits=stop_bits,
                                             timeout=0, inter_byte_timeout=0, exclusive=True)  # fmt: skip
            except (OSError, ValueError) as error:
                raise PortRefused(f"{name} cannot be opened: {error}") from None
            self._descriptor = int(self._serial.fileno())

    def _make(self) -> None:
        self._descriptor, slave = os.openpty()
        # The other end stays open here, so that the pty outlives an agent that closes it and comes again.
        self._slave, self._target = slave, os.ttyname(slave)
        tty.setraw(self._descriptor)
        tty.setraw(slave)
        os.set_blocking(self._descriptor, False)
        try:
            _clear(self._link)
            self._link.symlink_to(self._target)
        except PortRefused:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise PortRefused(f"{self.name} cannot be made: {error.strerror}; choose another name") from None

    def fileno(self) -> int:
        """The descriptor to wait at."""
        return self._descriptor

    def read(self) -> bytes:
        """What has arrived; empty for nothing. OSError when the port is gone."""
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return data

    def write(self, data: bytes) -> None:
        """Send; what a line without listener cannot hold is lost, as on any wire. OSError when the port is gone."""
        with suppress(BlockingIOError):
            os.write(self._descriptor, data)

    async def say(self, data: bytes) -> None:
        """Send as fast as the line goes: a pty in pieces, each when the last of its characters would have arrived."""
        if not self.is_pty:
            self.write(data)
            await asyncio.sleep(len(data) * self.character_s)
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            await asyncio.sleep(began + (at + len(piece)) * self.character_s - loop.time())
            self.write(piece)

    def close(self) -> None:
        """Close, and take the name of a pty away."""
        if self._serial is not None:
            self._serial.close()
        if self._slave is not None:
            with suppress(OSError):
                if self._link.readlink() == Path(self._target):
                    self._link.unlink()
            os.close(self._slave)
            os.close(self._descriptor)
            self._slave = None
        self._descriptor = -1


def _is_port(name: Path) -> bool:
    """Say whether a character device is there already, by its own name or by a stable one; a link to a pty is none."""
    with suppress(OSError):
        return stat.S_ISCHR(name.stat().st_mode) and not _is_pty_link(name)
    return False


def _is_pty_link(name: Path) -> bool:
    return name.is_symlink() and name.readlink().parent == _PTYS


def _clear(name: Path) -> None:
    """Take a link away that a simulation left behind; PortRefused for anything else at this name."""
    if not name.is_symlink() and not name.exists():
        return
    if not _is_pty_link(name):
        raise PortRefused(f"{name} is something else already: choose another name for the simulated port")
    if name.exists():
        raise PortRefused(f"{name} belongs to a pty that lives: stop what serves it, or remove the link")
    name.unlink()
