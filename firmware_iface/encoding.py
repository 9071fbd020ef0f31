"""Values as registers and bits: what is written for a value, and what registers say; by agent and simulator alike."""

from __future__ import annotations

import struct

from firmware_iface.raw_numbers import raw_number
from firmware_iface.registers import WIDTHS, Register
from firmware_iface.wording import number, reach

_CODES = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f",
          "int64": "q", "uint64": "Q", "float64": "d"}  # fmt: skip


def encode(register: Register, value: float | bool | str) -> list[int]:
    """What is written for a value in the point's unit: registers (0 to 65535), or one bit (0 or 1).

    A bit of a register is written with its whole register, all other bits 0: a map lets nobody share it.

    Raises:
        ValueError: no raw number is exactly this value, or the point cannot have it; why, in one sentence.
    """
    if reason := value_fault(register, value):
        raise ValueError(reason)
    if register.type == "text":
        return lay_text(register, str(value))
    if register.type == "bit":
        return [int(value) << bit_place(register)]
    return lay(register, raw_number(register, float(value)) or 0)


def value_fault(register: Register, value: float | bool | str) -> str:
    """Say why a point cannot have a value; empty when it can."""
    if (register.type == "text") != isinstance(value, str):
        return f"{register.path} is a {'text' if register.type == 'text' else 'number'}, not {value!r:.60}"
    if isinstance(value, str):
        return _text_fault(register, value)
    value = float(value)
    if register.type == "bit":
        return "" if value in (0, 1) else f"{register.path} is a bit and never {number(value)}"
    if register.low is not None and register.high is not None and not register.low <= value <= register.high:
        return f"{register.path} is from {reach(register)} and never {number(value)}"
    raw = raw_number(register, value)
    if raw is None:
        return f"no raw number of {register.path} is exactly {number(value)}"
    return f"{number(value)} says that {register.path} has no value" if raw in register.not_available else ""


def _text_fault(register: Register, text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        return f"{register.path} takes printable ASCII characters only, not {text!r:.60}"
    if text != text.strip():
        return f"{register.path} takes no spaces around the text {text!r:.60}"
    room = 2 * register.count
    return f"{register.path} has room for {room} characters, not for {len(text)}" if len(text) > room else ""


def lay(register: Register, raw: int) -> list[int]:
    """Lay a raw number, unsigned as on the wire, down in the registers of a point."""
    size = 2 * WIDTHS.get(register.type, 1)
    words = _words(raw.to_bytes(size, "big"), register.byte_order)
    return words if register.word_order == "big" else words[::-1]


def lay_text(register: Register, text: str) -> list[int]:
    """Lay a text down, padded with zeros and cut."""
    size = 2 * register.count
    return _words(text.encode()[:size].ljust(size, b"\0"), register.byte_order)


def decode(register: Register, words: list[int]) -> float | str:
    """Read what registers hold, or one bit.

    Raises:
        ValueError: four bits of it should be a digit and are none, or bytes are no ASCII.
    """
    if register.type == "bit":
        return float(words[0] >> bit_place(register) & 1)
    ordered = words if register.word_order == "big" or register.type == "text" else words[::-1]
    laid = struct.pack(f"{'>' if register.byte_order == 'big' else '<'}{len(words)}H", *ordered)
    if register.type == "text":
        return laid.split(b"\0", 1)[0].decode("ascii").strip()
    if register.type.startswith("bcd"):
        return float(int(laid.hex()) * register.scale + register.offset)
    (raw,) = struct.unpack(">" + _CODES[register.type], laid)
    return float(raw * register.scale + register.offset)


def bit_place(register: Register) -> int:
    """Place of a bit in the word as it is sent; the bytes of a little-endian register are swapped there."""
    if register.bit is None:
        return 0
    return register.bit ^ 8 if register.byte_order == "little" else register.bit


def _words(raw: bytes, byte_order: str) -> list[int]:
    return list(struct.unpack(f"{'>' if byte_order == 'big' else '<'}{len(raw) // 2}H", raw))
