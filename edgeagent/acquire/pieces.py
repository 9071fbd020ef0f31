"""Answers taken apart into registers and bits, and put together again as other questions would have brought them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagent.acquire.plan import GroupPlan
from firmware_iface.spans import BIT_TABLES

if TYPE_CHECKING:
    from edgeagent.acquire.source import Block
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row


class Pieces:
    """Registers and bits of one device by their places."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, int], bytes] = {}

    def keep(self, block: Block, data: bytes) -> None:
        """Take the data of an answer apart."""
        for i in range(block.count):
            self._at[block.table, block.address + i] = piece(block.table, data, i)

    def read(self, block: Block) -> bytes | None:
        """The data of the answer to a question; None where a piece of it is not here."""
        pieces = [self._at.get((block.table, block.address + i)) for i in range(block.count)]
        found = [one for one in pieces if one is not None]
        if len(found) < len(pieces):
            return None
        return packed(found) if block.table in BIT_TABLES else b"".join(found)


def piece(table: str, data: bytes, place: int) -> bytes:
    """One register (two bytes) or one bit (one byte, 0 or 1) of an answer's data."""
    if table in BIT_TABLES:
        return bytes([data[place >> 3] >> (place & 7) & 1])
    return data[2 * place:2 * place + 2]


def packed(bits: list[bytes]) -> bytes:
    """Put bits, one a byte, eight to a byte as an answer carries them, the first in the lowest place."""
    together = bytearray((len(bits) + 7) // 8)
    for i, bit in enumerate(bits):
        together[i >> 3] |= bit[0] << (i & 7)
    return bytes(together)


def point_by_point(machine: Machine, source: int, row: Row) -> dict[int, list[GroupPlan]]:
    """Group → a plan for each of its points alone, in the order of the map, of one of the machine's sources."""
    plans: dict[int, list[GroupPlan]] = {}
    register_map = machine.maps[source]
    for register in register_map.registers:
        column = machine.column[register.path]
        group = machine.points[column].group
        plans.setdefault(group, []).append(GroupPlan(group, [(column, register)], register_map.device, row))
    return plans
