"""A register map as a C99 header, for those who write the firmware at the other end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from firmware_iface.identity import fingerprint_point
from firmware_iface.raw_numbers import raw_number
from firmware_iface.registers import WIDTHS, Register, RegisterMap
from firmware_iface.spans import BIT_TABLES, Span, spans
from firmware_iface.wording import formula, number, pace, raw_numbers, reach

_TABLES = {"discrete": "discrete inputs", "coil": "coils", "input": "input registers", "holding": "holding registers"}
_SUFFIX = {1: "U", 2: "UL", 4: "ULL"}
"""Of a whole number in C, by the registers that it takes."""

_INT_MAX = 32_767
"""The largest number that C99 promises of an enumerator."""


def header_text(register_map: RegisterMap) -> str:
    """The header, for any C99 compiler; of one map always the same text, which ends with a line feed.

    Each run of registers without a gap is a struct of uint16_t in the order of the wire; a value of several registers
    is an array in it. Static assertions hold every member to its address.
    """
    return "\n".join(_Header(register_map).lines()) + "\n"


class _Header:
    def __init__(self, register_map: RegisterMap) -> None:
        self._map = register_map
        self._registers = sorted(register_map.registers, key=lambda r: (r.table, r.address, r.bit or 0))
        self._names = _names(self._registers)
        self._prefix = _identifier(register_map.id)

    def lines(self) -> Iterator[str]:
        guard = self._macro("REGISTERS", "H")
        yield f"/* {_comment(self._map.title)}: map {self._map.id} {_comment(self._map.version)}."
        yield "   Addresses are as sent in a request; a register's bytes are in the order of the host."
        yield "   Made by `edgeagent firmware header`: change the map, not this file. */"
        yield from (f"#ifndef {guard}", f"#define {guard}", "", "#include <stddef.h>", "#include <stdint.h>", "")
        yield f"#define {self._macro('MAP', 'ID')} {_string(self._map.id)}"
        yield f"#define {self._macro('MAP', 'VERSION')} {_string(self._map.version)}"
        yield from self._fingerprint()
        yield f"#define {self._macro('ASSERT')}(name, holds) typedef char name[(holds) ? 1 : -1]"
        yield from self._states()
        for table, title in _TABLES.items():
            for span in spans(self._registers, table, 65_536, 0):
                last = span.address + span.count - 1
                yield from ("", f"/* {title.capitalize()} {span.address} to {last} */")
                yield self._define("BLOCK_ADDRESS", f"{table}_{span.address}", f"{span.address}U")
                yield self._define("BLOCK_COUNT", f"{table}_{span.address}", f"{span.count}U")
                yield from self._addresses(span)
                if table not in BIT_TABLES:
                    yield from self._struct(span)
        yield from self._orders()
        yield from ("", f"#endif /* {guard} */")

    def _fingerprint(self) -> Iterator[str]:
        high, low = self._map.fingerprint[:4].upper(), self._map.fingerprint[4:].upper()
        yield from ("", "/* Changes when anything that is on the wire changes. */")
        yield self._define("FINGERPRINT", "HIGH", f"0x{high}U")
        yield self._define("FINGERPRINT", "LOW", f"0x{low}U")
        if register := fingerprint_point(self._map.registers):
            words = [high, low] if register.word_order == "big" else [low, high]
            if register.byte_order == "little":
                words = [word[2:] + word[:2] for word in words]
            served = ", ".join(f"0x{word}U" for word in words)
            yield f"/* To be served from {register.table} {register.address} on, in this order. */"
            yield self._define("FINGERPRINT", "WORDS", f"{{ {served} }}")
        yield ""

    def _orders(self) -> Iterator[str]:
        """What is written for each command, as raw numbers, and how often the heartbeat is."""
        for c in self._map.commands:
            name = _snake(c.name)
            style = f"a pulse of {c.pulse_ms} ms" if c.pulse_ms else "a level that stays"
            yield from ("", f"/* Command {c.name}: {style} */")
            yield from self._written(name, "", c.write, c.value)
            if c.pulse_ms:
                yield self._define("COMMAND", f"{name}_PULSE_MS", f"{c.pulse_ms}U")
            if c.handshake and c.handshake_value is not None:
                yield from self._written(name, "HANDSHAKE_", c.handshake, c.handshake_value)
        if (power := self._map.power) and power.horn:
            yield from ("", f"/* Written 1 before powerOn, and 0 after {number(power.warning_s)} s */")
            yield self._define("HORN", "ADDRESS", self._macro("ADDRESS", self._names[power.horn]))
        if beat := self._map.heartbeat:
            yield from ("", f"/* The agent writes it every {beat.period_ms} ms: {beat.style} */")
            yield self._define("HEARTBEAT", "ADDRESS", self._macro("ADDRESS", self._names[beat.point]))
            yield self._define("HEARTBEAT", "PERIOD_MS", f"{beat.period_ms}U")

    def _written(self, command: str, part: str, path: str, value: float) -> Iterator[str]:
        register = self._map.register(path)
        raw = f"0x{raw_number(register, value):0{4 * register.count}X}{_SUFFIX[register.count]}"
        yield self._define("COMMAND", f"{command}_{part}ADDRESS", self._macro("ADDRESS", self._names[path]))
        yield self._define("COMMAND", f"{command}_{part}VALUE", raw)

    def _states(self) -> Iterator[str]:
        """Enumerations of the points whose numbers the map names as states of the machine."""
        found: dict[str, dict[int, str]] = {}
        for rule in self._map.states:
            term = rule.when[0]
            is_number = len(rule.when) == 1 and not term.minus and term.operator == "=="
            if is_number and self._map.register(term.path).type != "bit" and abs(term.number) <= _INT_MAX:
                found.setdefault(term.path, {}).setdefault(int(term.number), rule.state)
        for path, states in found.items():
            name = self._names[path]
            yield from ("", f"enum {self._lower('state', name)} {{")
            told: dict[str, int] = {}
            for value, state in states.items():
                told[state] = told.get(state, 0) + 1
                again = (str(told[state]),) if told[state] > 1 else ()
                yield f"    {self._macro('STATE', name, _snake(state), *again)} = {value},"
            yield "};"

    def _addresses(self, span: Span) -> Iterator[str]:
        for r in span.registers:
            name = self._names[r.path]
            yield f"{self._define('ADDRESS', name, f'{r.address}U')} /* {_meaning(r)} */"
            if r.count > 1:
                yield self._define("COUNT", name, f"{r.count}U")
            if r.type == "bit" and r.bit is not None:
                yield self._define("MASK", name, f"0x{1 << _place(r):04X}U")
            if r.not_available and r.type in WIDTHS:
                yield self._define("NO_VALUE", name, raw_numbers(r)[0] + _SUFFIX[r.count])
        for address in sorted({r.address for r in span.registers if r.bit is not None}):
            yield from self._bits(span, address)

    def _bits(self, span: Span, address: int) -> Iterator[str]:
        yield from ("", f"enum {self._lower('bits', span.table, str(address))} {{")
        for r in sorted((r for r in span.registers if r.address == address), key=_place):
            yield f"    {self._macro('BIT', self._names[r.path])} = {_place(r)},"
        yield "};"

    def _struct(self, span: Span) -> Iterator[str]:
        tag = f"struct {self._lower(span.table, str(span.address))}"
        members = {
            r.address: (f"bits_{r.address}" if r.type == "bit" else self._names[r.path], r.count)
            for r in span.registers
        }
        yield from ("", f"{tag} {{")
        for name, count in members.values():
            yield f"    uint16_t {name}{f'[{count}]' if count > 1 else ''};"
        yield from ("};", "")
        yield self._assert(self._lower("size_of", span.table, str(span.address)),
                           f"sizeof({tag}) == {span.count} * sizeof(uint16_t)")
        for address, (name, _) in members.items():
            yield self._assert(self._lower("offset_of", span.table, str(span.address), name),
                               f"offsetof({tag}, {name}) == {address - span.address} * sizeof(uint16_t)")

    def _assert(self, name: str, holds: str) -> str:
        return f"{self._macro('ASSERT')}({name}, {holds});"

    def _define(self, kind: str, name: str, value: str) -> str:
        return f"#define {self._macro(kind, name)} {value}"

    def _macro(self, *parts: str) -> str:
        return "_".join((self._prefix, *parts)).upper()

    def _lower(self, *parts: str) -> str:
        return "_".join((self._prefix, *parts))


def _names(registers: Iterable[Register]) -> dict[str, str]:
    """A name in C for each path; where two paths would have the same, the later one is numbered."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for register in registers:
        wanted = name = _snake(register.path)
        again = 1
        while name in taken:
            again += 1
            name = f"{wanted}_{again}"
        taken.add(name)
        names[register.path] = name
    return names


