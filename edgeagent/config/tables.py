"""The tables of the configuration file, each key with its type, range and default."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from edgeagent.config.kept import StoreTable
from edgeagent.config.table import Table

LIMITS = ("peak", "time_above_liquidus", "soak", "max_rise", "max_fall")
"""Keys of a window that are limits."""

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="letters, digits, . _ -")]
_Text = Annotated[str, Meta(min_length=1, max_length=255)]
_Limit = tuple[float, float]
_Celsius = Annotated[float, Meta(gt=0, lt=500)]
_Share = Annotated[float, Meta(gt=0, le=100)]

MapName = Annotated[_Text, Meta(description='a map that comes with the agent, or the path of a file: "./oven.toml"')]
LineName = Annotated[_Text, Meta(description="the id of one of the [[lines]]")]
Host = Annotated[str, Meta(description="the address to listen at; beyond this computer with tls and users only")]
Port = Annotated[int, Meta(ge=0, le=65535, description="the port to listen at; 0 takes any free one")]
Enabled = Annotated[bool, Meta(description="whether the agent listens here")]
Heartbeat = Annotated[
    bool, Meta(description="whether the agent writes the map's [heartbeat] to the device, for as long as it runs")
]
Tls = Annotated[bool, Meta(description="whether TLS is spoken here, with the files of [tls]")]
Anonymous = Annotated[
    Literal["viewer", "none"] | None,
    Meta(description="what who does not say who it is may: viewer if left out; none beyond this computer, always"),
]
Rename = Annotated[
    dict[str, str],
    Meta(description="other names for objects of the map, so that several devices of one kind belong to one machine"),
]


class AgentTable(Table, frozen=True):
    """Where the agent keeps what must not be lost."""

    store: Annotated[
        str, Meta(description="the database file; relative paths are taken from this file's folder")
    ] = "edgeagent.sqlite3"


class HttpTable(Table, frozen=True):
    """JSON-RPC over HTTP POST and WebSocket, at /rpc."""

    host: Host = "127.0.0.1"
    port: Port = 8480
    enabled: Enabled = True
    tls: Tls = False
    anonymous: Anonymous = None
    names: Annotated[
        tuple[str, ...], Meta(description='how clients call this computer, where not by its address: "oven1.local"')
    ] = ()
    origins: Annotated[
        tuple[str, ...], Meta(description='web pages that may ask, as browsers name them: "http://panel:8080"')
    ] = ()


class LinesTable(Table, frozen=True):
    """JSON-RPC over TCP, one message a line."""

    host: Host = "127.0.0.1"
    port: Port = 8481
    enabled: Enabled = True
    tls: Tls = False
    anonymous: Anonymous = None


class TlsTable(Table, frozen=True):
    """What TLS is spoken with: PEM files, relative to this file's folder, or `credential:NAME` of systemd."""

    certificate: Annotated[_Text, Meta(description="of this server, with those between it and its CA after it")]
    key: Annotated[
        _Text, Meta(description='"file:PATH" or "credential:NAME"; nobody but the agent may read it')
    ]
    client_ca: Annotated[
        _Text | None, Meta(description="the CA whose clients may say by their certificate who they are")
    ] = None
    require_client_certificate: Annotated[
        bool, Meta(description="whether only clients with a certificate of client_ca are listened to")
    ] = False


Policy = Literal["Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256"]


class OpcuaTable(Table, frozen=True):
    """The OPC UA server, a process of its own; there is none where this table is left out."""

    host: Annotated[
        str, Meta(description="the address to listen at; beyond this computer with users only")
    ] = "127.0.0.1"
    port: Port = 4840
    names: Annotated[
        tuple[Annotated[_Text, Meta(pattern="^[A-Za-z0-9.:_-]+$")], ...],
        Meta(max_length=16, description='how clients call this computer, where not by its address: "oven1.local"'),
    ] = ()
    policies: Annotated[
        tuple[Policy, ...],
        Meta(min_length=1, description="security policies, the best first; always with signature and encryption"),
    ] = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
    anonymous_reading: Annotated[
        bool, Meta(description="whether who does not say who it is may read; at a loopback address only")
    ] = False
    folder: Annotated[
        _Text | None,
        Meta(description="of its certificate and key, and of the clients' certificates; `pki` beside the store if left "
                         "out"),
    ] = None
    application_uri: Annotated[
        Annotated[str, Meta(pattern=r"^urn:[\x21-\x7e]{1,200}$")] | None,
        Meta(description="of this server, where it is to be another than urn:edgeagent:HOSTNAME"),
    ] = None
    sessions: Annotated[int, Meta(ge=1, le=256, description="clients at the same time")] = 32


