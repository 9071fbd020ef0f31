"""What is known of a lane's boards, what of that survives a restart, and what can happen to one."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from edgeagent.capture.barrier import BarrierMemory, Edge
from edgeagent.capture.doubt import BEGAN, Doubt


class Board(msgspec.Struct, kw_only=True):
    """A board in the tunnel.

    Attributes:
        number: counts the lane's boards; the pipeline keeps names and codes under it.
        slot: its place in the core; -1 while it is still entering and its length is not known.
        entry: the edge of its leading side at the inlet.
        length_mm: None while entering; `length_known` is False when an outage hid its end.
        leaving: the edge at the outlet, once it was seen there; offset_mm is how far off the expected place that was.
        adrift: the belt may have moved it by a gap more than was seen.
        held: it stands at a blocked outlet; queued: it did, or stood behind one that did.
    """

    number: int
    entry: Edge
    slot: int = -1
    length_mm: float | None = None
    length_known: bool = True
    leaving: Edge | None = None
    offset_mm: float | None = None
    uncertain: bool = False
    adrift: bool = False
    held: bool = False
    queued: bool = False


class TrackerMemory(msgspec.Struct):
    """What survives a restart."""

    inlet: BarrierMemory = msgspec.field(default_factory=BarrierMemory)
    outlet: BarrierMemory = msgspec.field(default_factory=BarrierMemory)
    boards: list[Board] = msgspec.field(default_factory=list)
    count: int = 0
    last_ns: int = 0
    last_mm: float = 0.0
    last_mm_s: float = 0.0
    ran_mm_s: float = 0.0
    """The belt's highest speed since a board entered the empty lane; 0 where it was never seen to run."""
    outage_s: float = 0.0
    outage_mm: float = 0.0
    """The longest outage that boards inside have seen: seconds, and belt travel in it."""
    hidden_mm: float = -math.inf
    """Belt travel at which an outage ended that can have hidden one board after another at the inlet."""
    open_mm: float = -math.inf
    """Belt travel at which an outage ended that can have hidden the entry of a whole board."""
    far_mm: float = -math.inf
    """Belt travel that the belt can have come to in that outage."""
    is_endless: bool = False
    """How long the outage before the next beat is nobody knows."""
    late_mm: float = 0.0
    """How late the last board reached the outlet, in mm of belt."""
    doubt: Doubt | None = BEGAN
    """Why something may be inside beside these boards; None where nothing can be."""
    booked_out_mm: float = -math.inf
    """Belt travel at which a board was last booked out by hand."""


class Entered(NamedTuple):
    """A board entered: its leading edge is sure to be one."""

    board: Board


class Left(NamedTuple):
    """A board came out; `time_ns` is when its trailing edge left the outlet."""

    board: Board
    time_ns: int


class Lost(NamedTuple):
    """A board did not come out in time."""

    board: Board
    reason: str


class Unexpected(NamedTuple):
    """Something stands or came where no board was known to be; position in mm from the entrance."""

    time_ns: int
    position_mm: float
    reason: str


Happening = Entered | Left | Lost | Unexpected
