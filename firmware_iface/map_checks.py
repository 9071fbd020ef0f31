"""What no single key of a map can tell: addresses that meet, zones that overlap, boards too long for the inlet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from firmware_iface.map_keys import OXYGEN
from firmware_iface.map_reader import Reader, Values, Wrong
from firmware_iface.registers import BadRule, Device, Lane, Register, Zone
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


def check_zones(reader: Reader, zones: tuple[Zone, ...]) -> None:
    """Heated zones come before cooling ones and none overlap; a setpoint for each temperature or none."""
    end = 0.0
    are_all = not any(fault.key.startswith("zones.") for fault in reader.faults)
    last_heated = max((zone.start_mm for zone in zones if zone.kind == "heated"), default=None)
    if zones and are_all and last_heated is None:
        reader.fault(("zones",), "has no heated zone", 'give at least one of kind = "heated"')
    for zone in zones:
        where: KeyPath = ("zones", str(zone.number))
        if zone.start_mm < end:
            reader.fault((*where, "start_mm"), f"begins before the zone in front of it ends at {end:g} mm")
        if zone.kind == "cooling" and last_heated is not None and zone.start_mm < last_heated:
            reader.fault((*where, "kind"), "cools before the last heated zone", "the air is not known behind it")
        if zone.setpoints and len(zone.setpoints) != len(zone.temperatures):
            reader.fault((*where, "setpoints"), f"has {len(zone.setpoints)} setpoints for"
                         f" {len(zone.temperatures)} temperatures", "give one for each, in the same order")
        end = zone.start_mm + zone.length_mm


def check_lanes(reader: Reader, lanes: Iterable[Lane], zones: tuple[Zone, ...], capture: Values) -> None:
    """The barriers stand around the zones, and the longest board's end is seen before its middle is in the first."""
    longest = capture.get("max_board_mm", 0.0)
    for lane in lanes:
        where: KeyPath = ("lanes", str(lane.number))
        if lane.outlet_mm <= lane.inlet_mm:
            reader.fault((*where, "outlet_mm"), f"is not behind the inlet at {lane.inlet_mm:g} mm")
        elif zones and lane.outlet_mm < (end := zones[-1].start_mm + zones[-1].length_mm):
            reader.fault((*where, "outlet_mm"), f"is before the end of the last zone at {end:g} mm")
        if zones and lane.inlet_mm > zones[0].start_mm:
            reader.fault((*where, "inlet_mm"), f"is behind the first zone's start at {zones[0].start_mm:g} mm")
        elif zones and longest > (room := 2 * (zones[0].start_mm - lane.inlet_mm)):
            reason = f"{longest:g} mm: its middle is in the first zone before its end is seen at the inlet"
            reader.fault(("capture", "max_board_mm"), reason, f"at most {room:g}")
        speed, setpoint = (reader.points[path] for path in (lane.speed, lane.speed_setpoint))
        if speed and setpoint and speed.unit != setpoint.unit:
            reader.fault((*where, "speed_setpoint"), f"is in {setpoint.unit}, the speed in {speed.unit}")


def check_uses(reader: Reader, lanes: Iterable[Lane], zones: Iterable[Zone]) -> None:
    """A point is one barrier, one reading or one temperature; a setpoint is not what it sets."""
    used: dict[str, str] = {}

    def use(path: str, *where: str | int) -> None:
        if path in used:
            reader.fault(where, f"{path} is {used[path]} already", "a point has one meaning")
        used.setdefault(path, ".".join(str(name) for name in where))

    for lane in lanes:
        name = str(lane.number)
        use(lane.inlet, "lanes", name, "inlet")
        use(lane.outlet, "lanes", name, "outlet")
        if lane.speed == lane.speed_setpoint:
            reader.fault(("lanes", name, "speed_setpoint"), f"{lane.speed} is the speed already")
        if lane.scanner:
            for key in ("count", "result", "code"):
                use(getattr(lane.scanner, key), "lanes", name, "scanner", key)
    for zone in zones:
        for index, path in enumerate(zone.temperatures):
            use(path, "zones", str(zone.number), "temperatures", index)
        for index, path in enumerate(zone.setpoints):
            if path in zone.temperatures:
                reader.fault(("zones", str(zone.number), "setpoints", index), f"{path} is a temperature already")


