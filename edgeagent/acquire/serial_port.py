"""One serial port, opened for this program alone: bytes in, bytes out, and why it is gone when it is."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import Callable
from contextlib import suppress

import serial  # type: ignore[import-untyped]

from edgeagent.errors import Unreachable

MARGIN_S = 0.05
"""What a USB adapter and a busy computer add to every answer."""

LONGEST_PAUSE_NS = 250_000_000
"""Longest pause inside of what is said in one breath: what an adapter and a busy computer can hold back, with room."""

OPEN_AGAIN_NS = 2_000_000_000
"""Time between two tries to open a port on which nothing is asked."""

_CHUNK = 4096
_NO_PORT = "there is no such port; is the adapter plugged in?"
_NOT_PERMITTED = "not permitted; add the agent's user to the port's group (often dialout)"
_GONE = "the adapter was pulled out, or the line's other end is gone"
_WHY = {
    errno.ENOENT: _NO_PORT, errno.ENXIO: _NO_PORT, errno.ENODEV: _NO_PORT,
    errno.EACCES: _NOT_PERMITTED, errno.EPERM: _NOT_PERMITTED,
    errno.EAGAIN: "in use by another program", errno.EBUSY: "in use by another program",
    errno.EIO: _GONE,
}  # fmt: skip
PARITY = {"none": "N", "even": "E", "odd": "O"}
"""As pyserial and data sheets (8E1) write it."""


Tap = Callable[[bool, bytes], None]
"""Called with whether bytes were sent, and the bytes."""


class SerialPort:
    """A port by a name that stays the same when the adapter is plugged in again; on the event loop only.

    Args:
        parity: "none", "even" or "odd".
        take: called with what was heard, and with nothing when the port was lost.
        tap: called with every byte that passes, and whether it was sent.
        data_bits: 7 or 8.
    """

    def __init__(
        self, name: str, baud: int, parity: str, stop_bits: int, take: Callable[[bytes], None], data_bits: int = 8,
        tap: Tap | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self._tap = tap
        self.character_s = (1 + data_bits + (parity != "none") + stop_bits) / baud
        self._settings = {
            "baudrate": baud, "bytesize": data_bits, "parity": PARITY[parity], "stopbits": stop_bits,
        }  # fmt: skip
        self._take = take
        self._serial: serial.Serial | None = None
        self._lost = "not open"

    @property
    def is_open(self) -> bool:
        """Whether the port can be used."""
        return self._serial is not None

    def open(self) -> None:
        """Open the port; raises Unreachable."""
        try:
            # An inter-byte timeout makes pyserial set VMIN = 1: an empty read then means a hang-up, not "nothing yet".
            self._serial = serial.Serial(self.name, **self._settings, timeout=0, inter_byte_timeout=0, exclusive=True)
        except (OSError, ValueError, termios.error) as error:
            raise Unreachable(f"{self.name}: {_why(error)}") from error
        with suppress(OSError, ValueError, NotImplementedError):
            # An FTDI adapter otherwise holds what it hears for up to 16 ms; others have no such switch.
            self._serial.set_low_latency_mode(True)
        if self._settings["parity"] != "N":
            _check_parity(self._serial.fileno())
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._serial.fileno(), self.receive)

    def close(self, why: str = "closed") -> None:
        """Close the port; may be called twice."""
        if self._serial is None:
            return
        self._lost = why
        self._loop.remove_reader(self._serial.fileno())
        self._serial.close()
        self._serial = None
        self._take(b"")

    def demand(self, error: type[Unreachable] = Unreachable) -> None:
        """Raise Unreachable, or a kind of it, where the port is not open, and say why."""
        if self._serial is None:
            raise error(f"{self.name}: {self._lost}")

    def receive(self) -> None:
        """Take what the port has; closes it when it is gone."""
        if self._serial is None:
            return
        try:
            data = os.read(self._serial.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(_why(error))
            return
        if data:
            if self._tap:
                self._tap(False, data)
            self._take(data)
        else:
            self.close(_GONE)

    def send(self, data: bytes) -> None:
        """Send all of it at once; raises Unreachable."""
        self.demand()
        assert self._serial is not None
        try:
            sent = os.write(self._serial.fileno(), data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.close(_why(error))
            raise Unreachable(f"{self.name}: {self._lost}") from error
        if self._tap:
            self._tap(True, data[:sent])
        if sent < len(data):
            raise Unreachable(f"{self.name} takes no more bytes; the adapter is stuck")


def _check_parity(descriptor: int) -> None:
    """Hear a character with wrong parity as NUL, never not at all, where the driver can tell; pyserial does not."""
    with suppress(termios.error):
        attributes = termios.tcgetattr(descriptor)
        attributes[0] = attributes[0] & ~termios.IGNPAR | termios.INPCK
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def _why(error: Exception) -> str:
    if isinstance(error, termios.error):
        return f"it does not take this speed, parity or number of stop bits ({error.args[-1]})"
    return _WHY.get(getattr(error, "errno", None) or 0, str(error))
