"""Where a source is: its place on a line or in the network."""

from __future__ import annotations

import ipaddress

from edgeagent.config.tables import ModbusRtuTable, ModbusTcpTable, SerialInstrumentTable, SourceTable
from firmware_iface.registers import RegisterMap


def on_line(source: ModbusRtuTable | SerialInstrumentTable, register_map: RegisterMap) -> tuple[str, int | str]:
    """How a source is told from the others of its line: the key that says it, and its value."""
    if isinstance(source, ModbusRtuTable):
        return "unit", unit_of(source, register_map)
    return "address", address_of(source, register_map)


def unit_of(source: ModbusTcpTable | ModbusRtuTable, register_map: RegisterMap) -> int:
    """The Modbus unit of a source: its own, or its map's."""
    return register_map.device.unit if source.unit is None else source.unit


def address_of(source: SerialInstrumentTable, register_map: RegisterMap) -> int | str:
    """The address of an instrument that speaks text: its own, or its map's unit."""
    return register_map.device.unit if source.address is None else source.address


def place_of(source: SourceTable, register_map: RegisterMap) -> str:
    """Where a source is, in words for people."""
    if isinstance(source, ModbusTcpTable):
        return f"modbus-tcp {source.host}:{source.port} unit {unit_of(source, register_map)}"
    key, name = on_line(source, register_map)
    kind = "modbus-rtu" if isinstance(source, ModbusRtuTable) else "serial-instrument"
    return f"{kind} line {source.line} {key} {name}"


def is_loopback(host: str) -> bool:
    """Say whether an address is of this computer only: 127.0.0.0/8, ::1 or localhost."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
