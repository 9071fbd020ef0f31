"""The Modbus answers of a memory: request in, answer out, no socket."""

from __future__ import annotations

import struct

from firmware_iface.simulated.memory import AddressError, Memory

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
GATEWAY_NO_RESPONSE = 11

_READS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
WRITES = {5: "coil", 6: "holding", 15: "coil", 16: "holding"}
_MOST_BITS, _MOST_REGISTERS = 2000, 125


def answer(memory: Memory, request: bytes) -> bytes:
    """Answer a request PDU (function code first) by functions 1 to 6, 15 and 16, or by an exception."""
    function = request[0]
    try:
        if function in _READS:
            return _read(memory, function, request)
        if function in WRITES:
            return _write(memory, function, request)
    except AddressError:
        return refusal(function, ILLEGAL_ADDRESS)
    except (ValueError, struct.error):
        return refusal(function, ILLEGAL_VALUE)
    return refusal(function, ILLEGAL_FUNCTION)


def refusal(function: int, code: int) -> bytes:
    """The exception answer to a function."""
    return bytes([function | 0x80, code])


def _read(memory: Memory, function: int, request: bytes) -> bytes:
    address, count = struct.unpack(">HH", request[1:])
    is_bits = function in (1, 2)
    if not 1 <= count <= (_MOST_BITS if is_bits else _MOST_REGISTERS):
        raise ValueError("too many at once")
    values = memory.read(_READS[function], address, count)
    if is_bits:
        bits = sum(bit << place for place, bit in enumerate(values))
        body = bits.to_bytes((count + 7) // 8, "little")
    else:
        body = struct.pack(f">{count}H", *values)
    return bytes([function, len(body)]) + body


def _write(memory: Memory, function: int, request: bytes) -> bytes:
    address, word = struct.unpack(">HH", request[1:5])
    if function == 5:
        if word not in (0, 0xFF00) or len(request) != 5:
            raise ValueError("a coil is written with 0000 or FF00")
        values = [int(word != 0)]
    elif function == 6:
        if len(request) != 5:
            raise ValueError("one register has two bytes")
        values = [word]
    elif function == 15:
        if word < 1 or request[5:6] != bytes([(word + 7) // 8]) or len(request) != 6 + request[5]:
            raise ValueError("count and bytes differ")
        bits = int.from_bytes(request[6:], "little")
        values = [bits >> place & 1 for place in range(word)]
    else:
        values = list(struct.unpack(f">{word}H", request[6:]))
        if word < 1 or request[5] != 2 * word:
            raise ValueError("count and bytes differ")
    memory.write(WRITES[function], address, values)
    return request[:5]
