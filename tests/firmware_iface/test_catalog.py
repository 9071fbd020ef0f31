import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_iface import catalog
from firmware_iface.map_keys import SPEEDS

SHIPPED = Path(catalog.__file__).parent / "maps" / "reflow10.toml"

SMALL = """\
[map]
id = "small"
version = "1"
title = "a small oven"
kind = "reflow"
[machine]
manufacturer = "nobody"
model = "small"
oxygen = ["oxygen/1"]
[device]
address_base = 1
max_registers = 8
[groups.motion]
period_ms = 100
[groups.motion.points]
"lane/1/inlet" = { table = "discrete", address = 1, type = "bit" }
"lane/1/outlet" = { table = "discrete", address = 2, type = "bit" }
"belt/speed" = { table = "input", address = 1, type = "uint16", scale = 0.1, unit = "cm/min" }
"belt/setpoint" = { table = "holding", address = 1, type = "uint16", unit = "cm/min", access = "rw" }
[groups.slow]
period_ms = 500
max_age_ms = 900
[groups.slow.defaults]
table = "input"
type = "int16"
unit = "degC"
[groups.slow.points]
"zone/1/temperature" = { address = 10, range = [0, 400] }
"zone/2/temperature" = { address = 11 }
"oxygen/1/concentration" = { address = 12, type = "uint32", unit = "ppm" }
"zone/3/temperature" = { address = 16 }
"machine/name" = { address = 20, type = "text", length = 4 }
"door/1/open" = { address = 30, type = "bit", bit = 0 }
"door/2/open" = { address = 30, type = "bit", bit = 1 }
[lanes.1]
inlet_mm = 0
outlet_mm = 2000
speed = "belt/speed"
speed_setpoint = "belt/setpoint"
inlet = "lane/1/inlet"
outlet = "lane/1/outlet"
[zones.1]
kind = "heated"
start_mm = 300
length_mm = 300
temperatures = ["zone/1/temperature"]
[zones.2]
kind = "cooling"
start_mm = 700
length_mm = 300
temperatures = ["zone/2/temperature"]
[[states]]
state = "ready"
when = ["belt/speed > 0"]
[alarms.E1]
text = "too slow"
severity = "fault"
object = "belt"
when = ["belt/speed - belt/setpoint < -2"]
"""


def _load(tmp_path, text):
    path = tmp_path / "map.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return catalog.load(path)


def _line(text, fragment):
    return text[: text.index(fragment)].count("\n") + 1


def test_a_small_map_is_read_as_written(tmp_path):
    small = _load(tmp_path, SMALL)
    speed = small.register("belt/speed")
    assert (speed.address, speed.count, speed.scale, speed.decimals, speed.group) == (0, 1, 0.1, 1, "motion")
    assert small.register("oxygen/1/concentration").count == 2
    assert small.register("machine/name").decimals is None
    assert small.register("belt/setpoint").writable
    assert [(group.period_ms, group.max_age_ms) for group in small.groups] == [(100, 300), (500, 900)]
    assert [register.path for register in small.registers][:2] == ["lane/1/inlet", "lane/1/outlet"]
    term = small.alarms[0].when[0]
    assert (term.path, term.minus, term.operator, term.number) == ("belt/speed", "belt/setpoint", "<", -2)
    assert small.device.max_registers == 8
    assert [zone.number for zone in small.zones] == [1, 2]


