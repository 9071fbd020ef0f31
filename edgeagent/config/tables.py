"""The tables of the configuration file, each key with its type, range and default."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

LIMITS = ("peak", "time_above_liquidus", "soak", "max_rise", "max_fall")
"""Keys of a window that are limits."""


Port = Annotated[int, Meta(ge=0, le=65535, description="0 takes any free port")]
Text = Annotated[str, Meta(min_length=1, max_length=255)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="letters, digits, . _ -")]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class AgentTable(_Table, frozen=True):
    """Where the agent keeps what must not be lost."""

    store: str = "edgeagent.sqlite3"


class HttpTable(_Table, frozen=True):
    """JSON-RPC over HTTP POST and WebSocket, at /rpc."""

    host: str = "127.0.0.1"
    port: Port = 8480
    enabled: bool = True
    origins: tuple[str, ...] = ()


class LinesTable(_Table, frozen=True):
    """JSON-RPC over TCP, one message a line."""

    host: str = "127.0.0.1"
    port: Port = 8481
    enabled: bool = True


class OpenAppsTable(_Table, frozen=True):
    """The OpenApps outlet: connections over all its listeners; a message not taken in `patience_s` seconds ends one."""

    http: HttpTable = HttpTable()
    lines: LinesTable = LinesTable()
    connections: Annotated[int, Meta(ge=1, le=4096)] = 256
    patience_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0


class LineTable(_Table, frozen=True):
    """One serial line, and how it is spoken there; `master` says that this agent alone asks on it."""

    id: Name
    port: Text
    baud: Annotated[int, Meta(ge=300, le=1_000_000)] = 19200
    parity: Literal["none", "even", "odd"] = "even"
    stop_bits: Literal[1, 2] = 1
    data_bits: Literal[7, 8] = 8
    master: bool = False


class ModbusTcpTable(_Table, frozen=True, tag_field="kind", tag="modbus-tcp"):
    """A device on the network, and the register map that it speaks: a shipped map's name or the path of a file.

    `rename` gives objects of the map other names, so that several devices of one kind belong to one machine.
    """

    map: Text
    host: Text
    port: Port = 502
    unit: Annotated[int, Meta(ge=0, le=255)] | None = None
    rename: dict[str, str] = {}


class ModbusRtuTable(_Table, frozen=True, tag_field="kind", tag="modbus-rtu"):
    """A unit on a serial line, and the register map that it speaks."""

    map: Text
    line: Text
    unit: Annotated[int, Meta(ge=1, le=247)] | None = None
    rename: dict[str, str] = {}


class SerialInstrumentTable(_Table, frozen=True, tag_field="kind", tag="serial-instrument"):
    """An instrument on a serial line that speaks text, and the map of what it says; `address` where it has its own."""

    map: Text
    line: Text
    address: Annotated[int, Meta(ge=0, le=999)] | Annotated[str, Meta(pattern="^[!-~]{1,8}$")] | None = None
    rename: dict[str, str] = {}


SourceTable = ModbusTcpTable | ModbusRtuTable | SerialInstrumentTable


class WindowTable(_Table, frozen=True):
    """What a board must feel: each limit is [low, high]; °C, s and °C/s."""

    liquidus: Annotated[float, Meta(gt=0, lt=500)] = 217.0
    soak_low: Annotated[float, Meta(gt=0, lt=500)] = 150.0
    soak_high: Annotated[float, Meta(gt=0, lt=500)] = 190.0
    peak: tuple[float, float] | None = None
    time_above_liquidus: tuple[float, float] | None = None
    soak: tuple[float, float] | None = None
    max_rise: tuple[float, float] | None = None
    max_fall: tuple[float, float] | None = None


class TolerancesTable(_Table, frozen=True):
    """How far the process may be from its setpoints while a board is inside."""

    zone_celsius: Annotated[float, Meta(gt=0)] = 5.0
    belt_percent: Annotated[float, Meta(gt=0, le=100)] = 2.0
    oxygen_ppm: Annotated[float, Meta(gt=0)] | None = None
    measure_percent: Annotated[float, Meta(gt=0, le=100)] = 10.0
    contact_s: tuple[float, float] | None = None


class MachineTable(_Table, frozen=True):
    """One machine; its first source describes it, more add instruments."""

    id: Name
    sources: Annotated[tuple[SourceTable, ...], Meta(min_length=1, max_length=16)]
    serial_number: str | None = None
    window: WindowTable = WindowTable()
    tolerances: TolerancesTable = TolerancesTable()


class SimulationTable(_Table, frozen=True):
    """Runs the agent on a sped-up clock, for a simulated machine only."""

    speed: Annotated[float, Meta(gt=0, le=100)] = 1.0
    origin: datetime | None = None


class Configuration(_Table, frozen=True):
    """The whole file, read."""

    machines: Annotated[tuple[MachineTable, ...], Meta(min_length=1, max_length=32)]
    lines: Annotated[tuple[LineTable, ...], Meta(max_length=32)] = ()
    agent: AgentTable = AgentTable()
    openapps: OpenAppsTable = OpenAppsTable()
    simulation: SimulationTable = SimulationTable()
