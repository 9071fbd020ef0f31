"""A device's values as registers and bits, by address."""

from __future__ import annotations

import math

from firmware_iface.encoding import bit_place, decode, lay, lay_text
from firmware_iface.raw_numbers import float_bits, limits, unsigned
from firmware_iface.registers import Register, RegisterMap
from firmware_iface.simulated.device import Points, Value


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
                words.extend(show(first, self._points.read(first.path))[skip:])
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
            if not (register.writable and is_whole and self._points.takes(register.path)):
                raise AddressError(f"{table} {address + done} cannot be written with these values")
            places.append((register, words))
            done += register.count
        given = {register.path: decode(register, words) for register, words in places}
        for path, value in given.items():
            self._points.check(path, value)
        for path, value in given.items():
            self._points.take(path, value)

    def _registers(self, table: str, address: int) -> list[Register]:
        try:
            return self._at[table, address]
        except KeyError:
            raise AddressError(f"{table} {address} holds nothing") from None

    def _bits(self, registers: list[Register]) -> int:
        return sum(bool(self._points.read(register.path)) << bit_place(register) for register in registers)


def show(register: Register, value: Value) -> list[int]:
    """Lay down what a device measures, quantised and clamped to the type's range; NaN becomes the map's sentinel.

    Raises:
        ValueError: NaN, and the map has no raw number for it.
    """
    if register.type == "text":
        return lay_text(register, str(value))
    return lay(register, _raw(register, float(value)))


def _raw(register: Register, value: float) -> int:
    if math.isnan(value) and register.not_available:
        return register.not_available[0]
    ends = limits(register.type)
    if ends is None:
        return float_bits((value - register.offset) / register.scale, 16 * register.count)
    if math.isnan(value):
        raise ValueError(f"{register.path} has no value, and its map no raw number that says so")
    low, high = ends
    whole = min(high, max(low, round((value - register.offset) / register.scale)))
    while (raw := unsigned(register.type, whole)) in register.not_available:
        whole += -1 if whole > 0 else 1
    return raw
