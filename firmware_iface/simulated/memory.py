"""A device's values as registers and bits, by address."""

from __future__ import annotations

import math
import struct

from firmware_iface.raw_numbers import limits
from firmware_iface.registers import WIDTHS, Register, RegisterMap
from firmware_iface.simulated.device import Points, Value

_CODES = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f",
          "int64": "q", "uint64": "Q", "float64": "d"}  # fmt: skip


class AddressError(LookupError):
    """The map has nothing at one of the addresses, or it cannot be written there."""


class Memory:
    """The four Modbus tables of one device; addresses as on the wire."""

    def __init__(self, register_map: RegisterMap, points: Points) -> None:
        self._points = points
        self._at: dict[tuple[str, int], list[Register]] = {}
        for register in register_map.registers:
            for address in range(register.address, register.address + register.count):
                self._at.setdefault((register.table, address), []).append(register)

    def addresses(self, table: str) -> list[int]:
        """Addresses of a table that hold something, rising."""
        return sorted(address for name, address in self._at if name == table)

    def read(self, table: str, address: int, count: int) -> list[int]:
        """Registers (0 to 65535) or bits (0 or 1) from an address on; AddressError where the map has none."""
        words: list[int] = []
        while len(words) < count:
            here = self._registers(table, address + len(words))
            first = here[0]
            if first.type == "bit":
                words.append(self._bits(here))
            else:
                skip = address + len(words) - first.address
                words.extend(encode(first, self._points.read(first.path))[skip:])
        return words[:count]

    def write(self, table: str, address: int, values: list[int]) -> None:
        """Write whole values.

        Raises:
            AddressError: nothing there, not writable, or only a part of a value.
            ValueError: a value outside its range; nothing was written.
        """
        places: list[tuple[Register, list[int]]] = []
        done = 0
        while done < len(values):
            register = self._registers(table, address + done)[0]
            words = values[done : done + register.count]
            is_whole = register.address == address + done and len(words) == register.count
            if not (register.writable and is_whole and register.path in self._points.settings):
                raise AddressError(f"{table} {address + done} cannot be written with these values")
            places.append((register, words))
            done += register.count
        numbers = {register.path: decode(register, words) for register, words in places}
        for path, number in numbers.items():
            self._points.check(path, number)
        for path, number in numbers.items():
            self._points.write(path, number)

    def _registers(self, table: str, address: int) -> list[Register]:
        try:
            return self._at[table, address]
        except KeyError:
            raise AddressError(f"{table} {address} holds nothing") from None

    def _bits(self, registers: list[Register]) -> int:
        return sum(bool(self._points.read(register.path)) << _place(register) for register in registers)


def _place(register: Register) -> int:
    """Place of a bit in the word as it is sent; the bytes of a little-endian register are swapped there."""
    if register.bit is None:
        return 0
    return register.bit ^ 8 if register.byte_order == "little" else register.bit


def encode(register: Register, value: Value) -> list[int]:
    """Lay a value down in registers, quantised and clamped to the type's range; NaN becomes the map's sentinel.

    Raises:
        ValueError: NaN, and the map has no raw number for it.
    """
    if register.type == "text":
        raw = str(value).encode()[: 2 * register.count].ljust(2 * register.count, b"\0")
        return _words(raw, register.byte_order)
    words = _words(_raw(register, float(value)), register.byte_order)
    return words if register.word_order == "big" else words[::-1]


def decode(register: Register, words: list[int]) -> float:
    """Read the number that registers hold; ValueError where four bits of it should be a digit and are none."""
    ordered = words if register.word_order == "big" else words[::-1]
    laid = struct.pack(f"{'>' if register.byte_order == 'big' else '<'}{len(words)}H", *ordered)
    if register.type.startswith("bcd"):
        return float(int(laid.hex()) * register.scale + register.offset)
    (raw,) = struct.unpack(">" + _CODES[register.type], laid)
    return float(raw * register.scale + register.offset)


def _raw(register: Register, value: float) -> bytes:
    size = 2 * WIDTHS.get(register.type, 1)
    if math.isnan(value) and register.not_available:
        return register.not_available[0].to_bytes(size, "big")
    ends = limits(register.type)
    if ends is None:
        return struct.pack(">" + _CODES[register.type], (value - register.offset) / register.scale)
    if math.isnan(value):
        raise ValueError(f"{register.path} has no value, and its map no raw number that says so")
    low, high = ends
    number = min(high, max(low, round((value - register.offset) / register.scale)))
    packed = _packed(register, number, size)
    while int.from_bytes(packed, "big") in register.not_available:
        number += -1 if number > 0 else 1
        packed = _packed(register, number, size)
    return packed


def _packed(register: Register, number: int, size: int) -> bytes:
    if register.type.startswith("bcd"):
        return bytes.fromhex(f"{number:0{2 * size}d}")
    return number.to_bytes(size, "big", signed=register.type.startswith("int"))


def _words(raw: bytes, byte_order: str) -> list[int]:
    return list(struct.unpack(f"{'>' if byte_order == 'big' else '<'}{len(raw) // 2}H", raw))
