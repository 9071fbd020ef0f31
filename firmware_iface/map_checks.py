"""What no single key of a map can tell: addresses that meet, zones that overlap, boards too long for the inlet."""

from __future__ import annotations

from collections.abc import Iterable

from firmware_iface.map_reader import Reader
from firmware_iface.registers import Capture, Device, Lane, Register, Zone
from firmware_iface.toml_lines import KeyPath

_Place = tuple[str, int]


def check_places(reader: Reader, registers: Iterable[Register]) -> None:
    """Two points may share a place only as different bits of one register."""
    taken: dict[_Place, dict[int | None, str]] = {}
    for register in registers:
        for address in range(register.address, register.address + register.count):
            here = taken.setdefault((register.table, address), {})
            if here and (register.bit is None or None in here or register.bit in here):
                other = here.get(register.bit) or next(iter(here.values()))
                reader.fault((*_point(register), "address"), f"lies on {other}", "give each point a place of its own")
                break
            here[register.bit] = register.path


def check_widths(reader: Reader, registers: Iterable[Register], device: Device) -> None:
    """A point must fit into one request."""
    for register in registers:
        if register.table in ("holding", "input") and register.count > device.max_registers:
            reader.fault((*_point(register), "type"), f"takes {register.count} registers, the device gives"
                         f" {device.max_registers} in one answer", "raise device.max_registers or shorten it")


def check_zones(reader: Reader, zones: Iterable[Zone]) -> None:
    """Zones follow one another and do not overlap; a setpoint for each temperature or none."""
    end = 0.0
    for zone in zones:
        where: KeyPath = ("zones", str(zone.number))
        if zone.start_mm < end:
            reader.fault((*where, "start_mm"), f"begins before the zone in front of it ends at {end:g} mm")
        if zone.setpoints and len(zone.setpoints) != len(zone.temperatures):
            reader.fault((*where, "setpoints"), f"has {len(zone.setpoints)} setpoints for"
                         f" {len(zone.temperatures)} temperatures", "give one for each, in the same order")
        end = zone.start_mm + zone.length_mm


def check_lanes(reader: Reader, lanes: Iterable[Lane], zones: tuple[Zone, ...], capture: Capture) -> None:
    """The barriers stand around the zones, and the longest board's end is seen before its middle is in the first."""
    for lane in lanes:
        where: KeyPath = ("lanes", str(lane.number))
        if lane.outlet_mm <= lane.inlet_mm:
            reader.fault((*where, "outlet_mm"), f"is not behind the inlet at {lane.inlet_mm:g} mm")
        if zones and lane.inlet_mm > zones[0].start_mm:
            reader.fault((*where, "inlet_mm"), f"is behind the first zone's start at {zones[0].start_mm:g} mm")
        elif zones and capture.max_board_mm > (room := 2 * (zones[0].start_mm - lane.inlet_mm)):
            reason = f"{capture.max_board_mm:g} mm: its middle is in the first zone before its end is seen at the inlet"
            reader.fault(("capture", "max_board_mm"), reason, f"at most {room:g}")



def check_oxygen(reader: Reader, objects: Iterable[str]) -> None:
    """An object that measures oxygen has a point `concentration`."""
    for index, name in enumerate(objects):
        if f"{name}/concentration" not in reader.points:
            reader.fault(("machine", "oxygen", index), f"{name} has no point concentration")


def check_whole(reader: Reader, kind: str, given: set[str]) -> None:
    """A reflow oven has points, lanes, zones and states; an instrument needs no more than points."""
    needed = {"reflow": ("groups", "lanes", "zones", "states"), "": ()}.get(kind, ("groups",))
    for name in needed:
        if name not in given:
            reader.fault((name,), "is missing", f"a map of kind {kind} describes its {name}")


def _point(register: Register) -> KeyPath:
    return ("groups", register.group, "points", register.path)
