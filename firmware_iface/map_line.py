"""What a map says of a serial line: the unit that it asks, and whether the line is fast enough for its groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firmware_iface import map_keys
from firmware_iface.line_time import explain_group, group_share, share
from firmware_iface.map_reader import Reader
from firmware_iface.registers import Device, Group, Register, SerialSettings

HIGHEST_UNIT = 247
"""Of Modbus on a serial line; 0 is for all at once and never answered."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is known of a map while it is read; `line_time.Asked`."""

    groups: tuple[Group, ...]
    registers: tuple[Register, ...]
    device: Device


def read_line(reader: Reader, table: Mapping[str, Any] | None, parts: Parts) -> SerialSettings | None:
    """Read what the device speaks on a serial line; the line must carry the rates of all groups."""
    if table is None:
        return None
    line = reader.read(table, ("line",), map_keys.LINE)
    if not 1 <= parts.device.unit <= HIGHEST_UNIT:
        reader.fault(("device", "unit"), f"{parts.device.unit} never answers on a serial line",
                     f"give 1 to {HIGHEST_UNIT}")
    if not line.is_whole:
        return None
    settings = SerialSettings(**line)
    _check_rates(reader, parts, settings)
    return settings


def _check_rates(reader: Reader, parts: Parts, settings: SerialSettings) -> None:
    needed = share(parts, settings)
    if needed <= 1:
        return
    group = max(parts.groups, key=lambda group: group_share(parts, group, settings))
    told = explain_group(parts, group, settings)
    if len(parts.groups) > 1:
        told += f", with the other groups {needed:.0%}"
    reader.fault(("groups", group.name, "period_ms"), f"the line cannot carry it: {told}",
                 "read less often, raise the speed, or give the latency_ms and pause_ms that the device really needs")