def _place(register: Register) -> int:
    """Place of a bit in the register as it is sent; the bytes of a little-endian register are swapped there."""
    bit = register.bit or 0
    return bit ^ 8 if register.byte_order == "little" else bit


def _meaning(r: Register) -> str:
    laid = f"{r.type}, {formula(r)}{f' {r.unit}' if r.unit else ''}" if r.type in WIDTHS else r.type
    parts = [laid, reach(r), pace(r), f"no value: {', '.join(raw_numbers(r))}" if r.not_available else ""]
    if r.count > 1 and r.type in WIDTHS:
        parts.append("highest word first" if r.word_order == "big" else "lowest word first")
    if r.type == "text":
        parts.append("two characters a register")
    if r.byte_order == "little" and r.table not in BIT_TABLES:
        parts.append("bytes swapped")
    parts.append("read and write" if r.writable else "read")
    told = ", ".join(part for part in parts if part)
    return f"{told}: {_comment(r.text)}" if r.text else told


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("/", "_").lower()


def _identifier(name: str) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).lower()
    return f"map_{plain}" if plain[0].isdigit() else plain


def _comment(text: str) -> str:
    """A text that neither ends a comment nor means anything to a compiler inside one."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\?)(?=\?)", " ", printable)


def _string(text: str) -> str:
    """A string of C; what is not plain ASCII is written in octal, which ends after three digits."""
    return '"' + "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in text.encode()
    ) + '"'  # fmt: skip
