"""How hot a machine is, in words, and the way to rest that both power procedures take: heaters off, the rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from edgeagent.clock import Clock
from edgeagent.control import interlocks
from edgeagent.control.ports import CommandedMachine
from edgeagent.control.procedure import Failed, NotConfirmed, Work

STEP_CELSIUS = 50.0
"""A new step of the job is told each time that the machine came on by so much."""

ON = frozenset(("starting", "warmingUp", "changeover", "ready", "running"))
"""States in which the heaters are on, or about to be."""

WITHOUT_HEAT = frozenset(("off", "standby", "coolingDown"))
"""States in which they are off."""

_SAME = 0.5
"""A setpoint is what was written when it is this near, in its unit."""

SILENT_S = 60.0
"""A machine that does not answer for longer has left the job."""


class Far(NamedTuple):
    """The temperature that is farthest from where it shall be: its path, its value and the value wanted, in °C."""

    path: str
    celsius: float
    wanted: float

    @property
    def distance(self) -> float:
        """How far it is off."""
        return abs(self.celsius - self.wanted)


def temperatures(it: CommandedMachine) -> dict[str, float | None]:
    """Path → °C of every temperature that must fall before belt and blowers may stop; None where it is not good."""
    return {path: interlocks.number(it, path) for zone in it.machine.map.hot_zones for path in zone.temperatures}


def hottest(it: CommandedMachine, safe_celsius: float) -> Far | None:
    """The hottest zone; None where nothing is known of any."""
    known = [Far(path, celsius, safe_celsius) for path, celsius in temperatures(it).items() if celsius is not None]
    return max(known, key=lambda far: far.celsius, default=None)


def coldest(it: CommandedMachine) -> Far | None:
    """The zone that is farthest below its setpoint; None where nothing is known of any."""
    known = [
        Far(path, celsius, setpoint)
        for zone in it.machine.map.hot_zones
        for path, aim in zip(zone.temperatures, zone.setpoints, strict=False)
        if (celsius := interlocks.number(it, path)) is not None and (setpoint := interlocks.number(it, aim)) is not None
    ]
    return max(known, key=lambda far: far.wanted - far.celsius, default=None)


def untellable(it: CommandedMachine) -> Iterator[str]:
    """Zones whose temperature cannot be told now."""
    return (f"{path} is {interlocks.seen(it, path).quality}"
            for path, celsius in temperatures(it).items() if celsius is None)  # fmt: skip


def is_cool(it: CommandedMachine, safe_celsius: float) -> bool | None:
    """Whether every zone is below; None while that cannot be told of one."""
    values = temperatures(it).values()
    if any(celsius is not None and celsius >= safe_celsius for celsius in values):
        return False
    return None if None in values else True


def can_rest(it: CommandedMachine) -> bool:
    """Whether the map says how the heaters are switched off while belt and blowers stay on."""
    return it.machine.map.command("standby") is not None or it.machine.map.standby is not None


def resting(it: CommandedMachine) -> frozenset[str]:
    """Names of what is written to switch the heaters off: the command for it, or paths."""
    return frozenset(("standby",) if it.machine.map.command("standby") else _setpoints(it))


def _setpoints(it: CommandedMachine) -> Mapping[str, float]:
    standby = it.machine.map.standby
    return standby.setpoints if standby else {}


def is_resting(it: CommandedMachine) -> bool:
    """Whether the machine says now that its heaters are off, with belt and blowers on or not."""
    if it.machine.map.command("standby"):
        return it.status().state in ("coolingDown", "standby")
    return can_rest(it) and all((value := interlocks.number(it, path)) is not None and abs(value - wanted) <= _SAME
               for path, wanted in _setpoints(it).items())  # fmt: skip


async def rest(it: CommandedMachine, work: Work) -> None:
    """Switch the heaters off; belt and blowers stay on.

    Raises:
        Failed: the map does not say how, or what it asks for before does not hold; nothing is written.
        NotConfirmed: the machine did not do it. Stopped, Withdrawn, MachineError: as `work.write`.
    """
    if it.machine.map.command("standby"):
        await work.command("standby")
        return
    standby, setpoints = it.machine.map.standby, _setpoints(it)
    if not setpoints:
        raise Failed(f"the map {it.machine.map.id} has neither a command standby nor [standby]")
    if reasons := list(interlocks.preconditions(it, standby.preconditions if standby else (), "Standby")):
        raise Failed(" ".join(reasons))
    for path, value in setpoints.items():
        await work.write(path, value)
    read = await work.read(*setpoints)
    if wrong := [path for path, value in setpoints.items() if abs(float(read[path]) - value) > _SAME]:
        raise NotConfirmed(f"{it.machine.id} did not take the setpoints of [standby]: {', '.join(wrong)}.")


async def follow(
    work: Work, clock: Clock, ended: Callable[[], bool | None], far: Callable[[], Far | None], words: str,
    timeout_s: float,
) -> bool:  # fmt: skip
    """Wait until it has ended, with a new step of the job each time that it came on by `STEP_CELSIUS`.

    Args:
        words: what is waited for; the temperature that is farthest off is told behind it.

    Returns:
        False when the time is over.
    """
    end_ns = clock.monotonic_ns() + round(timeout_s * 1e9)
    while (left_s := (end_ns - clock.monotonic_ns()) / 1e9) > 0:
        told = far()
        await work.step(f"{words}: {told.path} is {told.celsius:.0f} of {told.wanted:.0f} °C" if told else words)

        def came_on(told: Far | None = told) -> bool:
            now = far()
            return now is not None and (told is None or told.distance - now.distance >= STEP_CELSIUS)

        if not await work.until(lambda came_on=came_on: bool(ended()) or came_on(), left_s):  # type: ignore[misc]
            return False
        if ended():
            return True
    return False


class Presence:
    """Notices a machine that is lost in the midst of a job: it does not answer, or began anew."""

    def __init__(self, it: CommandedMachine, clock: Clock) -> None:
        self._it = it
        self._clock = clock
        self._silent_since_ns = 0
        self.was_interrupted = False
        """It did not answer for a while, and does again."""

    @property
    def is_known(self) -> bool:
        """Whether the machine tells its state now."""
        status = self._it.status()
        return status.connected and status.state != "unknown"

    def is_lost(self) -> bool:
        """Look once; True when it has been silent for too long."""
        if self.is_known:
            self._silent_since_ns = 0
            return False
        self.was_interrupted = True
        self._silent_since_ns = self._silent_since_ns or self._clock.monotonic_ns()
        return self._clock.monotonic_ns() - self._silent_since_ns >= SILENT_S * 1e9