_Topic = Annotated[str, Meta(pattern=r"^(\*|[A-Z][A-Za-z]{0,31}\.(\*|[A-Z][A-Za-z]{0,63}))$")]


class PushTable(Table, frozen=True):
    """An MES that is told events at an address of its own: batches of them by POST, which 2xx acknowledges."""

    name: Annotated[Name, Meta(description="how the target is called: letters, digits, . _ -")]
    url: Annotated[_Text, Meta(description='"https://mes.factory/events"; http on this computer only')]
    topics: Annotated[
        tuple[_Topic, ...],
        Meta(max_length=64, description='what it is told, ["Board.*", "Alarm.Raised"]; all that is kept if left out'),
    ] = ()
    machines: Annotated[
        tuple[Name, ...], Meta(max_length=32, description="ids of those that it is told about; all if left out")
    ] = ()
    begin: Annotated[
        Literal["beginning", "now"],
        Meta(description="where a new target begins: with the oldest event that is kept, or with the next one"),
    ] = "beginning"
    token: Annotated[
        _Text | None, Meta(description='of the agent at the MES, "file:PATH" or "credential:NAME"; sent as Bearer')
    ] = None
    ca: Annotated[_Text | None, Meta(description="the CA of the MES, PEM; those of this computer if left out")] = None
    certificate: Annotated[_Text | None, Meta(description="a client certificate to show, PEM")] = None
    key: Annotated[
        _Text | None, Meta(description='its key, "file:PATH" or "credential:NAME"; nobody but the agent may read it')
    ] = None
    in_the_clear: Annotated[
        bool, Meta(description="true: events go over the network without TLS, for everybody to read and to change")
    ] = False
    batch_events: Annotated[int, Meta(ge=1, le=1000, description="events of one POST, at most")] = 100
    batch_bytes: Annotated[
        int, Meta(ge=1024, le=16 << 20, description="bytes of one POST, at most; a larger event goes alone")
    ] = 1 << 20
    timeout_s: Annotated[float, Meta(gt=0, le=600, description="seconds; the longest wait for an answer")] = 30.0
    catch_up_per_s: Annotated[
        int, Meta(ge=1, le=100_000, description="events a second while it is behind, so that others stay prompt")
    ] = 500
    heartbeat_s: Annotated[
        Annotated[float, Meta(ge=1, le=3600)] | None,
        Meta(description="seconds; after such a silence Event.Heartbeat is sent; never where left out"),
    ] = None
    most_rejected: Annotated[
        int, Meta(ge=1, le=1000, description="events in a row that are set aside; one more stops the line instead")
    ] = 20


class OpenAppsTable(Table, frozen=True):
    """The OpenApps outlet."""

    http: HttpTable = HttpTable()
    lines: LinesTable = LinesTable()
    push: Annotated[tuple[PushTable, ...], Meta(max_length=8, description="where events are pushed to")] = ()
    connections: Annotated[
        int, Meta(ge=1, le=4096, description="connections at the same time, over all listeners together")
    ] = 256
    patience_s: Annotated[
        float, Meta(gt=0, le=3600, description="seconds; a client that takes nothing for so long is cut off")
    ] = 60.0


