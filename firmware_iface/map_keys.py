"""The language of a map file, as data: every table's keys with kind, default, range and choices."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from firmware_iface.commands import COMMANDS
from firmware_iface.instrument import MAX_LINE
from firmware_iface.registers import MACHINE_STATES, TABLES, WIDTHS, ZONES, Capture, Thermal

REQUIRED: Final = object()
"""Default of a key that must be given."""

MAX_TEXT = 500
"""Characters in a text of a map."""

MAX_LISTED = 255
"""Entries in a list of a map."""

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
PATH = r"[a-z][A-Za-z0-9]*(/[A-Za-z0-9]+)*/[a-z][A-Za-z0-9]*"
CODE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
ORDINAL = r"[1-9][0-9]{0,2}"
CONDITION = r"([\w/]+)(?:\s+-\s+([\w/]+))?\s*([=!<>]=|[<>])\s*(\S+)"
"""A point's path, perhaps another that is taken off, an operator and a number."""

VERSION = r"[0-9]{1,9}(\.[0-9]{1,9}){0,7}"
ORDERS = ("big", "little")
SPEEDS = ("cm/min", "m/min", "mm/min", "mm/s")
UNITS = (
    "degC", "degC/s", "ppm", *SPEEDS, "mm", "percent", "s", "count",
    "mV", "V", "A", "Hz", "mbar", "kg/h", "l/min", "ml/min", "rpm",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Role:
    """What a point must be where it is used.

    Attributes:
        type: "bit", "text", "number" or "bit or number".
        units: those that a number may have; empty for any.
        is_writable: the device takes writes to it.
    """

    type: str
    units: tuple[str, ...] = ()
    is_writable: bool = False

    def __str__(self) -> str:
        told = f"{self.type} in {' or '.join(self.units)}" if self.units else self.type
        return f"{told} that can be written" if self.is_writable else told


BIT, TEXT, NUMBER, VALUE = Role("bit"), Role("text"), Role("number"), Role("bit or number")
WRITABLE, SETPOINT = Role("bit or number", is_writable=True), Role("number", is_writable=True)
SPEED, TEMPERATURE, OXYGEN = Role("number", SPEEDS), Role("number", ("degC",)), Role("number", ("ppm",))
WIDTH, SWITCH = Role("number", ("mm",)), Role("bit", is_writable=True)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table.

    Attributes:
        kind: "text", "name", "version", "boolean", "integer", "number", "range", "integers", "texts", "path", "paths",
            "object", "objects", "conditions", "document" (the id of a source), "match" (a number, a text or a list of
            numbers), "numbers" (a table of numbers by path), "table", "tables" or "named" (a table of tables by name).
        low, high: smallest and largest number, both allowed.
        choices: the texts allowed; empty for any.
        keys: of the tables inside.
        names: what the names of a table of tables look like; empty for any.
        role: what the points that the paths name must be.
    """

    name: str
    kind: str
    text: str
    default: object = REQUIRED
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    role: Role | None = None
    names: str = ""


def _numbers(defaults: type[Capture] | type[Thermal], texts: dict[str, tuple[float, str]]) -> tuple[Key, ...]:
    """Keys of the fields of a dataclass; texts: by name the smallest number, and what it is."""
    return tuple(
        Key(field.name, "integer" if field.type == "int" else "number", text, field.default, low, 1e6)
        for field in fields(defaults)
        for low, text in [texts[field.name]]
    )


ABOUT = (
    Key("id", "name", "short name of the map"),
    Key("version", "text", "version of the map"),
    Key("title", "text", "what it describes, for people"),
    Key("note", "text", "where it comes from and what it is not", ""),
    Key("kind", "text", "what it describes", choices=tuple(ZONES)),
)
SOURCE = (
    Key("id", "name", "by which points name it", ""),
    Key("title", "text", "the document"),
    Key("page", "text", "page or section of it", ""),
    Key("status", "text", "how far it can be trusted", choices=("own", "official", "derived", "inferred")),
)
MACHINE = (
    Key("manufacturer", "text", "who made it"),
    Key("model", "text", "what it is called"),
    Key("oxygen", "objects", "objects that measure oxygen", ()),
    Key("firmware", "path", "point with the firmware's version", None, role=TEXT),
    Key("firmware_from", "version", "first version that the map is true for, compared part by part", None),
    Key("firmware_to", "version", "last version that the map is true for; 3.04 takes 3.04.7 in", None),
    Key("serial", "path", "point with the serial number", None, role=TEXT),
    Key("remote", "path", "point that is true while remote control is allowed", None, role=BIT),
)
RECIPE = (
    Key("name", "path", "point with the active recipe's name", None, role=TEXT),
    Key("version", "path", "point with the active recipe's version", None, role=NUMBER),
    Key("order", "paths", "setpoints in the order in which a recipe is written; the others follow in that of the map",
        (), role=SETPOINT),
)
DEVICE = (
    Key("unit", "integer", "Modbus unit", 1, 0, 255),
    Key("address_base", "integer", "the address that the document gives to the first register", 0, 0, 1),
    Key("word_order", "text", "order of words in a value: little makes CDAB of ABCD", "big", choices=ORDERS),
    Key("byte_order", "text", "order of bytes in a word: little makes BADC of ABCD", "big", choices=ORDERS),
    Key("max_registers", "integer", "most registers in one request", 125, 1, 125),
    Key("max_bits", "integer", "most bits in one request", 2000, 1, 2000),
    Key("max_gap", "integer", "registers that may be read for nothing to join two blocks", 16, 0, 124),
    Key("timeout_ms", "integer", "longest wait for an answer", 500, 10, 60_000),
    Key("pause_ms", "integer", "rest between two requests", 0, 0, 10_000),
    Key("connections", "integer", "masters, or TCP connections, that it takes at a time", 1, 1, 32),
    Key("latency_ms", "integer", "longest time from a question's end to the answer's begin, on a serial line",
        100, 0, 10_000),
)
LINE = (
    Key("baud", "integer", "bits a second", low=1200, high=1_000_000),
    Key("parity", "text", "parity of a character", "even", choices=("none", "even", "odd")),
    Key("stop_bits", "integer", "stop bits of a character", 1, 1, 2),
)
IDENTITY = (
    Key("point", "path", "what is read at connect"),
    Key("equals", "match", "the number, one of the numbers or the text that it is", None),
    Key("low", "number", "smallest number that it is", None, -1e300, 1e300),
    Key("high", "number", "largest number that it is", None, -1e300, 1e300),
    Key("mask", "integer", "bits of the raw number, unsigned, that are compared", None, 1, 2**64 - 1),
    Key("text", "text", "why, for people", ""),
)
READING = (
    Key("address", "integer", "first of the four registers that it is given in: 0, 4, 8, ...", low=0, high=65_532),
    Key("mnemonic", "text", "EI-Bisynch: the parameter's two characters", None),
    Key("bit", "integer", "EI-Bisynch: the bit of a status word in hexadecimal that it is", None, 0, 31),
    Key("group", "text", "text lines: named group of the patterns with the number", None),
    Key("unit_group", "text", "text lines: named group of the patterns with the unit", None),
    Key("unit_is", "text", "text lines: the only unit in which the number counts", None),
)
INSTRUMENT = (
    Key("protocol", "text", "what it speaks", choices=("ei-bisynch", "text-line")),
    Key("poll", "text", "text lines: what is sent to be told one; left out where it tells them by itself", ""),
    Key("patterns", "texts", "text lines: regular expressions of a whole line with values", ()),
    Key("not_ready", "texts", "text lines: regular expressions of a whole line that says that it has no value", ()),
    Key("max_line", "integer", "text lines: characters of the longest line", MAX_LINE, 1, 2000),
    Key("readings", "tables", "what is taken of its answers", keys=READING),
)
POINT = (
    Key("table", "text", "Modbus table", choices=TABLES),
    Key("address", "integer", "address in the document's numbering", low=0, high=65_536),
    Key("type", "text", "how the value is laid down", choices=(*WIDTHS, "bit", "text")),
    Key("bit", "integer", "bit of the register, 0 is the least significant", None, 0, 15),
    Key("length", "integer", "registers that a text takes", None, 1, 125),
    Key("kind", "text", "what the value means", "measured", choices=("measured", "setpoint", "limit", "state")),
    Key("scale", "number", "value = raw * scale + offset", 1.0, -1e9, 1e9),
    Key("offset", "number", "value = raw * scale + offset", 0.0, -1e9, 1e9),
    Key("unit", "text", "unit of the value", None, choices=UNITS),
    Key("range", "range", "from low to high the value can be true", None),
    Key("max_rate", "number", "largest believable change per second, in its unit", None, 1e-9, 1e12),
    Key("decimals", "integer", "places sent on", None, 0, 9),
    Key("word_order", "text", "order of words, where it is not the device's", None, choices=ORDERS),
    Key("byte_order", "text", "order of bytes, where it is not the device's", None, choices=ORDERS),
    Key("not_available", "integers", "raw numbers, unsigned, that say that there is no value", (), 0, 2**64 - 1),
    Key("deadband", "number", "a move of more than this is told", 0.0, 0, 1e9),
    Key("silence_s", "number", "longest time without telling", 60.0, 0.1, 86_400),
    Key("access", "text", "whether the device takes writes", "r", choices=("r", "rw")),
    Key("text", "text", "what it is, for people", ""),
    Key("source", "document", "id of the document that describes it", ""),
    Key("page", "text", "page or section of the document", ""),
)
GROUP = (
    Key("period_ms", "integer", "time between two reads", low=10, high=3_600_000),
    Key("max_age_ms", "integer", "an older value is not good any more; 3 periods by default", None, 10, 10_800_000),
    Key("defaults", "table", "keys that all points share", {}, keys=POINT),
    Key("points", "named", "points by path", keys=POINT, names=PATH),
)
SCANNER = (
    Key("count", "path", "point that moves with every reading", role=NUMBER),
    Key("result", "path", "point that is 1 for a code read, 2 for none", role=NUMBER),
    Key("code", "path", "point with the code", role=TEXT),
    Key("position_mm", "number", "place from the tunnel's entrance", low=-10_000, high=100_000),
)
LANE = (
    Key("inlet_mm", "number", "place of the inlet barrier", low=-10_000, high=100_000),
    Key("outlet_mm", "number", "place of the outlet barrier", low=-10_000, high=100_000),
    Key("speed", "path", "point with the belt's speed", role=SPEED),
    Key("speed_setpoint", "path", "point with the speed's setpoint", role=SPEED),
    Key("width", "path", "point with the width of the rails", None, role=WIDTH),
    Key("width_setpoint", "path", "point with the width's setpoint", None, role=WIDTH),
    Key("inlet", "path", "point of the inlet barrier", role=BIT),
    Key("outlet", "path", "point of the outlet barrier", role=BIT),
    Key("blocked", "conditions", "the outlet is blocked when all hold", ()),
    Key("blocked_delay_s", "number", "how long they must have held", 2.0, 0, 3600),
    Key("scanner", "table", "barcode reader before the inlet", None, keys=SCANNER),
)
ZONE = (
    Key("kind", "text", "what it does",
        choices=tuple(dict.fromkeys(kind for kinds in ZONES.values() for kind in kinds))),
    Key("start_mm", "number", "place from the tunnel's entrance", low=0, high=100_000),
    Key("length_mm", "number", "length", low=1, high=10_000),
    Key("temperatures", "paths", "points with its temperatures, top before bottom; only a fluxer needs none", (),
        role=TEMPERATURE),
    Key("setpoints", "paths", "points with their setpoints", (), role=TEMPERATURE),
    Key("measures", "paths", "points with other numbers of it; the setpoint of a/b is a/bSetpoint", (), role=NUMBER),
)
WATCHDOG = (
    Key("point", "path", "point that moves while the device works", role=NUMBER),
    Key("within_s", "number", "the longest that it may stand; then everything that the device says is old", 10.0,
        0.1, 86_400),
)
BAD = (
    Key("points", "paths", "points that have no value to trust"),
    Key("when", "conditions", "while all hold"),
    Key("reason", "text", "why, for people", ""),
)
STATE = (
    Key("state", "text", "state of the machine", choices=MACHINE_STATES),
    Key("when", "conditions", "it is in the state when all hold"),
    Key("reason", "text", "why, for people", ""),
)
ALARM = (
    Key("text", "text", "what is wrong, for people"),
    Key("severity", "text", "how bad it is", choices=("fault", "warning", "information")),
    Key("object", "object", "what it is about"),
    Key("when", "conditions", "it stands when all hold"),
    Key("hysteresis", "number", "by how much the comparison must be undercut before it ends", 0.0, 0, 1e9),
    Key("delay_s", "number", "how long they must have held", 0.0, 0, 86_400),
    Key("clear_delay_s", "number", "how long they must not have held", 0.0, 0, 86_400),
    Key("states", "texts", "states in which it is watched; all by default", (), choices=MACHINE_STATES),
    Key("remote_reset", "boolean", "whether it can be reset from afar", False),
)
COMMAND = (
    Key("write", "path", "point that is written", role=WRITABLE),
    Key("value", "number", "value that is written, in its unit", low=-1e300, high=1e300),
    Key("style", "text", "whether the value stays, or is taken back to 0", "level", choices=("pulse", "level")),
    Key("pulse_ms", "integer", "how long a pulse is", None, 10, 60_000),
    Key("handshake", "path", "point that must show handshake_value before the write is taken", None, role=VALUE),
    Key("handshake_value", "number", "value of the handshake, in its unit", None, -1e300, 1e300),
    Key("confirm", "conditions", "the command has worked when all hold"),
    Key("timeout_s", "number", "longest wait for that", 10.0, 0.1, 3600),
    Key("preconditions", "conditions", "it may be given when all hold, on good values", ()),
    Key("repeatable", "boolean", "whether the agent itself may write it a second time", False),
    Key("resets_all", "boolean", "of alarmReset: whether it may reset alarms without remote_reset too", False),
)
POWER = (
    Key("warning_s", "number", "time from the warning before powerOn to the command", 0.0, 0, 600),
    Key("horn", "path", "bit that sounds the warning while it is 1", None, role=SWITCH),
    Key("safe_celsius", "number", "belt and blowers stay on until every heated or preheat zone is below it",
        low=0, high=300),
    Key("immediate_off", "boolean", "whether powerOff may be given to a hot machine", False),
    Key("warm_up_timeout_s", "number", "longest time from powerOn to ready", 7200.0, 1, 86_400),
    Key("cool_down_timeout_s", "number", "longest time from standby to safe_celsius", 14_400.0, 1, 86_400),
)
HEARTBEAT = (
    Key("point", "path", "point that is written again and again", role=WRITABLE),
    Key("period_ms", "integer", "time between two writes", low=50, high=60_000),
    Key("style", "text", "between 0 and 1, or one up each time", "toggle", choices=("toggle", "count")),
)
STANDBY = (
    Key("setpoints", "numbers", "setpoints by path, with the value that each is set to", role=SETPOINT),
    Key("preconditions", "conditions", "it may be done when all hold, on good values", ()),
)
CAPTURE = _numbers(
    Capture,
    {
        "debounce_ms": (1, "a barrier's level counts after this time"),
        "min_board_mm": (1, "what covers the inlet for less travel is not a board"),
        "max_board_mm": (1, "longest board"),
        "min_gap_mm": (0, "a barrier that is free for less travel was a hole in the board"),
        "match_mm": (0, "an exit this near to the expected place is certain"),
        "lost_mm": (0, "a board this far past the outlet without being seen there is lost"),
    },
)
THERMAL = _numbers(
    Thermal,
    {
        "tau_s": (0.001, "time constant of a board"),
        "ramp_start_mm": (0, "where the air begins to warm"),
        "ramp_end_mm": (0.001, "where the air has the first zone's temperature"),
        "decay_mm": (0.001, "length over which the air cools after the last heated zone"),
        "exit_celsius": (-50, "what the air cools to"),
        "ambient_celsius": (-50, "the air before the ramp, and a board before the oven"),
    },
)
MAP = (
    Key("map", "table", "what the file is", keys=ABOUT),
    Key("sources", "tables", "documents that it was made from", (), keys=SOURCE),
    Key("machine", "table", "what the machine is", keys=MACHINE),
    Key("recipe", "table", "where it tells its recipe, and how it takes one", {}, keys=RECIPE),
    Key("device", "table", "how it wants to be asked", {}, keys=DEVICE),
    Key("line", "table", "what it speaks on a serial line as delivered", None, keys=LINE),
    Key("identity", "tables", "by what it is known, read at connect", (), keys=IDENTITY),
    Key("instrument", "table", "how it is spoken to, where it speaks text", None, keys=INSTRUMENT),
    Key("groups", "named", "points that are read together", keys=GROUP),
    Key("lanes", "named", "conveyors through the tunnel, by number", {}, keys=LANE, names=ORDINAL),
    Key("zones", "named", "zones of the tunnel, by number", {}, keys=ZONE, names=ORDINAL),
    Key("bad", "tables", "rules of values that the device itself calls wrong", (), keys=BAD),
    Key("states", "tables", "rules of the machine's state; the first that holds wins", (), keys=STATE),
    Key("alarms", "named", "rules of the alarms, by code", {}, keys=ALARM, names=CODE),
    Key("commands", "named", "what it can be told to do", {}, keys=COMMAND, names="|".join(COMMANDS)),
    Key("power", "table", "how it is switched on and off by its commands", None, keys=POWER),
    Key("watchdog", "table", "by what its master knows that it works", None, keys=WATCHDOG),
    Key("heartbeat", "table", "by what it knows that its master is there", None, keys=HEARTBEAT),
    Key("standby", "table", "what brings it to rest", None, keys=STANDBY),
    Key("capture", "table", "how boards are recognised", {}, keys=CAPTURE),
    Key("thermal", "table", "nominal model of air and board", {}, keys=THERMAL),
)
