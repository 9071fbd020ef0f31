"""The raw frames of a recording for people: when, on which wire, which way, the bytes, and what they ask or answer."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from edgeagent.clock import iso
from edgeagent.recording.entries import End, Failure, Memory, Wire
from firmware_iface.frames.rtu import EXCEPTION, crc16

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeagent.recording.entries import Entry

_READS = {1: "coils", 2: "discrete inputs", 3: "holding registers", 4: "input registers"}
_HEADER = 6
"""Bytes of a TCP frame before its unit: transaction, protocol, length."""


def lines(entries: Iterable[Entry]) -> Iterator[str]:
    """One line for each piece that passed, and for each failure."""
    for entry in entries:
        if isinstance(entry, Wire):
            way = "→" if entry.is_sent else "←"
            yield f"{iso(entry.wall_ns)} {entry.wire} {way} {entry.data.hex(' ')}{_meaning(entry.data, entry.is_sent)}"
        elif isinstance(entry, Failure):
            yield f"{iso(entry.wall_ns)} {entry.wire} ! {entry.cause}: {entry.message}"
        elif isinstance(entry, Memory):
            yield f"{iso(entry.wall_ns)} {entry.name} is taken up"
        elif isinstance(entry, End):
            yield f"end of the recording: {entry.reason}"


def _meaning(data: bytes, is_sent: bool) -> str:
    body = _body(data)
    if body is None:
        return ""
    unit, function = body[0], body[1]
    if function & 0x80 and len(body) == 3:
        return f"  unit {unit} refuses function {function & 0x7F}: {EXCEPTION.get(body[2], 'exception')} ({body[2]})"
    # A heard body of six bytes can be an answer with three bytes of bits, when a line is only listened to.
    if function in _READS and len(body) == 6 and (is_sent or function > 2 or body[2] != 3):
        address, count = struct.unpack(">HH", body[2:6])
        return f"  unit {unit}: {count} {_READS[function]} from {address}"
    return f"  unit {unit}, function {function}, {len(body) - 2} bytes"


def _body(data: bytes) -> bytes | None:
    """Unit, function and data of one whole frame of either kind; None where it is none."""
    if len(data) >= _HEADER + 2 and data[2:4] == b"\0\0" and struct.unpack(">H", data[4:6])[0] == len(data) - _HEADER:
        return data[_HEADER:]
    return data[:-2] if len(data) >= 5 and crc16(data) == 0 else None
