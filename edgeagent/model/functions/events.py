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


Begin = Annotated[
    From | Literal["cursor"] | None,
    Meta(description='"now", "beginning", the first wanted sequence of a stream, or "cursor", after what is done'),
]


Topics = Annotated[tuple[Text, ...], Meta(min_length=1, max_length=64)]


ConsumerName = Annotated[str, Meta(min_length=1, max_length=64)]


class Subscribe(Parameters, frozen=True):
    """Which events to push on this connection, and from where on.

    `from` is "cursor" where a consumer is named (a new one: the beginning), else "now"; another one moves the consumer
    there. `maxInFlight` is how many events of a consumer may be told and not acknowledged, 100 if left out.
    """

    topics: Topics
    machines: Annotated[tuple[Text, ...], Meta(max_length=64)] | None = None
    consumer: ConsumerName | None = None
    from_: Begin = msgspec.field(name="from", default=None)
    max_in_flight: Annotated[int, Meta(ge=1, le=1000)] | None = None


class Subscribed(Result, frozen=True):
    """A subscription; the next durable event has `nextSequence` or a higher one."""

    subscription: str
    stream: str
    next_sequence: int


class Unsubscribe(Parameters, frozen=True):
    """Ends a subscription of this connection."""

    subscription: Text


class Acknowledge(Parameters, frozen=True):
    """Everything up to `sequence` is done and needs not be told to this consumer again."""

    consumer: ConsumerName
    stream: Text
    sequence: Annotated[int, Meta(ge=1)]


class Acknowledged(Result, frozen=True):
    """Where the consumer stands on disk."""

    consumer: str
    stream: str
    acknowledged: int


class OfConsumer(Parameters, frozen=True):
    """Of one consumer."""

    consumer: ConsumerName


class ConsumerStanding(Result, frozen=True):
    """A consumer: who made it, what it wants, up to where it acknowledged, and what it has not acknowledged yet.

    `lag` counts wanted events, up to 100 000; `lastSeen` is now while it is connected.
    """

    name: str
    owner: str
    topics: tuple[str, ...]
    machines: tuple[str, ...] | None
    stream: str
    acknowledged: int
    lag: int
    connected: bool
    last_seen: str


class ConsumersFound(Result, frozen=True):
    """Consumers by name."""

    consumers: tuple[ConsumerStanding, ...]


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
