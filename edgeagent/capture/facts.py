"""What a record is made of: the facts of a board, and what a machine of one kind did to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from edgeagent.model.boards import Barcode, InsideRecord, RecipeName

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeagent._core.capture import ZoneFigures
    from edgeagent.model.machine import Judging

WHOLE = 0.9
"""Share of the beats that must be there for a figure to be good."""

_LONG_GAP_S = 2.0
"""A zone or a stay with a longer silence is uncertain."""

Judgement = tuple[str, bool | None]
"""A reason with False where it is a failure and None where it keeps the verdict unknown."""


class Facts(msgspec.Struct, kw_only=True):
    """What is known of a board beside the core's figures; times are wall ns, `exited_ns` None where nobody saw it.

    Attributes:
        setpoint_at: path, monotonic ns → the setpoint in force then, NaN where unknown.
        judging: by the recipe that ran when it entered.
    """

    id: str
    barcodes: tuple[Barcode, ...]
    recipe: RecipeName
    entered_ns: int
    exited_ns: int | None
    length_mm: float | None
    uncertain: bool
    process_ready: bool | None
    inside: InsideRecord
    serial_number: str | None
    offset_mm: float | None
    setpoint_at: Callable[[str, int], float]
    judging: Judging
    wall_minus_monotonic_ns: int


class Process(NamedTuple):
    """What a machine of one kind did to a board: members of its record, judged, and why its profile is unknown."""

    members: dict[str, Any]
    judgements: tuple[Judgement, ...]
    doubt: str


def quality(count: int, expected: int, longest_gap_s: float) -> str:
    """How good statistics over so many of the expected beats are."""
    if count == 0:
        return "bad"
    return "uncertain" if count < WHOLE * expected or longest_gap_s > _LONG_GAP_S else "good"


def zone_quality(seen: ZoneFigures, count: int, at_centre: float) -> str:
    """How good the figures of one column of a zone are: without a value at its middle never good."""
    told = quality(count, seen.rows, seen.longest_gap_s)
    return "uncertain" if told == "good" and at_centre != at_centre else told  # noqa: PLR0124
