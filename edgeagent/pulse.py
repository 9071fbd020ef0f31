"""Whether something that turns for ever still does."""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 60.0
"""Longest time for a turn beyond what it waits for by itself; real seconds, whatever the agent's clock says."""


class Pulse:
    """Tells when the next turn was to come; nothing is expected before the first. May be used from any thread."""

    def __init__(self) -> None:
        self._due = math.inf

    def turn(self, rest_s: float = 0.0) -> None:
        """Say that it turns, and rests on purpose for so many real seconds before the next."""
        self._due = monotonic() + rest_s

    def rest(self) -> None:
        """Expect nothing until the next turn."""
        self._due = math.inf

    def check(self, more_s: float = 0.0) -> Callable[[], str | None]:
        """Make a check that tells when a turn is late by more than the patience and `more_s`."""

        def late() -> str | None:
            seconds = monotonic() - self._due
            return f"has not turned for {seconds:.0f} s" if seconds > PATIENCE_S + more_s else None

        return late
