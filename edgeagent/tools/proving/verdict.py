"""What a scenario tried, what was seen, and whether it held."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Seen(msgspec.Struct, frozen=True):
    """One line of the table.

    Attributes:
        times: how often it was tried. seen: in figures. faults: what must not be, in sentences; none where it held.
    """

    scenario: str
    tried: str
    times: int
    seen: str
    faults: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """In a word."""
        return "FAILED" if self.faults else "held"


def ninety_ninth(values: Sequence[float]) -> float:
    """The 99th percentile; NaN of nothing."""
    if len(values) < 2:
        return values[0] if values else float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[98]