WRONG = [
    # what is replaced, by what, where the fault points, key, reason
    ("max_age_ms = 900", "max_age = 900", "max_age = 900", "groups.slow.max_age", "did you mean max_age_ms"),
    ('version = "1"\n', "", "[map]", "map.version", "missing"),
    ('kind = "reflow"', 'kind = "refow"', 'kind = "refow"', "map.kind", "must be one of"),
    ('id = "small"', "id = 7", "id = 7", "map.id", "must be a text"),
    ("period_ms = 100", "period_ms = 5", "period_ms = 5", "groups.motion.period_ms", "at least 10"),
    ("period_ms = 100", "period_ms = true", "period_ms = true", "groups.motion.period_ms", "whole number"),
    ('address = 1, type = "bit"', 'address = 0, type = "bit"', '"lane/1/inlet" =', "inlet.address", "below the device"),
    ("address = 10,", "address = 65537,", '"zone/1/temp', "zone/1/temperature.address", "at most 65536"),
    ("address = 10,", "address = 65536, type = 'uint32',", '"zone/1/temp', "temperature.address", "beyond the last"),
    ("address = 11 }", "address = 13 }", '"oxygen/1/conc', "concentration.address", "lies on zone/2/temperature"),
    ("bit = 1 }", "bit = 0 }", '"door/2', "door/2/open.address", "lies on door/1/open"),
    ("bit = 1 }", "bit = 16 }", '"door/2', "door/2/open.bit", "at most 15"),
    (", bit = 1 }", "}", '"door/2', "door/2/open.bit", "missing"),
    ("length = 4 }", "length = 9 }", '"machine/name"', "machine/name.type", "takes 9 registers"),
    (", length = 4 }", "}", '"machine/name"', "machine/name.length", "missing"),
    ("scale = 0.1", "scale = 0", '"belt/speed" =', "belt/speed.scale", "must not be 0"),
    ("scale = 0.1", "scale = nan", '"belt/speed" =', "belt/speed.scale", "must be a number"),
    ("range = [0, 400]", "range = [400, 0]", '"zone/1/temp', "temperature.range", "not below"),
    ("range = [0, 400]", "range = [-50, 40000]", '"zone/1/temp', "temperature.range", "only from -32768 to 32767"),
    ("range = [0, 400]", 'type = "uint16", scale = 0.1, range = [-50, 400]', '"zone/1/temp',
     "temperature.range", "goes from -50 to 400, a uint16 with this scale and offset only from 0 to 6553.5"),
    ("address = 10,", 'address = 10, type = "float",', '"zone/1/temp', "temperature.type", "float32 takes two"),
    ("address = 10,", 'address = 10, unit = "bar",', '"zone/1/temp', "temperature.unit", "in mbar, with a scale 1000"),
    ("address = 10,", "address = 10, not_available = [-1],", '"zone/1/temp', "not_available.0", "-1 of an int16 is"),
    ("address = 10,", "address = 10, not_available = 0x8000,", '"zone/1/temp', "not_available", "put it into [ ]"),
    ('object = "belt"', 'object = "belt/speed"', 'object = "belt/speed"', "alarms.E1.object", "of the object belt"),
    ('[[states]]\n', '[bad]\npoints = []\n[[states]]\n', "[bad]", "bad", "write [[bad]]"),
    ('"belt/speed > 0"', '"zone/1/temperature > 500"', 'when = ["zone/1', "states.0.when.0", "is from 0 to 400 and"),
    ('when = ["belt/speed - belt/setpoint < -2"]\n', 'when = ["lane/1/inlet == 1"]\nhysteresis = 1\n', "hysteresis",
     "alarms.E1.hysteresis", "is used by nothing"),
    ('access = "rw"', 'access = "w"', '"belt/setpoint" =', "belt/setpoint.access", "must be one of"),
    ('scale = 0.1, unit', 'access = "rw", unit', '"belt/speed" =', "belt/speed.access", "cannot be written"),
    ('unit = "degC"', 'unit = "F"', 'unit = "F"', "groups.slow.defaults.unit", "must be one of"),
    ('"door/2/open" = {', '"Door" = {', '"Door"', "groups.slow.points.Door", "not a path"),
    ('speed = "belt/speed"', 'speed = "belt/sped"', 'speed = "belt/sped"', "lanes.1.speed", "did you mean belt/speed"),
    ('["zone/1/temperature"]', '["zone/9/temperature"]', "temperatures = [", "zones.1.temperatures.0", "no point"),
    ("[zones.1]", "[zones.one]", "[zones.one]", "zones.one", "not a number"),
    ("start_mm = 700", "start_mm = 500", "start_mm = 500", "zones.2.start_mm", "in front of it ends at 600"),
    ("start_mm = 300", "start_mm = 203", "", "capture.max_board_mm", "480 mm: its middle"),
    ("outlet_mm = 2000", "outlet_mm = -5", "outlet_mm = -5", "lanes.1.outlet_mm", "not behind the inlet"),
    ('"belt/speed > 0"', '"belt/speed >> 0"', 'when = ["belt/speed >>', "states.0.when.0", "cannot read the condition"),
    ('"belt/speed > 0"', '"belt/speed > fast"', 'when = ["belt/speed > fast', "states.0.when.0", "not a number"),
    ('"belt/speed > 0"', '"machine/name > 0"', 'when = ["machine/name', "states.0.when.0", "is a text"),
    ('state = "ready"', 'state = "redy"', 'state = "redy"', "states.0.state", "did you mean ready"),
    ('when = ["belt/speed - belt/setpoint < -2"]\n', "", "[alarms.E1]", "alarms.E1.when", "missing"),
    ('when = ["belt/speed - belt/setpoint < -2"]', "when = []", "when = []", "alarms.E1.when", "must not be empty"),
    ('object = "belt"', 'object = "bel"', 'object = "bel"', "alarms.E1.object", "did you mean belt"),
    ('oxygen = ["oxygen/1"]', 'oxygen = ["belt"]', "oxygen = [", "machine.oxygen.0", "no point concentration"),
    ('type = "uint16", unit = "cm/min"', 'type = "uint16"', "speed_setpoint =", "speed_setpoint",
     "number without a unit"),
    ('type = "uint16", unit = "cm/min"', 'type = "uint16", unit = "m/min"', "speed_setpoint =", "speed_setpoint",
     "is in m/min, the speed in cm/min"),
    ('scale = 0.1, unit = "cm/min"', 'unit = "percent"', 'speed = "belt', "lanes.1.speed",
     "give a number in cm/min or"),
    ('inlet = "lane/1/inlet"', 'inlet = "belt/speed"', 'inlet = "belt', "lanes.1.inlet", "give a bit"),
    ("address = 10,", 'address = 10, unit = "mV",', "temperatures = [", "temperatures.0",
     "a number in mV (give a number in"),
    ('unit = "ppm"', 'unit = "percent"', "oxygen = [", "machine.oxygen.0", "a number in percent"),
    ('oxygen = ["oxygen/1"]', 'oxygen = ["oxygen/1", "oxygen/1"]', "oxygen = [", "machine.oxygen.1", "told twice"),
    ('"nobody"', '"nobody"\nfirmware = "belt/speed"', "firmware = ", "machine.firmware", "give a text"),
    ('"nobody"', '"nobody"\nremote = "machine/name"', "remote = ", "machine.remote", "is a text (give a bit)"),
    ("[device]", '[recipe]\nname = "lane/1/inlet"\n[device]', "name = ", "recipe.name", "is a bit (give a text)"),
    ("[device]", '[recipe]\nversion = "machine/name"\n[device]', 'version = "machine', "recipe.version", "a number)"),
    ("[zones.1]", 'scanner = { count = "belt/speed", result = "oxygen/1/concentration", code = "belt/speed", '
     "position_mm = -9 }\n[zones.1]", "scanner =", "scanner.code", "give a text"),
    ("address = 10,", f"address = 10, not_available = {[0] * 256},", '"zone/1/temp', "not_available", "256 entries"),
    ('outlet = "lane/1/outlet"', 'outlet = "lane/1/inlet"', 'outlet = "lane', "lanes.1.outlet",
     "is lanes.1.inlet already"),
    ('["zone/2/temperature"]', '["zone/1/temperature"]', 'temperatures = ["zone/1/temperature"]\n[[',
     "zones.2.temperatures.0",
     "is zones.1.temperatures.0 already"),
    ('["zone/1/temperature"]', '["zone/1/temperature", "zone/1/temperature"]', "temperatures = [", "temperatures.1",
     "already"),
    ('["zone/1/temperature"]', '["zone/1/temperature"]\nsetpoints = ["zone/1/temperature"]', "setpoints = [",
     "zones.1.setpoints.0", "is a temperature already"),
    ('setpoint = "belt/setpoint"', 'setpoint = "belt/speed"', "speed_setpoint =", "speed_setpoint",
     "is the speed already"),
    ("[zones.1]", '[lanes.2]\ninlet_mm = 0\noutlet_mm = 2000\nspeed = "belt/speed"\nspeed_setpoint = "belt/setpoint"\n'
     'inlet = "lane/1/outlet"\noutlet = "door/1/open"\n[zones.1]', 'inlet = "lane/1/outlet"', "lanes.2.inlet",
     "is lanes.1.outlet already"),
    ("outlet_mm = 2000", "outlet_mm = 999", "outlet_mm = 999", "lanes.1.outlet_mm", "end of the last zone at 1000"),
    ('kind = "heated"', 'kind = "cooling"', "[zones.1]", "zones", "no heated zone"),
    ("[[states]]",
     '[zones.3]\nkind = "heated"\nstart_mm = 1000\nlength_mm = 300\ntemperatures = ["zone/3/temperature"]\n'
     "[[states]]", 'kind = "cooling"', "zones.2.kind", "before the last heated zone"),
    ("[[states]]", "[thermal]\nramp_end_mm = 70\n[[states]]", "ramp_end_mm", "thermal.ramp_end_mm",
     "not behind ramp_start"),
    ("length_mm = 300", "length_mm = 200", "", "thermal.ramp_end_mm", "502.5 mm is not before the end of the first"),
    ("max_age_ms = 900", "max_age_ms = 400", "max_age_ms = 400", "groups.slow.max_age_ms", "shorter than period_ms"),
    ('"belt/speed > 0"', '"belt/speed == 0.5"', 'when = ["belt/speed ==', "states.0.when.0", "never exactly 0.5"),
    ('"belt/speed > 0"', '"lane/1/inlet == 2"', 'when = ["lane/1/inlet', "states.0.when.0", "is a bit and never 2"),
    ("range = [0, 400]", "range = [40000, 50000]", '"zone/1/temp', "temperature.range", "only from -32768 to 32767"),
    ("address = 10,", "address = 10, type = 'uint16', offset = 500,", '"zone/1/temp', "temperature.range",
     "only from 500 to 66035"),
    ("bit = 1 }", "bit = 1, scale = 2 }", '"door/2', "open.scale", "a bit is 0 or 1"),
    ("bit = 1 }", "bit = 1, offset = 1 }", '"door/2', "open.offset", "a bit is 0 or 1"),
    ("bit = 1 }", "bit = 1, range = [0, 1] }", '"door/2', "open.range", "a bit is 0 or 1"),
    ("bit = 1 }", "bit = 1, not_available = [1] }", '"door/2', "open.not_available", "a bit is 0 or 1"),
    ("[zones.1]", "[capture]\nmin_board_mm = 480\n[zones.1]", "min_board_mm", "min_board_mm", "not below max_board_mm"),
    ("[zones.1]", "[capture]\nmin_board_mm = 0\n[zones.1]", "min_board_mm", "min_board_mm", "at least 1"),
    ("[zones.1]", "[capture]\nmax_board_mm = -1\n[zones.1]", "max_board_mm", "max_board_mm", "at least 1"),
    ("[zones.1]", "[capture]\ndebounce_ms = 0\n[zones.1]", "debounce_ms", "debounce_ms", "at least 1"),
    ("[zones.1]", "[capture]\nmin_gap_mm = 40\n[zones.1]", "min_gap_mm", "min_gap_mm", "not below min_board_mm"),
    ("[zones.1]", "[capture]\nlost_mm = 79\n[zones.1]", "lost_mm", "lost_mm", "below match_mm"),
    ("[alarms.E1]", '[[states]]\nstate = "off"\nwhen = ["lane/1/inlet == 0", "belt/speed > 0"]\n[alarms.E1]',
     'when = ["lane/1/inlet == 0"', "states.1.when", "states.0 holds whenever this does"),
    ("setpoint < -2", "setpoint > 6553.5", "when = [\"belt/speed - belt", "E1.when.0", "to 6553.5 and never > 6553.5"),
    ("setpoint < -2", "setpoint == -70000", "when = [\"belt/speed - belt", "E1.when.0",
     "-65535 to 6553.5 and never -70000"),
    ("[zones.2]", "[zones.2", "[zones.2", "", "is not TOML"),
    ("max_registers = 8", "max_registers = 8\nmax_registers = 9", "max_registers = 9", "", "is not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "at", "key", "reason"), WRONG)
def test_a_fault_names_line_key_and_reason(tmp_path, old, new, at, key, reason):
    assert old in SMALL
    text = SMALL.replace(old, new, 1)
    with pytest.raises(catalog.MapError) as caught:
        _load(tmp_path, text)
    (fault,) = caught.value.faults
    assert fault.key.endswith(key)
    assert reason in f"{fault.reason} ({fault.mend})"
    assert not at or reason == "is not TOML" or fault.line == _line(text, at)


def test_all_faults_of_a_file_are_told_at_once_in_the_order_of_their_lines(tmp_path):
    text = SMALL.replace("period_ms = 100", "period_ms = 1").replace('state = "ready"', 'state = "x"')
    text = text.replace("bit = 1", "bit = 99")
    with pytest.raises(catalog.MapError) as caught:
        _load(tmp_path, text)
    told = str(caught.value).splitlines()
    assert [int(re.search(r"map\.toml:(\d+): ", line)[1]) for line in told] == sorted(
        _line(text, fragment) for fragment in ("period_ms = 1\n", "bit = 99", 'state = "x"')
    )


@pytest.mark.parametrize("unit", SPEEDS)
def test_a_belt_tells_its_speed_in_any_of_four_units(tmp_path, unit):
    small = _load(tmp_path, SMALL.replace('unit = "cm/min"', f'unit = "{unit}"'))
    assert small.register("belt/speed").unit == unit


@pytest.mark.parametrize("unit", ["mV", "mbar", "V", "A", "Hz", "kg/h", "l/min", "degC/s", "percent", "rpm"])
def test_an_instrument_tells_its_values_in_plain_units(tmp_path, unit):
    small = _load(tmp_path, SMALL.replace("address = 16 }", f'address = 16, unit = "{unit}" }}'))
    assert small.register("zone/3/temperature").unit == unit


ALL_AT_ONCE = [
    # what is replaced by what, and the keys of all faults
    ("several faults of one point",
     [("address = 30, type = \"bit\", bit = 1", "address = -1, type = \"bit\", scale = 0, decimals = 10, length = 3")],
     {"door/2/open.address", "door/2/open.bit", "door/2/open.scale", "door/2/open.decimals", "door/2/open.length"}),
    ("a group's own keys and its points", [("period_ms = 500", "period_ms = 5"), ("[0, 400]", "[400, 0]")],
     {"groups.slow.period_ms", "zone/1/temperature.range"}),
    ("wrong defaults and points", [('unit = "degC"', 'unit = "F"'), ("[0, 400]", "[400, 0]"), ("bit = 1", "bit = 16")],
     {"groups.slow.defaults.unit", "zone/1/temperature.range", "door/2/open.bit"}),
    ("a type that the defaults have wrong", [('type = "int16"', 'type = "int17"'), ("address = 11", "address = -1")],
     {"groups.slow.defaults.type", "zone/2/temperature.address"}),
    ("a lane's key and its scanner",
     [("inlet_mm = 0", 'inlet_mm = "x"\nscanner = { count = "belt/sped", code = "machine/name", position_mm = 0 }')],
     {"lanes.1.inlet_mm", "lanes.1.scanner.count", "lanes.1.scanner.result"}),
    ("several conditions of one rule", [('["belt/speed > 0"]', '["belt/speed >> 0", 3, "belt/speed > 0", "x/y > 0"]')],
     {"states.0.when.0", "states.0.when.1", "states.0.when.3"}),
    ("several temperatures", [('["zone/1/temperature"]', '["a/b", "c/d"]')],
     {"zones.1.temperatures.0", "zones.1.temperatures.1"}),
    ("a wrong zone beside the others", [("[zones.1]", "[zones]\n5 = 5\n[zones.1]")], {"zones.5"}),
    ("zones that are no table", [(SMALL[SMALL.index("[zones.1]"):SMALL.index("[[states]]")], ""), ("[map]",
     "zones = 3\n[map]")],
     {"zones"}),
    ("a wrong point beside the others", [('"zone/2/temperature" = { address = 11 }', '"zone/2/temperature" = 11'),
     ("bit = 1", "bit = 16")], {"groups.slow.points.zone/2/temperature", "door/2/open.bit"}),
    ("a wrong unit of the device", [("address_base = 1", "address_base = 1\nunit = 300"), ("address = 10",
     "address = 0")],
     {"device.unit", "zone/1/temperature.address"}),
    ("a wrong capture", [("[zones.1]", "[capture]\nmax_board_mm = true\nlost_mm = 1\n[zones.1]")],
     {"capture.max_board_mm", "capture.lost_mm"}),
    ("a wrong only zone of heat", [('kind = "heated"', 'kind = "hot"')], {"zones.1.kind"}),
    ("a wrong kind of map and no states", [('kind = "reflow"', "kind = 3"),
     ('[[states]]\nstate = "ready"', "[[states]]")],
     {"map.kind", "states.0.state"}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "keys"), [case[1:] for case in ALL_AT_ONCE], ids=[case[0] for case in ALL_AT_ONCE])
def test_every_fault_is_told_once_and_no_other(tmp_path, changes, keys):
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    with pytest.raises(catalog.MapError) as caught:
        _load(tmp_path, text)
    told = [re.sub(r"^groups\.slow\.points\.(?=.*\.)", "", fault.key) for fault in caught.value.faults]
    assert sorted(told) == sorted(keys)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\xff\xfe", "not UTF-8"), (b"#" * (1 << 20) + b"\n", "over 1 MiB"),
     (b"a = " + b"[" * 100_000, "nested too deeply"), (b"a = 1" + b"0" * 5000, "is not TOML"), (b"", "is missing")],
)  # fmt: skip
def test_what_is_no_map_is_a_fault(tmp_path, content, reason):
    with pytest.raises(catalog.MapError, match=reason):
        _load(tmp_path, content)


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    for path in (tmp_path, tmp_path / "none.toml", "a\0b"):
        with pytest.raises(catalog.MapError, match="cannot be read"):
            catalog.load(path)


