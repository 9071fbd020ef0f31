"""Wakes the one thread that waits for something to do."""

from __future__ import annotations

import threading


class Bell:
    """Rung from any thread, heard by one; a ring that comes before the wait ends it at once."""

    def __init__(self) -> None:
        self._silence = threading.Lock()  # a condition makes a lock for each wait and is taken three times a ring
        self._silence.acquire()

    def ring(self) -> None:
        """End the wait of now, or the next one; rung again before that, it says no more."""
        try:
            self._silence.release()
        except RuntimeError:  # it was rung already
            return

    def wait(self, seconds: float = -1) -> None:
        """Wait for a ring, so long at most; for ever where that is negative."""
        self._silence.acquire(timeout=seconds)
