"""Whether a machine can do a recipe: looked at as a whole, and every fault is told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain

from edgeagent.model.machine import Limit, Machine, ProcessWindow, Tolerances
from edgeagent.model.recipes import RecipeDraft, RecipeFault, StoredRecipe
from firmware_iface.encoding import value_fault
from firmware_iface.map_values import near
from firmware_iface.registers import Register, RegisterMap
from firmware_iface.wording import number, reach

SETTLING_S = (1.0, 3600.0)
"""Shortest and longest settling time of a recipe, in seconds."""

LIQUIDUS_CELSIUS = (50.0, 450.0)
"""Of any solder: pure indium melts at 157 °C, alloys of bismuth below 100, high-lead ones above 300."""

_MOST_NAME = 64
_MOST_GUESSES = 8
"""Names that are not there of which it is looked what was meant; one takes over a millisecond."""
_LIMITS = ("peak", "time_above_liquidus", "soak", "max_rise", "max_fall")


def settable(machine: Machine) -> dict[str, Register]:
    """What a recipe, or a caller, may set, in the order of a recipe: setpoints in that of the map, then limits.

    Nothing by which a machine is commanded or watched is among it.
    """
    found: dict[str, Register] = {}
    for map_ in machine.maps:
        writable = {it.path: it for it in map_.registers
                    if it.writable and it.type != "text" and it.kind in ("setpoint", "limit")}  # fmt: skip
        for path in _commanding(map_):
            writable.pop(path, None)
        found |= {path: writable[path] for path in map_.recipe_order if path in writable} | writable
    return found


def _commanding(map_: RegisterMap) -> Iterator[str]:
    """The points by which a machine is commanded, warns, and is watched: each belongs to a function of its own."""
    for command in map_.commands:
        yield command.write
        if command.handshake:
            yield command.handshake
    if map_.power and map_.power.horn:
        yield map_.power.horn
    if map_.heartbeat:
        yield map_.heartbeat.point


def faults(recipe: RecipeDraft | StoredRecipe, machine: Machine, version: int) -> list[RecipeFault]:
    """Find everything for which a machine cannot do a recipe in this version; empty where it can."""
    tolerances, window = recipe.tolerances or machine.judging.tolerances, recipe.window
    return list(chain(
        _name(recipe.name, version, machine),
        _settings(recipe.settings, machine),
        _missing(recipe.settings, machine),
        _oxygen(recipe.settings, machine),
        _settling(recipe.settling_s),
        _tolerances(tolerances, recipe.settings),
        _window(window, machine) if window else (),
    ))  # fmt: skip


def in_words(found: list[RecipeFault]) -> str:
    """All faults as sentences."""
    return " ".join(f"{it.path}: {it.reason}{f' ({it.possible})' if it.possible else ''}." for it in found)


def _name(name: str, version: int, machine: Machine) -> Iterator[RecipeFault]:
    can_be = f"1 to {_MOST_NAME} printable characters without spaces around them"
    if not 1 <= len(name) <= _MOST_NAME or not name.isprintable() or name != name.strip():
        yield RecipeFault("name", name, "it is no name of a recipe", can_be)
        return
    map_ = machine.map
    registers = ((map_.recipe_name, name, "name"), (map_.recipe_version, float(version), "version"))
    for path, value, key in registers:
        register = map_.register(path) if path else None
        if register and register.writable and (reason := value_fault(register, value)):
            room = f"up to {2 * register.count} ASCII characters" if key == "name" else reach(register) or None
            yield RecipeFault(key, value, f"the machine cannot be told it: {reason}", room)


def _settings(settings: dict[str, float], machine: Machine) -> Iterator[RecipeFault]:
    allowed, guesses = settable(machine), _MOST_GUESSES
    for path, value in settings.items():
        register = allowed.get(path)
        if path not in machine.column:
            guess = near(path, allowed) if guesses else ""
            guesses = max(0, guesses - 1)
            yield RecipeFault(path, value, f"{machine.id} has no such point", guess or None)
        elif register is None:
            point = machine.point(path)
            reason = "a recipe does not set it" if point.writable else "the machine does not let it be written"
            yield RecipeFault(path, value, reason, None)
        elif reason := value_fault(register, value):
            unit = f" {register.unit}" if register.unit else ""
            possible = f"{reach(register)}{unit}" if reach(register) else None
            if register.scale != 1 and register.type != "bit":
                possible = f"{possible or 'any'} in steps of {number(abs(register.scale))}{unit}"
            yield RecipeFault(path, value, reason, possible)


def _missing(settings: dict[str, float], machine: Machine) -> Iterator[RecipeFault]:
    """Without the setpoint of a heated zone or of a belt nobody knows what a board will meet."""
    allowed = settable(machine)
    if not allowed:
        yield RecipeFault("settings", None, f"{machine.id} takes no settings: its map lets none be written", None)
    needed = {path: f"zone {zone.number} is heated and has no setpoint"
              for zone in machine.map.zones if zone.kind in ("heated", "preheat", "wave") for path in zone.setpoints}
    needed |= {lane.speed_setpoint: f"the belt of lane {lane.number} has no speed" for lane in machine.map.lanes}
    for path, reason in needed.items():
        if path in allowed and path not in settings:
            register = allowed[path]
            unit = f" {register.unit}" if register.unit else ""
            yield RecipeFault(path, None, reason, f"{reach(register)}{unit}" if reach(register) else None)


def _oxygen(settings: dict[str, float], machine: Machine) -> Iterator[RecipeFault]:
    for name in machine.map.oxygen:
        setpoint, limit = settings.get(f"{name}/setpoint"), settings.get(f"{name}/limit")
        if setpoint is not None and limit is not None and limit < setpoint:
            yield RecipeFault(f"{name}/limit", limit, f"the limit is below the setpoint {number(setpoint)}",
                              f"{number(setpoint)} or more")


def _settling(seconds: float) -> Iterator[RecipeFault]:
    low, high = SETTLING_S
    if not low <= seconds <= high:
        yield RecipeFault("settlingSeconds", seconds, "no settling time", f"{number(low)} to {number(high)} s")


def _tolerances(its: Tolerances, settings: dict[str, float]) -> Iterator[RecipeFault]:
    given = [("zoneCelsius", its.zone_celsius, 100.0, "°C"), ("beltPercent", its.belt_percent, 100.0, "%"),
             ("measurePercent", its.measure_percent, 100.0, "%")]  # fmt: skip
    if its.oxygen_ppm is not None:
        given.append(("oxygenPpm", its.oxygen_ppm, 1_000_000.0, "ppm"))
    given += [(f"zones.{name}", celsius, 100.0, "°C") for name, celsius in its.zones.items()]
    for key, value, most, unit in given:
        if not 0 < value <= most:
            yield RecipeFault(f"tolerances.{key}", value, "no tolerance", f"above 0, up to {number(most)} {unit}")
    objects = {path.rpartition("/")[0] for path in settings}
    for name in its.zones.keys() - objects:
        yield RecipeFault(f"tolerances.zones.{name}", its.zones[name], "the recipe sets nothing of this object", None)
    contact = its.contact_s
    if contact and not 0 <= contact.low < contact.high < math.inf:
        yield _upside_down("tolerances.contactSeconds", contact, "0 s or more, low before high")


def _window(window: ProcessWindow, machine: Machine) -> Iterator[RecipeFault]:
    if machine.map.kind != "reflow":
        yield RecipeFault("window", None, f"{machine.id} makes no estimate of what a board felt", "leave it out")
        return
    low, high = LIQUIDUS_CELSIUS
    if not low <= window.liquidus <= high:
        yield RecipeFault("window.liquidus", window.liquidus, "no solder melts there",
                          f"{number(low)} to {number(high)} °C; 217 for SAC305")
    if not window.soak_low < window.soak_high:
        yield RecipeFault("window.soakLow", window.soak_low, "the soak ends before it begins",
                          f"below soakHigh, {number(window.soak_high)} °C")
    for name in _LIMITS:
        limit = getattr(window, name)
        if limit and not -math.inf < limit.low < limit.high < math.inf:
            head, *more = name.split("_")
            yield _upside_down(f"window.{head}{''.join(map(str.title, more))}", limit, "low before high")
    if window.peak and window.peak.low <= window.liquidus:
        yield RecipeFault("window.peak", window.peak.low, "at its lowest the solder would not melt",
                          f"above the liquidus, {number(window.liquidus)} °C")


def _upside_down(path: str, limit: Limit, possible: str) -> RecipeFault:
    return RecipeFault(path, f"{number(limit.low)} to {number(limit.high)}", "the window is upside down", possible)