def test_a_wrong_name_of_a_built_in_map_tells_which_was_meant():
    with pytest.raises(catalog.MapError, match="did you mean reflow10"):
        catalog.builtin("refow10")


def test_the_fingerprint_changes_with_the_wire_only(tmp_path):
    before = _load(tmp_path, SMALL).fingerprint
    assert re.fullmatch("[0-9a-f]{8}", before)
    assert _load(tmp_path, SMALL.replace("range = [0, 400]", 'text = "t"')).fingerprint == before
    assert _load(tmp_path, SMALL.replace("address = 11 ", "address = 14 ")).fingerprint != before
    assert _load(tmp_path, SMALL.replace("scale = 0.1", "scale = 0.01")).fingerprint != before
    assert _load(tmp_path, SMALL.replace("max_registers = 8", 'word_order = "little"')).fingerprint != before


def test_every_shipped_map_loads_and_says_whose_it_is():
    for name in catalog.builtin_names():
        assert catalog.builtin(name).note


def test_the_reflow_map_is_read_in_few_blocks():
    reflow = catalog.builtin("reflow10")
    for group in reflow.groups:
        for table in {register.table for register in reflow.registers if register.group == group.name}:
            places = sorted((r.address, r.count) for r in reflow.registers if (r.group, r.table) == (group.name, table))
            holes = sum(b - (a + n) != 0 for (a, n), (b, _) in itertools.pairwise(places) if b != a)
            assert holes == 0, (group.name, table)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_never_raises_anything_but_a_map_error(tmp_path_factory, garbage):
    _mutant(tmp_path_factory, garbage)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40_000), st.integers(0, 40), st.binary(max_size=12))
def test_a_damaged_shipped_map_never_raises_anything_but_a_map_error(tmp_path_factory, place, cut, put):
    content = SHIPPED.read_bytes()
    place %= len(content)
    _mutant(tmp_path_factory, content[:place] + put + content[place + cut :])


_VALUES = st.sampled_from(
    ["[]", "{}", "1", "-1", "nan", "inf", "true", '"x"', "[[1]]", "{a = 1}", "1979-05-27", "9" * 400, "1e999",
     "0x" + "f" * 5000, "[0x" + "f" * 5000 + "]"]
)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 70), _VALUES)
def test_any_value_of_a_small_map_may_be_anything(tmp_path_factory, line, value):
    lines = SMALL.splitlines()
    line %= len(lines)
    lines[line] = re.sub(r"= .*", f"= {value}", lines[line]) if "=" in lines[line] else f"x = {value}"
    _mutant(tmp_path_factory, "\n".join(lines).encode())


def _mutant(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "mutant.toml"
    path.write_bytes(content)
    try:
        catalog.load(path)
    except catalog.MapError as error:
        assert error.faults
        assert str(error)
