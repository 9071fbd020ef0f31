"""What systemd is told about the service, by its notification protocol (sd_notify(3))."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

_log = logging.getLogger(__name__)

_LONGEST = 500
"""Characters of a status; it is for one look."""


class Notifier:
    """Tells systemd how the service stands; tells nobody where it was not started by systemd.

    Args:
        environment: with NOTIFY_SOCKET, and with WATCHDOG_USEC and WATCHDOG_PID where a watchdog waits.

    Attributes:
        watchdog_s: longest time between two `alive`, in seconds; None without a watchdog.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) if name else None
        self._status = ""
        is_meant = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
        microseconds = environment.get("WATCHDOG_USEC", "") if is_meant and name else ""
        self.watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None

    def ready(self) -> None:
        """It serves now, for the first time or again."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """It begins anew with another configuration; `ready` tells the end."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """It ends."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """Every vital part turns."""
        self._tell("WATCHDOG=1")

    def status(self, words: str) -> None:
        """Say in one line how it stands; the same words are told once."""
        line = " ".join(words.split())[:_LONGEST]
        if line != self._status and self._tell(f"STATUS={line}"):
            self._status = line

    def close(self) -> None:
        """Tell nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, assignments: str) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.sendto(assignments.encode(), self._address)
        except OSError as error:
            _log.warning("systemd cannot be told %s: %s", assignments.partition("=")[0], error)
            return False
        return True
