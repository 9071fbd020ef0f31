"""The one catalogue of functions: JSON-RPC, OpenRPC and the docs walk it; names are the OpenApps profile's."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import BoardInProcess, BoardRecord, BoardTrace, RecipeName
from edgeagent.model.events import GapRange
from edgeagent.model.samples import MeasuredValue

Text = Annotated[str, Meta(max_length=256)]
Machine = Annotated[str | None, Meta(description="machine id; may be left out while the agent serves one machine")]


class _Parameters(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    pass


class _Result(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Nothing(_Parameters, frozen=True):
    """No parameters."""


class OfMachine(_Parameters, frozen=True):
    """Of one machine."""

    machine: Machine = None


class Place(_Parameters, frozen=True):
    """A place in a stream: the first wanted sequence."""

    stream: Text
    sequence: Annotated[int, Meta(ge=1)]


From = Literal["now", "beginning"] | Place
Topics = Annotated[tuple[Text, ...], Meta(min_length=1, max_length=64)]


class Subscribe(_Parameters, frozen=True):
    """Which events to push on this connection, and from where on."""

    topics: Topics
    machines: Annotated[tuple[Text, ...], Meta(max_length=64)] | None = None
    from_: From = msgspec.field(name="from", default="now")


class Subscribed(_Result, frozen=True):
    """A subscription; the next durable event has `nextSequence` or a higher one."""

    subscription: str
    stream: str
    next_sequence: int


class Unsubscribe(_Parameters, frozen=True):
    """Ends a subscription of this connection."""

    subscription: Text


class ReadEvents(_Parameters, frozen=True):
    """Durable events from a place on; `waitMs` is how long to wait for the first."""

    from_: From = msgspec.field(name="from")
    topics: Topics = ("*",)
    machines: Annotated[tuple[Text, ...], Meta(max_length=64)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    wait_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0


class EventsRead(_Result, frozen=True):
    """Events in order (each as the parameters of its notification, with `method`); go on at `nextSequence`."""

    stream: str
    first_sequence: int
    next_sequence: int
    events: tuple[Any, ...]
    gaps: tuple[GapRange, ...]


class SoftwareOfMachine(_Result, frozen=True):
    """Firmware as the machine tells it; None where it does not."""

    machine: str
    firmware: str | None
    map: str
    fingerprint: str


class SoftwareVersion(_Result, frozen=True):
    """Versions of the agent, of the OpenApps profile and of each machine's firmware."""

    agent: str
    profile: str
    machines: tuple[SoftwareOfMachine, ...]


class ZoneDescription(_Result, frozen=True):
    """A zone: places in mm from the tunnel's entrance."""

    number: int
    kind: str
    position_mm: float
    length_mm: float
    objects: tuple[str, ...]


class LaneDescription(_Result, frozen=True):
    """A lane: places of its barriers in mm from the tunnel's entrance."""

    number: int
    inlet_mm: float
    outlet_mm: float


class MachineDescription(_Result, frozen=True):
    """What the machine is."""

    id: str
    manufacturer: str
    model: str
    serial_number: str | None
    kind: str
    map: str
    fingerprint: str
    lanes: tuple[LaneDescription, ...]
    zones: tuple[ZoneDescription, ...]
    instruments: tuple[str, ...]


class ParameterDescription(_Result, frozen=True):
    """One parameter of an object; kind is measured, setpoint, limit or state."""

    name: str
    kind: str
    type: str
    unit: str | None
    range: tuple[float | None, float | None]
    decimals: int | None
    writable: bool
    text: str


class ObjectDescription(_Result, frozen=True):
    """One object of the machine."""

    object: str
    parameters: tuple[ParameterDescription, ...]


class Objects(_Result, frozen=True):
    """Every object of a machine."""

    machine: str
    objects: tuple[ObjectDescription, ...]


class GetObjectParameters(_Parameters, frozen=True):
    """One object of a machine."""

    object: Text
    machine: Machine = None


class Values(_Result, frozen=True):
    """Values with quality and the time when each was measured."""

    machine: str
    values: tuple[MeasuredValue, ...]


class GetValues(_Parameters, frozen=True):
    """Some objects, or all."""

    objects: Annotated[tuple[Text, ...], Meta(max_length=1000)] | None = None
    machine: Machine = None


class AlarmOfMachine(_Result, frozen=True):
    """A standing alarm and its machine."""

    machine: str
    alarm: Alarm


class ActiveAlarms(_Result, frozen=True):
    """The alarms that stand now."""

    alarms: tuple[AlarmOfMachine, ...]


class GetBoard(_Parameters, frozen=True):
    """One board by its id."""

    id: Text


class GetTrace(_Parameters, frozen=True):
    """A board's trace, thinned to at most `maxPoints` points."""

    id: Text
    max_points: Annotated[int, Meta(ge=2, le=10_000)] = 1000


