"""The current row of a machine, and a single value as it is sent."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

import msgspec

from edgeagent.clock import iso
from edgeagent.model.points import WORDS, Point, Quality
from edgeagent.model.terms import QualityTerm

if TYPE_CHECKING:
    from edgeagent.model.machine import Machine


class Row:
    """All values of a machine as they stand now; written by decoding, read by everybody, on the event loop only.

    Attributes:
        values: float64[points], NaN where there is no value.
        quality: uint8[points] of `Quality`.
        times: int64[groups], monotonic ns of the last answer of each group; 0 before the first.
        stamps: int64[groups], wall ns of the same moments.
        texts: column → text, for text points only.
    """

    __slots__ = ("quality", "stamps", "texts", "times", "values")

    def __init__(self, points: int, groups: int) -> None:
        self.values = array("d", [math.nan]) * points
        self.quality = bytearray([Quality.BAD]) * points
        self.times = array("q", [0]) * groups
        self.stamps = array("q", [0]) * groups
        self.texts: dict[int, str] = {}

    def first(self, count: int) -> tuple[memoryview, memoryview]:
        """The first columns alone, in the same memory: float64[count] values and uint8[count] quality."""
        return memoryview(self.values)[:count], memoryview(self.quality)[:count]

    def good(self, column: int) -> bool:
        """Say whether the column holds a good value."""
        return self.quality[column] == Quality.GOOD


class MeasuredValue(msgspec.Struct, frozen=True, rename="camel"):
    """One value as it is sent, rounded to its decimals; null where there is none; `time` is when it was read."""

    object: str
    name: str
    value: float | bool | str | None
    unit: str | None
    quality: QualityTerm
    time: str | None


def show(machine: Machine, row: Row, point: Point, now_ns: int) -> MeasuredValue:
    """Read one value of the row, honest about its age.

    Args:
        now_ns: monotonic time; a good value older than its group's longest age is stale.
    """
    group = machine.groups[point.group]
    quality = row.quality[point.index]
    if quality < Quality.STALE and now_ns - row.times[point.group] > group.max_age_ns:
        quality = Quality.STALE
    stamp = row.stamps[point.group]
    return MeasuredValue(point.object, point.name, plain(row, point), point.unit, WORDS[quality],
                         iso(stamp) if stamp else None)


def qualities(machine: Machine, row: Row, now_ns: int) -> tuple[int, int, int, int]:
    """How many values are good, uncertain, stale and bad at this monotonic time, as `show` tells them."""
    counts = [0] * len(WORDS)
    is_old = [now_ns - row.times[group.index] > group.max_age_ns for group in machine.groups]
    for point in machine.points:
        quality = row.quality[point.index]
        counts[Quality.STALE if quality < Quality.STALE and is_old[point.group] else quality] += 1
    return counts[0], counts[1], counts[2], counts[3]


def plain(row: Row, point: Point) -> float | bool | str | None:
    """The value as people mean it: text, true or false, a rounded number, or None."""
    if point.is_text:
        return row.texts.get(point.index) if row.quality[point.index] != Quality.BAD else None
    value = row.values[point.index]
    if math.isnan(value):
        return None
    if point.is_bit:
        return value != 0
    return rounded(value, point.decimals)


def rounded(value: float, decimals: int | None) -> float | None:
    """Round for sending; None for NaN, an integer where there are no decimals."""
    if math.isnan(value) or math.isinf(value):
        return None
    if decimals is None:
        return value
    return round(value, decimals) if decimals else round(value)


def is_same(written: float | str | bool | None, read: float | str | bool | None) -> bool:
    """Say whether what was read is what was written; a number goes through the machine's raw ones and back."""
    if written is None or read is None or isinstance(written, str) or isinstance(read, str):
        return written is not None and written == read
    return math.isclose(written, read, rel_tol=1e-6, abs_tol=1e-6)