class LineTable(Table, frozen=True):
    """One serial line, and how it is spoken there; all units on it share it."""

    id: Annotated[Name, Meta(description="how sources name the line: letters, digits, . _ -")]
    port: Annotated[
        _Text, Meta(description="the serial port, by a name that stays the same: `edgeagent scan` lists them")
    ]
    baud: Annotated[int, Meta(ge=300, le=1_000_000, description="bits a second")] = 19200
    parity: Annotated[Literal["none", "even", "odd"], Meta(description="none, even or odd")] = "even"
    stop_bits: Annotated[Literal[1, 2], Meta(description="1 or 2")] = 1
    data_bits: Annotated[Literal[7, 8], Meta(description="8; 7 for EI-Bisynch")] = 8
    master: Annotated[
        bool, Meta(description="true: this agent alone asks on the line; false: another does, the agent listens")
    ] = False


class ModbusTcpTable(Table, frozen=True, tag_field="kind", tag="modbus-tcp"):
    """A device on the network, and the register map that it speaks."""

    map: MapName
    host: Annotated[_Text, Meta(description="name or address of the device")]
    port: Annotated[int, Meta(ge=0, le=65535, description="of the device")] = 502
    unit: Annotated[
        Annotated[int, Meta(ge=0, le=255)] | None, Meta(description="unit identifier, where it is not the map's")
    ] = None
    heartbeat: Heartbeat = False
    rename: Rename = field(default_factory=dict)


class ModbusRtuTable(Table, frozen=True, tag_field="kind", tag="modbus-rtu"):
    """A unit on a serial line, and the register map that it speaks."""

    map: MapName
    line: LineName
    unit: Annotated[
        Annotated[int, Meta(ge=1, le=247)] | None, Meta(description="unit on the line, where it is not the map's")
    ] = None
    heartbeat: Heartbeat = False
    rename: Rename = field(default_factory=dict)


class SerialInstrumentTable(Table, frozen=True, tag_field="kind", tag="serial-instrument"):
    """An instrument on a serial line that speaks text, and the map of what it says."""

    map: MapName
    line: LineName
    address: Annotated[
        Annotated[int, Meta(ge=0, le=999)] | Annotated[str, Meta(pattern="^[!-~]{1,8}$")] | None,
        Meta(description="its own address on the line, where it is not the map's"),
    ] = None
    rename: Rename = field(default_factory=dict)


SourceTable = ModbusTcpTable | ModbusRtuTable | SerialInstrumentTable


class WindowTable(Table, frozen=True):
    """What a board must feel; a figure without a limit is measured, not judged."""

    liquidus: Annotated[_Celsius, Meta(description="melting point of the solder in degC; 217 for SAC305")] = 217.0
    soak_low: Annotated[_Celsius, Meta(description="degC; the rising band whose time is the soak")] = 150.0
    soak_high: Annotated[_Celsius, Meta(description="degC")] = 190.0
    peak: Annotated[_Limit | None, Meta(description="[low, high] of the highest temperature, in degC")] = None
    time_above_liquidus: Annotated[_Limit | None, Meta(description="[low, high] in s")] = None
    soak: Annotated[_Limit | None, Meta(description="[low, high] in s")] = None
    max_rise: Annotated[_Limit | None, Meta(description="[low, high] of the steepest rise, in degC/s")] = None
    max_fall: Annotated[_Limit | None, Meta(description="[low, high] of the steepest fall, in degC/s")] = None


class TolerancesTable(Table, frozen=True):
    """How far the process may be from its setpoints while a board is inside."""

    zone_celsius: Annotated[float, Meta(gt=0, description="of a zone, in degC")] = 5.0
    belt_percent: Annotated[_Share, Meta(description="of the belt's speed")] = 2.0
    oxygen_ppm: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="of oxygen; not judged where it is left out")
    ] = None
    measure_percent: Annotated[
        _Share, Meta(description="of a wave machine's flux flow, air pressure and pump speeds")
    ] = 10.0
    contact_s: Annotated[
        _Limit | None, Meta(description="[low, high] in s on all waves together; not judged where it is left out")
    ] = None


_Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_TimeOfDay = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class RemoteWindowTable(Table, frozen=True):
    """A time of the week in which a machine is under remote control without being asked; its own switch still wins."""

    from_: Annotated[
        _TimeOfDay, Meta(description='local time at which it begins, "05:00"')
    ] = msgspec.field(name="from")
    to: Annotated[_TimeOfDay, Meta(description="local time at which it ends; an earlier one is on the next day")]
    days: Annotated[
        tuple[_Day, ...], Meta(max_length=7, description='on which it begins, ["mon", "fri"]; every day if left out')
    ] = ()
    functions: Annotated[
        tuple[str, ...], Meta(max_length=32, description='the only functions for which it counts: ["Status.PowerOn"]')
    ] = ()


class ControlTable(Table, frozen=True):
    """Whether and how often machines may be commanded over this agent."""

    enabled: Annotated[bool, Meta(description="false: offline, nobody commands anything over this agent")] = False
    lease_minutes: Annotated[
        int, Meta(ge=1, le=1440, description="the longest time for which remote control is granted at the machine")
    ] = 60
    caller_per_minute: Annotated[int, Meta(ge=1, le=600, description="commands of one user within a minute")] = 30
    machine_per_minute: Annotated[int, Meta(ge=1, le=600, description="commands to one machine within a minute")] = 60
    recipe_change: Annotated[
        Literal["refuse", "wait"], Meta(description="what Recipe.Start does while boards are inside: refuse, or wait")
    ] = "refuse"
    recipe_wait_minutes: Annotated[
        float, Meta(gt=0, le=1440, description="the longest time that Recipe.Start waits for an empty lane")
    ] = 30.0
    recipe_ready_minutes: Annotated[
        float,
        Meta(gt=0, le=1440, description="the longest time from a new recipe to ready, where the map does not say it"),
    ] = 60.0
    alarm_resets: Annotated[
        int, Meta(ge=0, le=100, description="times that the alarms of a machine may be reset from afar within")
    ] = 5
    alarm_reset_minutes: Annotated[int, Meta(ge=1, le=1440, description="so many minutes")] = 15
    time_zone: Annotated[
        _Text | None, Meta(description='of the windows, "Europe/Berlin"; the computer\'s own if left out')
    ] = None


class MachineTable(Table, frozen=True):
    """One machine; its first source describes it, more add instruments."""

    id: Annotated[Name, Meta(description="how the MES names the machine: letters, digits, . _ -")]
    sources: Annotated[
        tuple[SourceTable, ...],
        Meta(min_length=1, max_length=16, description="devices; the first describes the machine"),
    ]
    serial_number: Annotated[str | None, Meta(description="where the machine does not tell it")] = None
    window: WindowTable = WindowTable()
    tolerances: TolerancesTable = TolerancesTable()
    auto_off_minutes: Annotated[
        Annotated[int, Meta(ge=5, le=10_080)] | None,
        Meta(description="a ready machine to which nothing came for so long is switched off; never where left out"),
    ] = None
    auto_off_warning_minutes: Annotated[
        int, Meta(ge=0, le=120, description="from the announcement of that; a board or a command meanwhile ends it")
    ] = 5
    remote_windows: Annotated[
        tuple[RemoteWindowTable, ...], Meta(max_length=32, description="times of the week under remote control")
    ] = ()


class SimulationTable(Table, frozen=True):
    """Runs the agent on a sped-up clock, for a simulated machine only."""

    speed: Annotated[float, Meta(gt=0, le=100, description="times real time")] = 1.0
    origin: Annotated[
        datetime | None, Meta(description="where sped-up and real time were equal; kept over restarts")
    ] = None


class Configuration(Table, frozen=True):
    """The configuration of edgeagent."""

    machines: Annotated[tuple[MachineTable, ...], Meta(min_length=1, max_length=32, description="what is watched")]
    lines: Annotated[tuple[LineTable, ...], Meta(max_length=32, description="serial lines")] = ()
    agent: AgentTable = AgentTable()
    store: StoreTable = StoreTable()
    openapps: OpenAppsTable = OpenAppsTable()
    opcua: OpcuaTable | None = None
    control: ControlTable = ControlTable()
    tls: TlsTable | None = None
    simulation: SimulationTable = SimulationTable()
