"""How the file is doing, in figures."""

from __future__ import annotations

import msgspec


class StoreHealth(msgspec.Struct, frozen=True):
    """How the file is doing: writes that wait, why they fail now, writes and commits since it was opened.

    `lag_s` is how long the oldest write waits, in real seconds; 0 when none does. `left_out` counts writes that found
    no room in memory while the disk refused, until that is noted on disk.
    """

    waiting: int
    failing: str | None
    writes: int
    commits: int
    lag_s: float
    left_out: int = 0
