"""Memory that clients had is given back to the system when they have left; the C library would keep it for the next."""

from __future__ import annotations

import ctypes
import gc
import sys
import time

_NOT_AGAIN_S = 5.0


class Returned:
    """Gives memory back, now and then."""

    def __init__(self) -> None:
        self._trim = _malloc_trim()
        self._left = 0
        self._at = time.monotonic()

    def after(self, left: int) -> None:
        """Give it back if clients have left since; `left` counts all that ever did."""
        if left == self._left or time.monotonic() - self._at < _NOT_AGAIN_S:
            return
        self._left, self._at = left, time.monotonic()
        gc.collect()
        if self._trim:
            self._trim(0)


def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    """The C library's; None where it has none."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
