"""A map of an instrument that speaks text is loaded whole or refused whole."""

import pytest

from firmware_iface import catalog
from firmware_iface.instrument import Reading
from firmware_iface.rename import renamed

MAP = """\
map = { id = "gauge", version = "1", title = "A gauge", kind = "instrument" }
machine = { manufacturer = "M", model = "N" }
[instrument]
protocol = "text-line"
poll = "?\\r\\n"
patterns = ['(?P<level>\\S+) (?P<unit>\\S+)', '(?P<level>\\S+)']
not_ready = ['wait.*']
[[instrument.readings]]
address = 0
group = "level"
[[instrument.readings]]
address = 4
group = "level"
unit_group = "unit"
unit_is = "%"
[groups.all]
period_ms = 100
defaults = { table = "input", type = "float64" }
points = { "gauge/level" = { address = 0 }, "gauge/percent" = { address = 4, unit = "percent" } }
"""
BISYNCH = """\
map = { id = "loop", version = "1", title = "A loop", kind = "instrument" }
machine = { manufacturer = "M", model = "N" }
device = { unit = 5 }
[instrument]
protocol = "ei-bisynch"
readings = [{ address = 0, mnemonic = "PV" }, { address = 4, mnemonic = "FS", bit = 5 }]
[groups.all]
period_ms = 100
defaults = { table = "input", type = "float64" }
points = { "loop/level" = { address = 0 }, "loop/broken" = { address = 4 } }
"""


def load(tmp_path, text):
    path = tmp_path / "map.toml"
    path.write_text(text)
    return catalog.load(path)


def faults(tmp_path, text):
    with pytest.raises(catalog.MapError) as caught:
        load(tmp_path, text)
    return [str(fault).replace(str(tmp_path) + "/", "") for fault in caught.value.faults]


def test_an_instrument_is_read_with_its_readings(tmp_path):
    instrument = load(tmp_path, MAP).instrument
    assert instrument.poll == "?\r\n"
    assert not instrument.streams
    assert instrument.max_line == 200
    assert instrument.readings[1] == Reading(4, None, None, "level", "unit", "%")
    assert load(tmp_path, MAP.replace('poll = "?\\r\\n"\n', "")).instrument.streams
    assert load(tmp_path, BISYNCH).instrument.readings[1] == Reading(4, "FS", 5, None, None, None)
    assert not load(tmp_path, BISYNCH).instrument.streams


def test_a_map_of_registers_has_no_instrument():
    assert catalog.builtin("reflow10").instrument is None


def test_nothing_is_asked_that_no_point_wants(tmp_path):
    assert load(tmp_path, BISYNCH).device.max_gap == 0


@pytest.mark.parametrize(("old", "new"), [
    ('group = "level"\n[[', 'group = "unit"\n[['), ('unit_is = "%"', 'unit_is = "ppm"'), ("'wait.*'", "'busy.*'"),
    ("?\\r\\n", "!"), ("\\S+)'", "\\d+)'"),
])  # fmt: skip
def test_the_fingerprint_changes_with_what_is_on_the_wire(tmp_path, old, new):
    assert old in MAP
    assert load(tmp_path, MAP).fingerprint != load(tmp_path, MAP.replace(old, new)).fingerprint


def test_other_names_for_points_change_nothing_of_what_is_on_the_wire(tmp_path):
    register_map = load(tmp_path, MAP.replace('"gauge/level"', '"level/value"'))
    changed = renamed(register_map, {"level": "gauge/2"})
    assert changed.registers[0].path == "gauge/2/value"
    assert changed.instrument == register_map.instrument, "whose group is called level too"
    assert changed.fingerprint == register_map.fingerprint


def test_the_fingerprint_of_a_map_of_registers_is_of_its_registers():
    register_map = catalog.builtin("eurotherm2000")
    assert register_map.fingerprint == catalog.fingerprint(register_map.registers)


