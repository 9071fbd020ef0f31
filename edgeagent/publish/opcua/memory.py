"""Memory that clients had is given back to the system; the C library would keep it for the next."""

from __future__ import annotations

import gc
import time

from edgeagent._core import kernel

_EVERY_S = 5.0


class Returned:
    """Gives memory back, again and again: what a client browsed is let go of in pieces, between what stays."""

    def __init__(self) -> None:
        self._left = 0
        self._at = time.monotonic()

    def look(self, left: int) -> None:
        """Give it back if it is time; `left` counts all clients that ever did leave."""
        if time.monotonic() - self._at < _EVERY_S:
            return
        if left != self._left:
            gc.collect()
        kernel.give_back()
        self._left, self._at = left, time.monotonic()