def check_oxygen(reader: Reader, objects: Iterable[str]) -> None:
    """An object that measures oxygen is told once and has a point `concentration` in ppm."""
    seen: set[str] = set()
    for index, name in enumerate(objects):
        where: KeyPath = ("machine", "oxygen", index)
        if name in seen:
            reader.fault(where, f"{name} is told twice", "leave one out")
        elif f"{name}/concentration" not in reader.points:
            reader.fault(where, f"{name} has no point concentration")
        else:
            try:
                reader.find(f"{name}/concentration", OXYGEN)
            except Wrong as wrong:
                reader.fault(where, wrong.reason, wrong.mend)
        seen.add(name)


def check_bad(reader: Reader, rules: Iterable[BadRule]) -> None:
    """What a rule judges and what it compares are numbers or bits of one read group; no point judges itself."""
    for index, rule in enumerate(rules):
        compared = {path for term in rule.when for path in (term.path, term.minus) if path}
        groups = {register.group for path in rule.points + tuple(compared) if (register := reader.points[path])}
        if len(groups) > 1:
            named = " and ".join(sorted(groups))
            reader.fault(("bad", index, "points"), f"are, with what they depend on, in the groups {named}",
                         "put all of them into one group, so that they are of one moment")
        for place, path in enumerate(rule.points):
            register = reader.points[path]
            if path in compared:
                reader.fault(("bad", index, "points", place), f"{path} is compared in the rule that judges it")
            elif register and register.type == "text":
                reader.fault(("bad", index, "points", place), f"{path} is a text", "give numbers or bits")


def check_capture(reader: Reader, capture: Values) -> None:
    """The lengths by which boards are told apart fit one another."""
    for key, is_wrong, reason in _CAPTURE:
        # A rule about a key that could not be read has nothing to judge.
        with suppress(KeyError):
            if is_wrong(capture):
                reader.fault(("capture", key), reason)


_CAPTURE: tuple[tuple[str, Callable[[Values], bool], str], ...] = (
    ("min_board_mm", lambda c: c["min_board_mm"] >= c["max_board_mm"], "is not below max_board_mm"),
    ("min_gap_mm", lambda c: c["min_gap_mm"] >= c["min_board_mm"], "is not below min_board_mm"),
    ("lost_mm", lambda c: c["lost_mm"] < c["match_mm"], "is below match_mm: a board would be lost while it may come"),
)


def check_thermal(reader: Reader, thermal: Values, zones: tuple[Zone, ...]) -> None:
    """The air's ramp rises, and ends in the first heated zone."""
    end = next((zone.start_mm + zone.length_mm for zone in zones if zone.kind == "heated"), None)
    with suppress(KeyError):
        if thermal["ramp_end_mm"] <= thermal["ramp_start_mm"]:
            reader.fault(("thermal", "ramp_end_mm"), f"is not behind ramp_start_mm, {thermal['ramp_start_mm']:g}")
        elif end is not None and thermal["ramp_end_mm"] >= end:
            reader.fault(("thermal", "ramp_end_mm"), f"{thermal['ramp_end_mm']:g} mm is not before the end of the first"
                         f" heated zone at {end:g} mm")


def check_whole(reader: Reader, kind: str, given: set[str]) -> None:
    """A reflow oven has points, lanes, zones and states; an instrument needs no more than points."""
    needed = {"reflow": ("groups", "lanes", "zones", "states"), "": ()}.get(kind, ("groups",))
    for name in needed:
        if name not in given:
            reader.fault((name,), "is missing", f"a map of kind {kind} describes its {name}")


def _point(register: Register) -> KeyPath:
    return ("groups", register.group, "points", register.path)