WRONG = {
    "no mnemonic": (BISYNCH, '{ address = 0, mnemonic = "PV" }', "{ address = 0 }",
        "map.toml:6: instrument.readings.0.mnemonic: is missing (ei-bisynch needs it)"),
    "a mnemonic of three": (BISYNCH, '"PV"', '"PVX"',
        "map.toml:6: instrument.readings.0.mnemonic: 'PVX': a mnemonic is two printable characters"),
    "a unit beyond 99": (BISYNCH, "unit = 5", "unit = 100",
        "map.toml:6: instrument.readings.0.mnemonic: unit 100: EI-Bisynch has 1 to 99"),
    "patterns for bisynch": (BISYNCH, "readings = [{", "patterns = ['x']\nreadings = [{",
        "map.toml:6: instrument.patterns: has no meaning in ei-bisynch (leave it out)"),
    "a group for bisynch": (BISYNCH, "bit = 5", 'bit = 5, group = "x"',
        "map.toml:6: instrument.readings.1.group: has no meaning in ei-bisynch (leave it out)"),
    "no group": (MAP, 'group = "level"\n[[', "[[",
        "map.toml:8: instrument.readings.0.group: is missing (text-line needs it)"),
    "a bit of a text line": (MAP, 'group = "level"\n[[', 'group = "level"\nbit = 1\n[[',
        "map.toml:11: instrument.readings.0.bit: has no meaning in text-line (leave it out)"),
    "a unit without its group": (MAP, 'unit_group = "unit"\n', "",
        "map.toml:14: instrument.readings.1.unit_is: goes with unit_group (give both or none)"),
    "a group that no pattern has": (MAP, 'group = "level"\n[[', 'group = "levle"\n[[',
        "map.toml:10: instrument.readings.0.group: no pattern has a group levle (write (?P<levle>...) in one)"),
    "a group that no reading uses": (MAP, "'(?P<level>\\S+)'", "'(?P<level>\\S+)(?P<rest>.*)'",
        "map.toml:6: instrument.patterns.1: no reading uses the group rest (write (?:...) instead)"),
    "no regular expression": (MAP, "'wait.*'", "'wait(.*'",
        "map.toml:7: instrument.not_ready.0: is no regular expression: missing ), unterminated subpattern at position"
        " 4"),
    "no patterns": (MAP, "patterns = ['(?P<level>\\S+) (?P<unit>\\S+)', '(?P<level>\\S+)']\n", "",
        "map.toml:3: instrument.patterns: is missing (give what a line with values looks like)"),
    "a poll that is not ASCII": (MAP, "?\\r\\n", "§",
        "map.toml:5: instrument.poll: has letters that are not ASCII"),
    "an address between": (MAP, "address = 4\n", "address = 2\n",
        "map.toml:12: instrument.readings.1.address: 2 is no multiple of 4 (a reading takes 4 registers)"),
    "an address twice": (MAP, "address = 4\n", "address = 0\n",
        "map.toml:12: instrument.readings.1.address: 0 is another reading's already (give each a place of its own)"),
    "a point without a reading": (MAP, "gauge/percent\" = { address = 4", "gauge/percent\" = { address = 8",
        "map.toml:19: groups.all.points.gauge/percent.address: no reading has it (give it as [[instrument.readings]])"),
    "a reading without a point": (MAP, ', "gauge/percent" = { address = 4, unit = "percent" }', "",
        "map.toml:8: instrument.readings: no point uses the reading at 4 (take it out or give a point)"),
    "a point of another type": (MAP, "{ address = 0 },", '{ address = 0, type = "int64" },',
        "map.toml:19: groups.all.points.gauge/level: is a int64 of the table input (an instrument gives table ="
        ' "input", type = "float64")'),
    "another order": (MAP, "{ address = 0 },", '{ address = 0, word_order = "little" },',
        "map.toml:19: groups.all.points.gauge/level: is little-endian (an instrument gives words and bytes"
        " big-endian)"),
    "an unknown key": (MAP, "not_ready", "notready",
        "map.toml:7: instrument.notready: is not a key here (did you mean not_ready?)"),
    "an unknown protocol": (MAP, '"text-line"', '"text-lines"',
        "map.toml:4: instrument.protocol: must be one of ei-bisynch, text-line, not 'text-lines' (did you mean"
        " text-line?)"),
    "no readings": (BISYNCH, '{ address = 0, mnemonic = "PV" }, { address = 4, mnemonic = "FS", bit = 5 }', "",
        "map.toml:6: instrument.readings: must not be empty (give at least one: what is taken of its answers)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_instrument_is_refused_with_line_key_and_reason(case, tmp_path):
    text, old, new, expected = WRONG[case]
    assert old in text
    assert expected in faults(tmp_path, text.replace(old, new, 1))


def test_a_machine_is_not_spoken_to_in_text(tmp_path):
    told = faults(tmp_path, MAP.replace('kind = "instrument"', 'kind = "reflow"'))
    assert any("has no meaning in a map of kind reflow" in fault for fault in told)


def test_a_point_that_cannot_be_read_makes_no_fault_of_its_reading(tmp_path):
    told = faults(tmp_path, MAP.replace("{ address = 0 },", '{ address = "0" },'))
    assert len(told) == 1
    assert "gauge/level" in told[0]
