"""Configuration.* and Status.*: what a machine is, and how it stands."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edgeagent.model.boards import RecipeName
from edgeagent.model.functions.forms import Machine, Parameters, Result, Text
from edgeagent.model.samples import MeasuredValue
from edgeagent.model.terms import ClockTerm, ControlTerm, MachineTerm, ParameterTerm, StateTerm, TypeTerm


class SoftwareOfMachine(Result, frozen=True):
    """Firmware as the machine tells it; None where it does not."""

    machine: str
    firmware: str | None
    map: str
    fingerprint: str


class SoftwareVersion(Result, frozen=True):
    """Versions of the agent, of the OpenApps profile and of each machine's firmware."""

    agent: str
    profile: str
    machines: tuple[SoftwareOfMachine, ...]


class ZoneDescription(Result, frozen=True):
    """A zone: places in mm from the tunnel's entrance."""

    number: int
    kind: str
    position_mm: float
    length_mm: float
    objects: tuple[str, ...]


class LaneDescription(Result, frozen=True):
    """A lane: places of its barriers in mm from the tunnel's entrance."""

    number: int
    inlet_mm: float
    outlet_mm: float


class MachineDescription(Result, frozen=True):
    """What the machine is."""

    id: str
    manufacturer: str
    model: str
    serial_number: str | None
    kind: MachineTerm
    map: str
    fingerprint: str
    lanes: tuple[LaneDescription, ...]
    zones: tuple[ZoneDescription, ...]
    instruments: tuple[str, ...]


class ParameterDescription(Result, frozen=True):
    """One parameter of an object; kind is measured, setpoint, limit or state."""

    name: str
    kind: ParameterTerm
    type: TypeTerm
    unit: str | None
    range: tuple[float | None, float | None]
    decimals: int | None
    writable: bool
    text: str


class ObjectDescription(Result, frozen=True):
    """One object of the machine."""

    object: str
    parameters: tuple[ParameterDescription, ...]


class Objects(Result, frozen=True):
    """Every object of a machine."""

    machine: str
    objects: tuple[ObjectDescription, ...]


class GetObjectParameters(Parameters, frozen=True):
    """One object of a machine."""

    object: Text
    machine: Machine = None


class Values(Result, frozen=True):
    """Values with quality and the time when each was measured."""

    machine: str
    values: tuple[MeasuredValue, ...]


class GetValues(Parameters, frozen=True):
    """Some objects, or all."""

    objects: Annotated[tuple[Text, ...], Meta(max_length=1000)] | None = None
    machine: Machine = None


class LaneStatus(Result, frozen=True):
    """One lane: boards inside, whether its outlet is blocked.

    `doubt` says why something may be inside that is not told as a board; null where nothing can be.
    """

    lane: int
    busy: bool
    boards: int
    blocked: bool
    doubt: str | None


class MachineStatus(Result, frozen=True):
    """The state of one machine; `connected` is whether it answers now."""

    machine: str
    connected: bool
    state: StateTerm
    since: str | None
    reason: str
    control: ControlTerm
    busy: bool
    boards: int
    lanes: tuple[LaneStatus, ...]
    recipe: RecipeName
    alarms: int


class Status(Result, frozen=True):
    """State of the machines asked for; `clock` tells whether the computer's clock is known to be set."""

    time: str
    clock: ClockTerm
    machines: tuple[MachineStatus, ...]
