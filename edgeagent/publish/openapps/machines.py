"""Answers about machines as they stand now: configuration, status, values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from edgeagent import __version__
from edgeagent.clock import Clock, iso
from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
from edgeagent.model.functions import PROFILE_VERSION, Nothing, OfMachine
from edgeagent.model.functions.machines import (
    GetObjectParameters,
    GetValues,
    LaneDescription,
    MachineDescription,
    ObjectDescription,
    Objects,
    ParameterDescription,
    SoftwareOfMachine,
    SoftwareVersion,
    Status,
    Values,
    ZoneDescription,
)
from edgeagent.model.machine import Machine
from edgeagent.model.points import Point
from edgeagent.publish.access import Handler
from edgeagent.publish.outlet import LiveMachine
from firmware_iface.registers import Zone


class Machines:
    """The machines served, found by id."""

    def __init__(self, machines: Sequence[LiveMachine]) -> None:
        self._by_id = {live.machine.id: live for live in machines}
        self._objects = {name: describe(live.machine) for name, live in self._by_id.items()}
        self._names = {name: {part.object for part in it.objects} for name, it in self._objects.items()}

    def one(self, machine: str | None) -> LiveMachine:
        """Find a machine; without an id the only one.

        Raises:
            CommandRefused: invalidParameters where an id is needed, notFound where it is unknown.
        """
        if machine is None:
            if len(self._by_id) != 1:
                known = ", ".join(self._by_id) or "none"
                raise CommandRefused("invalidParameters", f"Name the machine; this agent serves {known}.")
            return next(iter(self._by_id.values()))
        live = self._by_id.get(machine)
        if live is None:
            known = ", ".join(self._by_id) or "none"
            raise CommandRefused("notFound", f"There is no machine {machine!r}; this agent serves {known}.")
        return live

    def some(self, machine: str | None) -> tuple[LiveMachine, ...]:
        """Find one machine; without an id all."""
        return tuple(self._by_id.values()) if machine is None else (self.one(machine),)

    def objects(self, machine: Machine) -> Objects:
        """Every object of a machine."""
        return self._objects[machine.id]

    def require(self, machine: Machine, objects: Sequence[str]) -> None:
        """Refuse objects that the machine has not.

        Raises:
            CommandRefused: notFound.
        """
        for name in objects:
            if name not in self._names[machine.id]:
                reason = f"{machine.id} has no object {name!r}; Configuration.GetObjects lists all."
                raise CommandRefused("notFound", reason, machine.id)


class MachineAnswers:
    """Configuration.* and Status.*."""

    def __init__(self, machines: Machines, clock: Clock) -> None:
        self._machines = machines
        self._clock = clock

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {
            "Configuration.GetSoftwareVersion": self.software_version,
            "Configuration.GetMachine": self.machine,
            "Configuration.GetObjects": self.objects,
            "Configuration.GetObjectParameters": self.object_parameters,
            "Status.Get": self.status,
            "Status.GetValues": self.values,
        }

    async def software_version(self, _: Nothing, __: Caller) -> SoftwareVersion:
        """Versions of agent, profile and firmware."""
        machines = (
            SoftwareOfMachine(live.machine.id, live.firmware(), live.machine.map.id, live.machine.map.fingerprint)
            for live in self._machines.some(None)
        )
        return SoftwareVersion(__version__, PROFILE_VERSION, tuple(machines))

    async def machine(self, wanted: OfMachine, _: Caller) -> MachineDescription:
        """What the machine is."""
        live = self._machines.one(wanted.machine)
        its = live.machine.map
        return MachineDescription(
            id=live.machine.id, manufacturer=its.manufacturer, model=its.model, serial_number=live.serial_number(),
            kind=its.kind, map=its.id, fingerprint=its.fingerprint,
            lanes=tuple(LaneDescription(lane.number, lane.inlet_mm, lane.outlet_mm) for lane in its.lanes),
            zones=tuple(
                ZoneDescription(zone.number, zone.kind, zone.start_mm, zone.length_mm, _objects(zone))
                for zone in its.zones
            ),
            instruments=tuple(instrument.id for instrument in live.machine.maps[1:]),
        )  # fmt: skip

    async def objects(self, wanted: OfMachine, _: Caller) -> Objects:
        """Every object with its parameters."""
        return self._machines.objects(self._machines.one(wanted.machine).machine)

    async def object_parameters(self, wanted: GetObjectParameters, _: Caller) -> Values:
        """The values of one object."""
        return self._values(wanted.machine, (wanted.object,))

    async def values(self, wanted: GetValues, _: Caller) -> Values:
        """The values of some objects, or of all."""
        return self._values(wanted.machine, wanted.objects)

    async def status(self, wanted: OfMachine, _: Caller) -> Status:
        """State of the machines, and of the clock."""
        machines = tuple(live.status() for live in self._machines.some(wanted.machine))
        return Status(iso(self._clock.wall_ns()), "trusted" if self._clock.trusted else "untrusted", machines)

    def _values(self, machine: str | None, objects: tuple[str, ...] | None) -> Values:
        live = self._machines.one(machine)
        self._machines.require(live.machine, objects or ())
        return Values(live.machine.id, live.values(objects))


def _objects(zone: Zone) -> tuple[str, ...]:
    """The objects that tell what a zone does, each once."""
    return tuple(dict.fromkeys(path.rpartition("/")[0] for path in zone.temperatures + zone.measures))


def describe(machine: Machine) -> Objects:
    """Group a machine's points by object, in the order of the names."""
    points = sorted(machine.points, key=lambda point: point.object)
    return Objects(machine.id, tuple(
        ObjectDescription(name, tuple(_parameter(point) for point in its))
        for name, its in groupby(points, key=lambda point: point.object)
    ))  # fmt: skip


def _parameter(point: Point) -> ParameterDescription:
    kind = "string" if point.is_text else "boolean" if point.is_bit else "integer" if point.decimals == 0 else "number"
    return ParameterDescription(point.name, point.kind, kind, point.unit, (point.low, point.high), point.decimals,
                                point.writable, point.text)  # fmt: skip
