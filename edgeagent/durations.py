"""How long something took, time after time: counted in fixed classes from 1 ms to 1 s."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Upper bounds of the classes in seconds; what took longer is in one more."""

_BOUNDS_NS = tuple(round(bound * 1e9) for bound in BOUNDS_S)


class Durations:
    """Counts durations; costs a search among ten numbers each.

    Attributes:
        counts: one for each class of BOUNDS_S, and the one beyond. sum_ns: all of them together.
    """

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_NS) + 1)
        self.sum_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one; less than nothing is nothing."""
        self.counts[bisect_left(_BOUNDS_NS, duration_ns)] += 1
        if duration_ns > 0:
            self.sum_ns += duration_ns

    def copy(self) -> Durations:
        """The same numbers, which count no further."""
        copied = Durations()
        copied.counts, copied.sum_ns = self.counts.copy(), self.sum_ns
        return copied

    def buckets(self) -> list[tuple[str, float]]:
        """The counts as Prometheus wants them: upper bound in seconds → how many took no longer, "+Inf" last."""
        bounds = [f"{bound:g}" for bound in BOUNDS_S] + ["+Inf"]
        told, total = [], 0
        for bound, count in zip(bounds, self.counts, strict=True):
            total += count
            told.append((bound, float(total)))
        return told