class FindBoards(_Parameters, frozen=True):
    """Boards that left, newest first; times are RFC 3339 and concern the entry. `cursor` goes on where a page ended."""

    barcode: Text | None = None
    recipe: Text | None = None
    verdict: Literal["pass", "fail", "unknown"] | None = None
    since: Text | None = None
    until: Text | None = None
    machine: Machine = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Text | None = None


class BoardsFound(_Result, frozen=True):
    """A page of records; `cursor` is null on the last one."""

    boards: tuple[BoardRecord, ...]
    cursor: str | None


class BoardsOfMachine(_Result, frozen=True):
    """The boards in one machine's tunnel, first in first."""

    machine: str
    boards: tuple[BoardInProcess, ...]


class BoardsInProcess(_Result, frozen=True):
    """The boards in all tunnels asked for."""

    machines: tuple[BoardsOfMachine, ...]


class LaneStatus(_Result, frozen=True):
    """One lane: boards inside, whether its outlet is blocked."""

    lane: int
    busy: bool
    boards: int
    blocked: bool


class MachineStatus(_Result, frozen=True):
    """The state of one machine; `connected` is whether it answers now."""

    machine: str
    connected: bool
    state: str
    since: str | None
    reason: str
    control: str
    busy: bool
    boards: int
    lanes: tuple[LaneStatus, ...]
    recipe: RecipeName
    alarms: int


class Status(_Result, frozen=True):
    """State of the machines asked for; `clock` tells whether the computer's clock is known to be set."""

    time: str
    clock: str
    machines: tuple[MachineStatus, ...]


class MachineSnapshot(_Result, frozen=True):
    """Everything that stands at one machine now."""

    status: MachineStatus
    values: tuple[MeasuredValue, ...]
    alarms: tuple[Alarm, ...]
    boards: tuple[BoardInProcess, ...]


class Snapshot(_Result, frozen=True):
    """The current state and the last sequence that it includes: subscribe from `sequence` + 1 and nothing is missed."""

    stream: str
    sequence: int
    time: str
    clock: str
    machines: tuple[MachineSnapshot, ...]


class Function(NamedTuple):
    """One function: who may call it, what it takes, what it answers.

    Attributes:
        role: viewer, operator, engineer or administrator.
        needs_remote: it commands the machine and needs remote control.
    """

    name: str
    role: str
    needs_remote: bool
    parameters: type[msgspec.Struct]
    result: Any
    text: str


FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        Function("rpc.discover", "viewer", False, Nothing, dict[str, Any],
                 "The OpenRPC document of this server."),
        Function("Event.Subscribe", "viewer", False, Subscribe, Subscribed,
                 "Pushes events on this connection (WebSocket or TCP)."),
        Function("Event.Unsubscribe", "viewer", False, Unsubscribe, Subscribed,
                 "Ends a subscription of this connection."),
        Function("Event.Read", "viewer", False, ReadEvents, EventsRead,
                 "Reads durable events from a place on, waiting for the first if asked."),
        Function("Event.Snapshot", "viewer", False, OfMachine, Snapshot,
                 "The whole current state, and the sequence it stands at."),
        Function("Configuration.GetSoftwareVersion", "viewer", False, Nothing, SoftwareVersion,
                 "Versions of agent, profile and firmware."),
        Function("Configuration.GetMachine", "viewer", False, OfMachine, MachineDescription,
                 "Manufacturer, model, lanes, zones and instruments."),
        Function("Configuration.GetObjects", "viewer", False, OfMachine, Objects,
                 "Every object with its parameters."),
        Function("Configuration.GetObjectParameters", "viewer", False, GetObjectParameters, Values,
                 "The values of one object."),
        Function("Alarm.GetActive", "viewer", False, OfMachine, ActiveAlarms,
                 "The alarms that stand now."),
        Function("Board.Get", "viewer", False, GetBoard, BoardRecord,
                 "The record of a board that left."),
        Function("Board.GetTrace", "viewer", False, GetTrace, BoardTrace,
                 "Zone values and estimated board temperature over a board's stay."),
        Function("Board.Find", "viewer", False, FindBoards, BoardsFound,
                 "Records of boards by barcode, recipe, verdict and time."),
        Function("Board.GetInProcess", "viewer", False, OfMachine, BoardsInProcess,
                 "The boards in the tunnel, with their positions."),
        Function("Status.Get", "viewer", False, OfMachine, Status,
                 "State, control, boards and alarms of each machine."),
        Function("Status.GetValues", "viewer", False, GetValues, Values,
                 "Measured values with quality and time."),
    )
}  # fmt: skip
"""Every function that this agent answers."""

PROFILE_VERSION = "1.0"
"""Version of the OpenApps profile served."""
