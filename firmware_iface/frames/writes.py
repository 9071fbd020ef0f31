"""Modbus writes without their frame: one value by function 5 or 6, several by 15 or 16."""

from __future__ import annotations

import struct
from collections.abc import Sequence

ANSWER = 5
"""Bytes of the right answer to each of these functions: the first ones of the request, function code first."""

MAY_BE_WRITTEN = (4, 5, 11)
"""Exception codes that do not say that nothing was written: device failure, acknowledged, gateway target is silent."""

_MOST = {"coil": 1968, "holding": 123}
"""Table → bits or registers that one write can carry."""


def write(table: str, address: int, values: Sequence[int]) -> bytes:
    """Make the request PDU, function code first, that writes bits (0 or 1) or registers from an address on.

    Raises:
        ValueError: no write carries that.
    """
    count = len(values)
    if not 1 <= count <= _MOST.get(table, 0) or not 0 <= address <= 65536 - count:
        raise ValueError(f"{count} of table {table} from {address}: no Modbus write carries that")
    highest = 1 if table == "coil" else 0xFFFF
    if not all(0 <= value <= highest for value in values):
        raise ValueError(f"{list(values)} cannot be written to table {table}: 0 to {highest} can")
    if table == "coil":
        if count == 1:
            return struct.pack(">BHH", 5, address, 0xFF00 * values[0])
        bits = sum(bit << place for place, bit in enumerate(values))
        size = (count + 7) // 8
        return struct.pack(">BHHB", 15, address, count, size) + bits.to_bytes(size, "little")
    if count == 1:
        return struct.pack(">BHH", 6, address, values[0])
    return struct.pack(f">BHHB{count}H", 16, address, count, 2 * count, *values)
