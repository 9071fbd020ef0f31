"""What may be in a lane's tunnel beside the boards that are followed, and how that becomes known again."""

from __future__ import annotations

import msgspec

STOOD_S = 120.0
"""The belt of an empty lane that stood before and after a silence of this length is taken to have stood."""


class Doubt(msgspec.Struct, frozen=True):
    """Why something may be in the tunnel that is not told as a board.

    Attributes:
        since_mm: belt travel since which nothing new came into doubt.
        stays: what is in doubt may not move with the belt: only somebody who looks into the tunnel ends it.
    """

    reason: str
    since_mm: float = 0.0
    stays: bool = False


BEGAN = Doubt("the tunnel was not inspected, nor has the belt carried out what was in it, since watching began")


def lasting(before: Doubt | None, new: Doubt) -> Doubt:
    """Of two doubts the one that lasts; what stays is not forgotten for what the belt carries out."""
    return before if before and before.stays and not new.stays else new


def rested(doubt: Doubt, travel_mm: float, length_mm: float, stands: bool) -> Doubt | None:
    """Hold a doubt against the belt: over once it has carried out whatever could lie on it.

    Args:
        length_mm: belt travel after which a board that moves with the belt is out for sure.
        stands: something is held at the outlet, or could be: what is inside need not move with the belt.
    """
    if doubt.stays:
        return doubt
    if stands:
        return msgspec.structs.replace(doubt, since_mm=travel_mm)
    return None if travel_mm - doubt.since_mm > length_mm else doubt
