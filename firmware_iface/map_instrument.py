"""Makes the instrument of a map that is spoken to in text, and holds its readings against the points."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from firmware_iface import map_keys
from firmware_iface.frames import bisynch
from firmware_iface.frames.text_line import ADDRESS
from firmware_iface.instrument import WIDTH, Instrument, Reading
from firmware_iface.map_reader import Reader
from firmware_iface.registers import Register

_WHERE = "instrument"
_BISYNCH = "ei-bisynch"
_MACHINES = ("reflow", "wave")
_KEYS = {
    _BISYNCH: (("mnemonic",), ("mnemonic", "bit")),
    "text-line": (("group",), ("group", "unit_group", "unit_is")),
}
"""Protocol → keys that a reading must have, and those that it may have besides its address."""

_Fault = tuple[tuple[str | int, ...], str, str]


def read_instrument(
    reader: Reader, top: Mapping[str, Any], registers: Iterable[Register], unit: int
) -> Instrument | None:
    """Read the instrument; each reading belongs to one point, and each point to one reading.

    Args:
        top: the whole file. unit: the device's.
    """
    if top.get(_WHERE) is None:
        return None
    if (kind := top.get("map", {}).get("kind")) in _MACHINES:
        reader.fault((_WHERE,), f"has no meaning in a map of kind {kind}", 'use kind = "instrument"')
    values = reader.read(top[_WHERE], (_WHERE,), map_keys.INSTRUMENT)
    readings = [reader.read(reading, (_WHERE, "readings", index), map_keys.READING)
                for index, reading in enumerate(values.get("readings", ()))]
    if not values.is_whole or not all(reading.is_whole for reading in readings):
        return None
    instrument = Instrument(**values | {"readings": tuple(Reading(**reading) for reading in readings)})
    protocol = _bisynch(instrument, unit) if instrument.protocol == _BISYNCH else _text_lines(instrument)
    for where, reason, mend in (*_keys(instrument), *protocol, *_places(instrument.readings)):
        reader.fault((_WHERE, *where), reason, mend)
    _check_points(reader, registers, {reading.address for reading in instrument.readings})
    return instrument


def wire_of(instrument: Instrument | None) -> list[str]:
    """What is on the wire of an instrument, a line each, for the map's fingerprint."""
    if instrument is None:
        return []
    told = (instrument.protocol, instrument.poll, instrument.patterns, instrument.not_ready, instrument.max_line)
    return [f"instrument {told!r}"] + [
        f"reading {r.address} {r.mnemonic!r} {r.bit} {r.group!r} {r.unit_group!r} {r.unit_is!r}"
        for r in instrument.readings
    ]


def _keys(instrument: Instrument) -> Iterator[_Fault]:
    needed, known = _KEYS[instrument.protocol]
    for index, reading in enumerate(instrument.readings):
        for name in ("mnemonic", "bit", "group", "unit_group", "unit_is"):
            given = getattr(reading, name) is not None
            if given and name not in known:
                yield ("readings", index, name), f"has no meaning in {instrument.protocol}", "leave it out"
            if not given and name in needed:
                yield ("readings", index, name), "is missing", f"{instrument.protocol} needs it"
        if (reading.unit_group is None) != (reading.unit_is is None):
            yield ("readings", index, "unit_is"), "goes with unit_group", "give both or none"


def _bisynch(instrument: Instrument, unit: int) -> Iterator[_Fault]:
    for name in ("poll", "patterns", "not_ready"):
        if getattr(instrument, name):
            yield (name,), f"has no meaning in {_BISYNCH}", "leave it out"
    for index, reading in enumerate(instrument.readings):
        try:
            bisynch.request(unit, reading.mnemonic or "PV")
        except ValueError as error:
            yield ("readings", index, "mnemonic"), str(error), ""


def _text_lines(instrument: Instrument) -> Iterator[_Fault]:
    if not instrument.patterns:
        yield ("patterns",), "is missing", "give what a line with values looks like"
    if not instrument.poll.isascii():
        yield ("poll",), "has letters that are not ASCII", ""
    groups: dict[str, tuple[str | int, ...]] = {}
    for name in ("patterns", "not_ready"):
        for index, pattern in enumerate(getattr(instrument, name)):
            try:
                found = re.compile(pattern, re.ASCII).groupindex
            except (re.error, OverflowError, RecursionError) as error:
                yield (name, index), f"is no regular expression: {error}", ""
                return
            if name == "patterns":
                groups |= dict.fromkeys(found, (name, index))
    used = {name for reading in instrument.readings for name in (reading.group, reading.unit_group) if name}
    for index, reading in enumerate(instrument.readings):
        for key in ("group", "unit_group"):
            if (name := getattr(reading, key)) and name not in groups:
                yield ("readings", index, key), f"no pattern has a group {name}", f"write (?P<{name}>...) in one"
    for name, where in groups.items():
        if name not in used and name != ADDRESS:
            yield where, f"no reading uses the group {name}", "write (?:...) instead"


def _places(readings: Iterable[Reading]) -> Iterator[_Fault]:
    seen: set[int] = set()
    for index, reading in enumerate(readings):
        where = ("readings", index, "address")
        if reading.address % WIDTH:
            yield where, f"{reading.address} is no multiple of {WIDTH}", f"a reading takes {WIDTH} registers"
        if reading.address in seen:
            yield where, f"{reading.address} is another reading's already", "give each a place of its own"
        seen.add(reading.address)


def _check_points(reader: Reader, registers: Iterable[Register], readings: set[int]) -> None:
    used = set()
    for register in registers:
        where = ("groups", register.group, "points", register.path)
        used.add(register.address)
        if (register.table, register.type) != ("input", "float64"):
            reader.fault(where, f"is a {register.type} of the table {register.table}",
                         'an instrument gives table = "input", type = "float64"')
        elif (register.word_order, register.byte_order) != ("big", "big"):
            reader.fault(where, "is little-endian", "an instrument gives words and bytes big-endian")
        elif register.address not in readings:
            reader.fault((*where, "address"), "no reading has it", "give it as [[instrument.readings]]")
    if None not in reader.points.values():
        for address in sorted(readings - used):
            reader.fault((_WHERE, "readings"), f"no point uses the reading at {address}", "take it out or give a point")
