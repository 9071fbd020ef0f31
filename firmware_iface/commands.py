"""What a device takes from afar: commands, power, a heartbeat and the way to standby, as its map describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firmware_iface.registers import Term

COMMANDS = ("powerOn", "powerOff", "standby", "start", "stop", "alarmReset", "recipeStart")
"""Every command that a map can describe: powerOn energises the machine and heats; standby switches the heaters off,
blowers and belt stay on; powerOff switches everything off."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what is written, when it may be, and how it is known to have worked.

    Attributes:
        name: one of COMMANDS.
        write, value: path of the point that is written, and the value in its unit.
        style: "level", the value stays; "pulse", it is taken back to 0 after `pulse_ms`.
        handshake, handshake_value: path of a point that must show the value before the write is taken; None without.
        confirm: terms that hold when the command has worked, within `timeout_s`.
        preconditions: terms that must hold, on good values, before it is written.
        repeatable: the agent itself may write it a second time; otherwise it never does.
        resets_all: of alarmReset, that it may take back alarms without `remote_reset` too.
    """

    name: str
    write: str
    value: float
    style: str
    pulse_ms: int | None
    handshake: str | None
    handshake_value: float | None
    confirm: tuple[Term, ...]
    timeout_s: float
    preconditions: tuple[Term, ...]
    repeatable: bool
    resets_all: bool = False


@dataclass(frozen=True, slots=True)
class Power:
    """How a machine is switched on and off with its commands powerOn, standby and powerOff.

    Attributes:
        warning_s: from the warning before powerOn to the command.
        horn: path of a writable bit that sounds the warning while it is 1; None where the machine has none.
        safe_celsius: belt and blowers stay on until every hot zone is below it.
        immediate_off: powerOff may be given to a hot machine, without the cool-down.
        warm_up_timeout_s, cool_down_timeout_s: longest time from the command to ready, and to safe_celsius.
    """

    warning_s: float
    horn: str | None
    safe_celsius: float
    immediate_off: bool
    warm_up_timeout_s: float
    cool_down_timeout_s: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A point that the device wants written again and again, or it takes its master for dead.

    Attributes:
        style: "toggle", between 0 and 1; "count", one up each time and from the highest to 0.
    """

    point: str
    period_ms: int
    style: str


@dataclass(frozen=True, slots=True)
class Standby:
    """What brings a device without a command for it to rest: a value for each setpoint, by path, in its unit."""

    setpoints: Mapping[str, float]
    preconditions: tuple[Term, ...]
