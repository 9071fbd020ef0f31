"""Points side by side: what can be had of a device in one request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from firmware_iface.registers import Device, Register

BIT_TABLES = ("discrete", "coil")
_READ_ORDER = (*BIT_TABLES, "input", "holding")


@dataclass(frozen=True, slots=True)
class Span:
    """Registers (or bits) of one table, `count` from `address` on, and the points in them by rising address."""

    table: str
    address: int
    count: int
    registers: tuple[Register, ...]


def spans(registers: Iterable[Register], table: str, limit: int, max_gap: int) -> list[Span]:
    """Join the points of one table into spans of at most `limit` registers, over gaps of at most `max_gap`."""
    runs: list[list[Register]] = []
    first = end = 0
    for register in sorted((r for r in registers if r.table == table), key=lambda r: (r.address, r.bit or 0)):
        after = register.address + register.count
        if not runs or register.address - end > max_gap or max(end, after) - first > limit:
            runs.append([])
            first, end = register.address, after
        runs[-1].append(register)
        end = max(end, after)
    return [
        Span(table, run[0].address, max(r.address + r.count for r in run) - run[0].address, tuple(run)) for run in runs
    ]


def reads(registers: Iterable[Register], device: Device, max_gap: int) -> list[Span]:
    """What is asked for in one request each, as the device's limits allow; bits before registers."""
    points = tuple(registers)
    return [
        span
        for table in _READ_ORDER
        for span in spans(points, table, device.max_bits if table in BIT_TABLES else device.max_registers, max_gap)
    ]
