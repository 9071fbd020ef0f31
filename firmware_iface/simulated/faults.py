"""Named faults of the simulated devices: what goes wrong, where, when and for how long."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

HALF_ZONE = "half zone"
WAVE = "wave"
LANE = "lane"
"""The one argument that may be left out: then all lanes are meant, or the first where only one can be."""

FACTOR = "factor"
MILLISECONDS = "milliseconds"
PLACES = "places"

MACHINE: dict[str, str | None] = {
    "heater-dead": HALF_ZONE,
    "thermocouple-open": HALF_ZONE,
    "belt-slip": FACTOR,
    "belt-stop": LANE,
    "outlet-blocked": LANE,
    "barrier-bounce": LANE,
    "board-removed": LANE,
    "board-appears": LANE,
    "emergency-stop": None,
    "hood-open": None,
    "exhaust-lost": None,
    "air-lost": None,
    "overtemperature": None,
    "write-ignored": None,
    "write-refused": None,
    "write-unanswered": None,
    "silent-after-write": None,
}
OVEN: dict[str, str | None] = {"oxygen-leak": None, "water-lost": None, "nitrogen-lost": None}
WAVES: dict[str, str | None] = {"pump-stop": WAVE, "nozzle-blocked": None}
LOOP: dict[str, str | None] = {"sensor-break": None, "load-open": None, "decimal-point": PLACES}
ANY: dict[str, str | None] = {"controller-reboot": None, "slow": MILLISECONDS, "silent": None}
"""Faults of any machine, of an oven, of a wave machine, of a temperature controller and of any device, with what their
argument is; None for none."""

KINDS = MACHINE | OVEN | WAVES | LOOP | ANY

MOMENTS = ("board-removed", "board-appears")
"""Faults that happen once and last no time."""

REBOOT_S = 20.0
"""How long a controller does not answer while it starts again, where the fault does not say."""

_EXAMPLES = {HALF_ZONE: "zone/3/top", WAVE: "wave/2", FACTOR: "0.9", MILLISECONDS: "300", PLACES: "0"}
_MOST = {FACTOR: 2, MILLISECONDS: 60_000}

_SPEC = re.compile(
    r"(?P<name>[a-z-]+)(?:[: ]+(?P<argument>[\w./]+))?(?:@(?P<start>[\d.]+)(?:\+(?P<duration>[\d.]+))?)?", re.ASCII
)


class FaultError(ValueError):
    """A fault cannot be understood: what is wrong and how it is written."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; times in s of the device, start None for at once, duration None for good."""

    name: str
    argument: str | None = None
    start_s: float | None = None
    duration_s: float | None = None

    def stands(self, time_s: float) -> bool:
        """Say whether it stands at a time; a fault without start does not until it is given to a device."""
        if self.start_s is None or time_s < self.start_s:
            return False
        return self.duration_s is None or time_s < self.start_s + self.duration_s


def parse(text: str) -> Fault:
    """Read `name[:argument][@start[+duration]]`, for example `heater-dead:zone/3/top@120+60`; FaultError otherwise."""
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise FaultError(f"cannot read the fault {text[:60]!r}: write name:argument@start+duration, times in seconds")
    name, argument = match["name"], match["argument"]
    if name not in KINDS:
        raise FaultError(f"no fault {name!r}: there are {', '.join(KINDS)}")
    kind = KINDS[name]
    if (argument is None) != (kind is None) and not (kind == LANE and argument is None):
        raise FaultError(f"{name} needs a {kind}, {_example(name, kind)}" if kind else f"{name} takes no argument")
    if kind in _MOST:
        number = _number(name, argument or "")
        if not 0 < number <= _MOST[kind]:
            raise FaultError(f"{name}: {argument} is not above 0 and up to {_MOST[kind]}")
    if kind == PLACES and argument not in ("0", "1", "2"):
        raise FaultError(f"{name}: {argument} is not 0, 1 or 2 places")
    start, duration = (None if match[key] is None else _number(name, match[key]) for key in ("start", "duration"))
    return Fault(name, argument, start, REBOOT_S if name == "controller-reboot" and duration is None else duration)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FaultError(f"{name}: {text!r} is not a number") from None


def _example(name: str, kind: str) -> str:
    return f"for example {name}:{_EXAMPLES[kind]}"


class FaultList:
    """The faults of one device, and which of them stand now.

    Args:
        names: the faults that the device can have.
    """

    def __init__(self, names: Collection[str] = KINDS) -> None:
        self._names = names
        self._waiting: list[Fault] = []
        self._standing: list[Fault] = []

    def add(self, fault: Fault, time_s: float) -> None:
        """Take a fault; one without start begins now. FaultError when its time is over, or the device has no such."""
        if fault.name not in self._names:
            raise FaultError(f"this device cannot have {fault.name}: there are {', '.join(self._names)}")
        if fault.start_s is not None:
            lasts_s = 0.0 if fault.name in MOMENTS else math.inf if fault.duration_s is None else fault.duration_s
            if fault.start_s + lasts_s < time_s:
                raise FaultError(f"{fault.name}: its time is over, the device is at {time_s:.0f} s")
        self._waiting.append(fault if fault.start_s is not None else replace(fault, start_s=time_s))

    def advance(self, time_s: float) -> Iterator[Fault]:
        """Go on to a time; gives each fault that begins."""
        self._standing = [fault for fault in self._standing if fault.stands(time_s)]
        for fault in [fault for fault in self._waiting if (fault.start_s or 0.0) <= time_s]:
            self._waiting.remove(fault)
            if fault.name in MOMENTS:
                yield fault
            elif fault.stands(time_s):
                self._standing.append(fault)
                yield fault

    def standing(self, name: str, lane: str | None = None) -> bool:
        """Say whether a fault of this name stands; in a lane, where one is given."""
        return any(fault.name == name and (lane is None or fault.argument in (None, lane)) for fault in self._standing)

    def argument(self, name: str, default: float) -> float:
        """Number that the latest standing fault of this name carries."""
        arguments = [fault.argument for fault in self._standing if fault.name == name]
        return float(arguments[-1] or default) if arguments else default

    def objects(self, name: str) -> set[str]:
        """Objects that standing faults of this name concern."""
        return {fault.argument for fault in self._standing if fault.name == name and fault.argument}

    def clear(self) -> None:
        """Mend everything, and forget what was to come."""
        self._waiting.clear()
        self._standing.clear()
