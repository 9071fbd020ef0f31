"""What a map says of a point and of a rule, in words for people."""

from __future__ import annotations

from collections.abc import Iterable

from firmware_iface.registers import WIDTHS, Register, Term


def number(value: float) -> str:
    """The shortest decimal number that is the same."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def formula(register: Register) -> str:
    """How the raw number becomes the value: "raw * 0.1 - 40"; "raw" where it is the value already."""
    scaled = "raw" if register.scale == 1 else f"raw * {number(register.scale)}"
    if register.offset == 0:
        return scaled
    return f"{scaled} {'-' if register.offset < 0 else '+'} {number(abs(register.offset))}"


def reach(register: Register) -> str:
    """The range in which a value can be true: "-20 to 400"; empty where there is none."""
    if register.low is None or register.high is None:
        return ""
    return f"{number(register.low)} to {number(register.high)}"


def pace(register: Register) -> str:
    """The largest believable change: "at most 20 degC per second"; empty where there is none."""
    if register.max_rate is None:
        return ""
    return f"at most {number(register.max_rate)}{f' {register.unit}' if register.unit else ''} per second"


def letters(register: Register) -> str:
    """The order in which the bytes of a number are sent: "CDAB", A is the most significant; empty for ABCD."""
    if register.type not in WIDTHS or "little" not in (register.word_order, register.byte_order):
        return ""
    words = ["AB", "CD", "EF", "GH"][: register.count]
    if register.byte_order == "little":
        words = [word[::-1] for word in words]
    if register.word_order == "little":
        words.reverse()
    sent = "".join(words)
    return "" if sent == "AB" else sent


def raw_numbers(register: Register) -> tuple[str, ...]:
    """The raw numbers that say that there is no value, in hexadecimal with all the digits of the type."""
    return tuple(f"0x{raw:0{4 * register.count}X}" for raw in register.not_available)


def condition(terms: Iterable[Term]) -> str:
    """The terms as a map writes them, joined by "and"."""
    return " and ".join(
        f"{term.path}{f' - {term.minus}' if term.minus else ''} {term.operator} {number(term.number)}" for term in terms
    )
