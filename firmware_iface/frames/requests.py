"""Modbus RTU as a unit hears it: requests found by their length and checksum in whatever is on the line."""

from __future__ import annotations

from collections.abc import Collection

from firmware_iface.frames.rtu import crc16

BROADCAST = 0
"""Unit of a request that every unit obeys and none answers."""

_LENGTHS = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: 4, 8: 8}
"""Function → bytes of its request, CRC included."""

_COUNTED = (15, 16)
"""Functions whose seventh byte counts the data."""

_LONGEST = 256


class Requests:
    """Finds the requests to some units; noise, halves and what others say to each other are passed over.

    At most one request's length and the last piece are held.

    Args:
        units: 1 to 247; requests to all (unit 0) are found as well.
    """

    def __init__(self, units: Collection[int]) -> None:
        self._units = frozenset(units) | {BROADCAST}
        self._buffer = bytearray()

    def feed(self, heard: bytes) -> list[tuple[int, bytes]]:
        """Take what was heard; gives unit and PDU (function code first) of each request that is whole now."""
        buffer = self._buffer
        buffer += heard
        found = []
        at, keep = 0, len(buffer)
        while at < len(buffer):
            length = self._length(at)
            if length and at + length > len(buffer):
                keep = min(keep, at)
            elif length and crc16(buffer[at : at + length]) == 0:
                found.append((buffer[at], bytes(buffer[at + 1 : at + length - 2])))
                at, keep = at + length, len(buffer)
                continue
            at += 1
        del buffer[:keep]
        return found

    def _length(self, at: int) -> int:
        """Bytes of the request that may begin here, 0 when none can."""
        if self._buffer[at] not in self._units:
            return 0
        head = self._buffer[at + 1 : at + 7]
        if not head or head[0] in _LENGTHS:
            return _LENGTHS[head[0]] if head else _LENGTHS[7]
        if head[0] not in _COUNTED:
            return 0
        length = 9 + head[5] if len(head) == 6 else 9
        return length if length <= _LONGEST else 0
