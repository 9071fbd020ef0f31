"""Event.*: subscriptions, reading from a place, and the state at a sequence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import BoardInProcess
from edgeagent.model.events import GapRange
from edgeagent.model.functions.forms import Parameters, Result, Text
from edgeagent.model.functions.machines import MachineStatus
from edgeagent.model.samples import MeasuredValue
from edgeagent.model.terms import ClockTerm


class Place(Parameters, frozen=True):
    """A place in a stream: the first wanted sequence."""

    stream: Text
    sequence: Annotated[int, Meta(ge=1)]


From = Literal["now", "beginning"] | Place


Topics = Annotated[tuple[Text, ...], Meta(min_length=1, max_length=64)]


class Subscribe(Parameters, frozen=True):
    """Which events to push on this connection, and from where on."""

    topics: Topics
    machines: Annotated[tuple[Text, ...], Meta(max_length=64)] | None = None
    from_: From = msgspec.field(name="from", default="now")


class Subscribed(Result, frozen=True):
    """A subscription; the next durable event has `nextSequence` or a higher one."""

    subscription: str
    stream: str
    next_sequence: int


class Unsubscribe(Parameters, frozen=True):
    """Ends a subscription of this connection."""

    subscription: Text


class ReadEvents(Parameters, frozen=True):
    """Durable events from a place on; `waitMs` is how long to wait for the first."""

    from_: From = msgspec.field(name="from")
    topics: Topics = ("*",)
    machines: Annotated[tuple[Text, ...], Meta(max_length=64)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    wait_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0


class Told(Result, frozen=True):
    """A durable event as it is read; `data` is what x-events says of its `method`."""

    method: str
    stream: str
    sequence: int
    previous: int
    time: str
    clock: ClockTerm
    machine: str
    data: Any


class EventsRead(Result, frozen=True):
    """Events in order; go on at `nextSequence`."""

    stream: str
    first_sequence: int
    next_sequence: int
    events: tuple[Told, ...]
    gaps: tuple[GapRange, ...]


class MachineSnapshot(Result, frozen=True):
    """Everything that stands at one machine now."""

    status: MachineStatus
    values: tuple[MeasuredValue, ...]
    alarms: tuple[Alarm, ...]
    boards: tuple[BoardInProcess, ...]


class Snapshot(Result, frozen=True):
    """The current state and the last sequence that it includes: subscribe from `sequence` + 1 and nothing is missed."""

    stream: str
    sequence: int
    time: str
    clock: ClockTerm
    machines: tuple[MachineSnapshot, ...]
