"""A point is the one description of a value; its index in `machine.points` is its column everywhere."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Quality(IntEnum):
    """How far a value can be trusted; the number is what a row holds, the name in lower case what is sent."""

    GOOD = 0
    UNCERTAIN = 1
    STALE = 2
    BAD = 3

    @property
    def word(self) -> str:
        """The word on the wire."""
        return WORDS[self]


WORDS = tuple(quality.name.lower() for quality in Quality)
"""The words on the wire; the index is what a row holds."""


class Point(msgspec.Struct, frozen=True):
    """One value of a machine.

    Attributes:
        index: column in every row.
        object, name: "zone/1/top" and "temperature"; together the path.
        kind: "measured", "setpoint", "limit" or "state".
        group: index in `machine.groups`; all points of a group share one time.
        low, high: range in which a value can be true, in `unit`; None where not limited.
        decimals: places sent on; None for texts.
        deadband: in `unit`; silence_s: longest time between two telemetry values.
        is_text: the value is a text and travels beside the row; is_bit: it is sent as true or false.
    """

    index: int
    object: str
    name: str
    kind: str
    group: int
    unit: str | None
    low: float | None
    high: float | None
    decimals: int | None
    deadband: float
    silence_s: float
    writable: bool
    is_text: bool
    is_bit: bool
    text: str

    @property
    def path(self) -> str:
        """`object/name`, unique in its machine."""
        return f"{self.object}/{self.name}"


class ReadGroup(msgspec.Struct, frozen=True):
    """Points read together by one source; times in ns."""

    index: int
    name: str
    source: int
    period_ns: int
    max_age_ns: int
