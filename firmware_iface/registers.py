"""What one address means: a register map as plain values, made by `catalog.load`, read by agent and simulator alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_iface.commands import Command, Heartbeat, Power, Standby
    from firmware_iface.identity import Identity
    from firmware_iface.instrument import Instrument

TABLES = ("coil", "discrete", "holding", "input")
"""The four Modbus tables; read by function 1, 2, 3 and 4."""

ZONES = {
    "reflow": ("heated", "cooling"),
    "wave": ("flux", "preheat", "wave", "cooling"),
    "instrument": ("heated", "cooling"),
}
"""Kinds of zones by the kind of map, in the order in which a board comes through them."""

WIDTHS = {
    "int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4, "float64": 4,
    "bcd16": 1, "bcd32": 2,
}  # fmt: skip
"""Registers that one number of a type takes."""

MACHINE_STATES = (
    "off", "standby", "starting", "warmingUp", "changeover", "coolingDown",
    "ready", "running", "fault", "emergencyStop", "maintenance", "unknown",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Register:
    """One point of the machine and its place on the wire.

    Attributes:
        path: object and name, "zone/1/top/temperature"; the last part is the name.
        group: name of the read group that it belongs to.
        kind: "measured", "setpoint", "limit" or "state".
        table, address: as sent in the request (the map's address base is taken off already).
        type: a key of WIDTHS, "bit" or "text".
        bit: for type "bit" in a register: 0 is the least significant; None in a table of bits.
        count: registers (or bits) taken from `address` on.
        word_order, byte_order: "big" or "little", of words in a value and of bytes in a word: the four letters of
            a value of two words are sent as ABCD (big, big), CDAB (little, big), BADC (big, little) or DCBA.
        scale, offset: value = raw * scale + offset.
        not_available: raw numbers (unsigned as on the wire) by which the device says that it has no value.
        unit: "degC", "ppm", "cm/min", "mm", "percent", ... or None for states and texts.
        low, high: range in which a value can be true, in units; outside it the value is bad. None: not limited.
        decimals: places that are sent on; None for texts.
        deadband: telemetry tells a move of more than this, in units.
        silence_s: telemetry tells the value at least this often.
        writable: the device takes writes to it.
        text: what it is, for people.
        max_rate: largest believable change per second, in units; a faster one is uncertain until a second read bears
            it out. None: any.
        source, page: id of the document that describes it, and the page in there; empty where the map does not say.
    """

    path: str
    group: str
    kind: str
    table: str
    address: int
    type: str
    bit: int | None
    count: int
    word_order: str
    byte_order: str
    scale: float
    offset: float
    not_available: tuple[int, ...]
    unit: str | None
    low: float | None
    high: float | None
    decimals: int | None
    deadband: float
    silence_s: float
    writable: bool
    text: str
    max_rate: float | None = None
    source: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Points that are read together and share one time.

    Attributes:
        period_ms: time between two reads.
        max_age_ms: a value older than this is not good any more.
    """

    name: str
    period_ms: int
    max_age_ms: int


@dataclass(frozen=True, slots=True)
class Device:
    """How the device wants to be asked; times in ms, sizes in registers or bits.

    Attributes:
        connections: masters, or TCP connections, that it takes at a time.
        latency_ms: longest time from the end of a question to the begin of the answer, on a serial line.
    """

    unit: int = 1
    word_order: str = "big"
    byte_order: str = "big"
    max_registers: int = 125
    max_bits: int = 2000
    max_gap: int = 16
    timeout_ms: int = 500
    pause_ms: int = 0
    connections: int = 1
    latency_ms: int = 100


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """What a device speaks on a serial line as delivered; eight data bits.

    Attributes:
        baud: bits a second. parity: "none", "even" or "odd". stop_bits: 1 or 2.
    """

    baud: int
    parity: str = "even"
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison: `path [- minus] operator number`; with a number instead of a path nothing is looked up twice.

    Attributes:
        operator: one of == != > < >= <=.
    """

    path: str
    minus: str | None
    operator: str
    number: float


@dataclass(frozen=True, slots=True)
class BadRule:
    """The device gives values for these points, but none that can be trusted while all terms hold.

    Attributes:
        points: paths, all of one read group with what the terms compare, so that both are of one moment.
    """

    points: tuple[str, ...]
    when: tuple[Term, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Watchdog:
    """While the point has stood for longer than `within_s`, all that the device says is old, well as it may answer."""

    point: str
    within_s: float


@dataclass(frozen=True, slots=True)
class StateRule:
    """The machine is in `state` when all terms hold; the first rule of a map that holds wins."""

    state: str
    when: tuple[Term, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """An alarm stands when all terms have held for `delay_s`, and ends when they have not for `clear_delay_s`.

    Attributes:
        severity: "fault", "warning" or "information".
        object: what it is about, "zone/3/top".
        hysteresis: a raised alarm's comparison must be undercut by this much, in units, before it ends.
        states: machine states in which it is watched; empty for all.
    """

    code: str
    text: str
    severity: str
    object: str
    when: tuple[Term, ...]
    hysteresis: float
    delay_s: float
    clear_delay_s: float
    states: tuple[str, ...]
    remote_reset: bool


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone of the tunnel; places in mm from the tunnel's entrance.

    Attributes:
        kind: "heated" or "cooling"; of a wave machine "flux", "preheat", "wave" or "cooling".
        length_mm: of a wave the nominal contact length, so that contact seconds are a point's seconds in the zone.
        temperatures, setpoints: paths, top before bottom; cooling zones may have no setpoints, flux zones nothing.
        measures: paths of other numbers that belong to it, flow or pump speed. The setpoint of a/b is a/bSetpoint,
            where the map has it.
    """

    number: int
    kind: str
    start_mm: float
    length_mm: float
    temperatures: tuple[str, ...]
    setpoints: tuple[str, ...]
    measures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scanner:
    """A barcode reader before the inlet: the count moves with every reading; result 1 is read, 2 is no read."""

    count: str
    result: str
    code: str
    position_mm: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One conveyor through the tunnel; barrier places in mm from the tunnel's entrance, the rest are paths.

    Attributes:
        speed_setpoint, width_setpoint: what moves this lane's belt and rails.
        width, width_setpoint: of the rails; None where they are set by hand.
    """

    number: int
    inlet_mm: float
    outlet_mm: float
    speed: str
    speed_setpoint: str
    inlet: str
    outlet: str
    blocked: tuple[Term, ...]
    blocked_delay_s: float
    scanner: Scanner | None
    width: str | None = None
    width_setpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """How boards are recognised on this machine; lengths in mm of belt travel.

    Attributes:
        debounce_ms: a barrier's level counts after this time.
        min_board_mm: what covers the inlet for less travel is not a board.
        max_board_mm: longest board; what covers the inlet for more is told as unexpected.
        min_gap_mm: a barrier that is free for less travel was a hole in the board, not its end.
        match_mm: an exit this near to the expected place is certain.
        lost_mm: a board this far past the outlet without being seen there is lost.
    """

    debounce_ms: int = 250
    min_board_mm: float = 40.0
    max_board_mm: float = 480.0
    min_gap_mm: float = 5.0
    match_mm: float = 80.0
    lost_mm: float = 500.0


@dataclass(frozen=True, slots=True)
class Thermal:
    """Nominal model of the air and of a board: one time constant, entry ramp, decay after the last hot zone.

    Source: facts of model A; a plausible oven, not a calibrated one.
    """

    tau_s: float = 48.53
    ramp_start_mm: float = 78.2
    ramp_end_mm: float = 502.5
    decay_mm: float = 630.3
    exit_celsius: float = 22.22
    ambient_celsius: float = 25.0


@dataclass(frozen=True, slots=True)
class Source:
    """A document that a map was made from.

    Attributes:
        id: by which points name it; empty where none does.
        page: page or section of it; empty for the whole.
        status: "own", "official", "derived" or "inferred".
    """

    title: str
    page: str
    status: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """One machine or instrument, whole.

    Attributes:
        kind: "reflow", "wave" or "instrument".
        fingerprint: 8 hex digits that change when anything that is on the wire changes.
        registers: in the order of the file; the index of a register is its column.
        firmware, serial, remote, recipe_name, recipe_version: paths of the points with that meaning.
        recipe_order: paths of all setpoints that a recipe writes, in the order in which it does.
        oxygen: objects that measure oxygen, "oxygen/1"; each has the names concentration and perhaps setpoint.
        firmware_from, firmware_to: versions that the map is true for, "3.04", both allowed; None: not limited.
        identity: by what the agent knows that it has this device before it.
        line: what the device speaks on a serial line; None where the map does not say.
        instrument: how it is spoken to where it speaks text, not Modbus; the registers are made of what it says.
    """

    id: str
    version: str
    title: str
    note: str
    kind: str
    manufacturer: str
    model: str
    fingerprint: str
    device: Device
    groups: tuple[Group, ...]
    registers: tuple[Register, ...]
    lanes: tuple[Lane, ...]
    zones: tuple[Zone, ...]
    states: tuple[StateRule, ...]
    alarms: tuple[AlarmRule, ...]
    capture: Capture
    thermal: Thermal
    oxygen: tuple[str, ...]
    firmware: str | None
    serial: str | None
    remote: str | None
    recipe_name: str | None
    recipe_version: str | None
    sources: tuple[Source, ...] = ()
    firmware_from: str | None = None
    firmware_to: str | None = None
    identity: tuple[Identity, ...] = ()
    line: SerialSettings | None = None
    commands: tuple[Command, ...] = ()
    heartbeat: Heartbeat | None = None
    power: Power | None = None
    standby: Standby | None = None
    recipe_order: tuple[str, ...] = ()
    bad: tuple[BadRule, ...] = ()
    watchdog: Watchdog | None = None
    instrument: Instrument | None = None

    @property
    def hot_zones(self) -> tuple[Zone, ...]:
        """Zones that must cool before belt and blowers may stop; a solder pot takes half a day and needs neither."""
        return tuple(zone for zone in self.zones if zone.kind in ("heated", "preheat"))

    def command(self, name: str) -> Command | None:
        """Find a command by its name; None where the map has none."""
        return next((command for command in self.commands if command.name == name), None)

    def register(self, path: str) -> Register:
        """Find a register by its path; KeyError where the map has none."""
        for register in self.registers:
            if register.path == path:
                return register
        raise KeyError(path)
