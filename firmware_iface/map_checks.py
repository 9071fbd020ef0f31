"""What no single key of a map can tell: addresses that meet, zones that overlap, boards too long for the inlet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from firmware_iface.map_keys import OXYGEN
from firmware_iface.map_reader import Reader, Values
from firmware_iface.map_values import Wrong
from firmware_iface.registers import ZONES, BadRule, Device, Lane, Register, Zone
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


def check_bits(reader: Reader, registers: tuple[Register, ...]) -> None:
    """A bit of a register is written with the whole register: one that can be written has it for itself."""
    sharing: dict[_Place, list[str]] = {}
    for register in registers:
        for address in range(register.address, register.address + register.count):
            sharing.setdefault((register.table, address), []).append(register.path)
    for register in registers:
        others = [path for path in sharing[register.table, register.address] if path != register.path]
        if register.bit is not None and register.writable and others:
            reader.fault((*_point(register), "access"), f"its register has {others[0]} too, which would be written with"
                         " it", "give it a coil or a register of its own")


def check_widths(reader: Reader, registers: Iterable[Register], device: Device) -> None:
    """A point must fit into one request."""
    for register in registers:
        if register.table in ("holding", "input") and register.count > device.max_registers:
            reader.fault((*_point(register), "type"), f"takes {register.count} registers, the device gives"
                         f" {device.max_registers} in one answer", "raise device.max_registers or shorten it")


def check_zones(reader: Reader, zones: tuple[Zone, ...]) -> None:
    """Zones do not overlap, and all but a fluxer have temperatures; a setpoint for each of them or none."""
    end = 0.0
    for zone in zones:
        where: KeyPath = ("zones", str(zone.number))
        if zone.start_mm < end:
            reader.fault((*where, "start_mm"), f"begins before the zone in front of it ends at {end:g} mm")
        if not zone.temperatures and zone.kind != "flux":
            reader.fault((*where, "temperatures"), "is missing", "give the points with its temperatures")
        elif zone.setpoints and len(zone.setpoints) != len(zone.temperatures):
            reader.fault((*where, "setpoints"), f"has {len(zone.setpoints)} setpoints for"
                         f" {len(zone.temperatures)} temperatures", "give one for each, in the same order")
        end = zone.start_mm + zone.length_mm


def check_kinds(reader: Reader, kind: str, zones: tuple[Zone, ...]) -> None:
    """The zones are such as a map of this kind has, in the order of their work; without the hot ones it is none."""
    order = ZONES.get(kind, ())
    hot = "wave" if kind == "wave" else "heated"
    are_all = not any(fault.key.startswith("zones.") for fault in reader.faults)
    if order and zones and are_all and all(zone.kind != hot for zone in zones):
        reader.fault(("zones",), f"has no {hot} zone", f'give at least one of kind = "{hot}"')
    for place, zone in enumerate(zones if order else ()):
        where: KeyPath = ("zones", str(zone.number), "kind")
        behind = {other.kind for other in zones[place:]}
        if zone.kind not in order:
            reader.fault(where, f"a map of kind {kind} has no {zone.kind} zone", f"one of {', '.join(order)}")
        elif late := [earlier for earlier in order[: order.index(zone.kind)] if earlier in behind]:
            reader.fault(where, f"is {zone.kind} before the last {late[0]} zone", f"first {', then '.join(order)}")


def check_measures(reader: Reader, zones: Iterable[Zone]) -> None:
    """A measure belongs to one zone, is no temperature of it, and its setpoint has its unit."""
    seen: set[str] = set()
    for zone in zones:
        for index, path in enumerate(zone.measures):
            where: KeyPath = ("zones", str(zone.number), "measures", index)
            measure, setpoint = reader.points[path], reader.points.get(f"{path}Setpoint")
            if path in seen or path in zone.temperatures:
                reader.fault(where, f"{path} is told twice", "leave one out")
            elif measure and setpoint and measure.unit != setpoint.unit:
                reader.fault(where, f"{path} is in {measure.unit}, its setpoint in {setpoint.unit}", "give one unit")
            elif setpoint and setpoint.kind != "setpoint":
                reader.fault(where, f"{setpoint.path} is of kind {setpoint.kind}", 'give it kind = "setpoint"')
            seen.add(path)


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
        if lane.width and lane.width == lane.width_setpoint:
            reader.fault((*where, "width_setpoint"), f"{lane.width} is the width already")


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
    pots: set[str] = set()
    for zone in zones:
        for index, path in enumerate(zone.temperatures):
            # Waves share the temperature of their pot.
            if zone.kind != "wave" or path not in pots:
                use(path, "zones", str(zone.number), "temperatures", index)
        pots.update(zone.temperatures if zone.kind == "wave" else ())
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


def check_thermal(reader: Reader, kind: str, is_given: bool, thermal: Values, zones: tuple[Zone, ...]) -> None:
    """The air's ramp rises, and ends in the first heated zone; a wave machine has no such model."""
    if kind == "wave" and is_given:
        reader.fault(("thermal",), "is used by nothing: a wave machine has no model of a board", "leave it out")
    end = next((zone.start_mm + zone.length_mm for zone in zones if zone.kind == "heated"), None)
    with suppress(KeyError):
        if thermal["ramp_end_mm"] <= thermal["ramp_start_mm"]:
            reader.fault(("thermal", "ramp_end_mm"), f"is not behind ramp_start_mm, {thermal['ramp_start_mm']:g}")
        elif end is not None and thermal["ramp_end_mm"] >= end:
            reader.fault(("thermal", "ramp_end_mm"), f"{thermal['ramp_end_mm']:g} mm is not before the end of the first"
                         f" heated zone at {end:g} mm")


def check_whole(reader: Reader, kind: str, given: set[str]) -> None:
    """A machine has points, lanes, zones and states; an instrument needs no more than points."""
    machine = ("groups", "lanes", "zones", "states")
    needed = {"reflow": machine, "wave": machine, "": ()}.get(kind, ("groups",))
    for name in needed:
        if name not in given:
            reader.fault((name,), "is missing", f"a map of kind {kind} describes its {name}")


def _point(register: Register) -> KeyPath:
    return ("groups", register.group, "points", register.path)
