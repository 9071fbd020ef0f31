"""The configuration: one TOML file, read once at start; every fault at once, with file, line, key and reason."""

from edgeagent.config.exposure import beyond, listeners, role_of_anybody
from edgeagent.config.kept import StoreTable
from edgeagent.config.loading import FindMap, Maps, find_map, load, load_http, load_store, located, map_file
from edgeagent.config.places import address_of, is_loopback, place_of, unit_of
from edgeagent.config.secrets import file_of
from edgeagent.config.tables import (
    LIMITS,
    AgentTable,
    Configuration,
    ControlTable,
    HttpTable,
    LinesTable,
    LineTable,
    MachineTable,
    ModbusRtuTable,
    ModbusTcpTable,
    OpcuaTable,
    OpenAppsTable,
    PushTable,
    RemoteWindowTable,
    SerialInstrumentTable,
    SimulationTable,
    SourceTable,
    TlsTable,
    TolerancesTable,
    WindowTable,
)

__all__ = [
    "LIMITS", "AgentTable", "Configuration", "ControlTable", "FindMap", "HttpTable", "LineTable", "LinesTable",
    "MachineTable", "Maps", "ModbusRtuTable", "ModbusTcpTable", "OpcuaTable", "OpenAppsTable", "PushTable",
    "RemoteWindowTable", "SerialInstrumentTable", "SimulationTable", "SourceTable", "StoreTable", "TlsTable",
    "TolerancesTable",
    "WindowTable", "address_of", "beyond", "file_of", "find_map", "is_loopback", "listeners", "load", "load_http",
    "load_store", "located", "map_file", "place_of", "role_of_anybody", "unit_of",
]  # fmt: skip
