"""The words of the map language that only a wave machine has."""

import pytest

from firmware_iface import catalog

WAVE = """
map = { id = "small", version = "1", title = "A small wave machine", kind = "wave" }
machine = { manufacturer = "M", model = "N" }
[groups.all]
period_ms = 100
defaults = { table = "input", type = "int16" }
[groups.all.points]
"belt/speed" = { address = 0, unit = "cm/min" }
"belt/speedSetpoint" = { address = 1, unit = "cm/min" }
"lane/inlet" = { table = "discrete", address = 0, type = "bit" }
"lane/outlet" = { table = "discrete", address = 1, type = "bit" }
"flux/flow" = { address = 2, unit = "ml/min" }
"flux/flowSetpoint" = { address = 3, unit = "ml/min", kind = "setpoint" }
"heat/temperature" = { address = 4, unit = "degC" }
"pot/temperature" = { address = 5, unit = "degC" }
"wave/1/speed" = { address = 6, unit = "rpm" }
"wave/2/speed" = { address = 7, unit = "rpm" }
[lanes.1]
inlet_mm = 0
outlet_mm = 2000
speed = "belt/speed"
speed_setpoint = "belt/speedSetpoint"
inlet = "lane/inlet"
outlet = "lane/outlet"
[zones]
1 = { kind = "flux", start_mm = 300, length_mm = 100, measures = ["flux/flow"] }
2 = { kind = "preheat", start_mm = 500, length_mm = 500, temperatures = ["heat/temperature"] }
3 = { kind = "wave", start_mm = 1200, length_mm = 20, temperatures = ["pot/temperature"], measures = ["wave/1/speed"] }
4 = { kind = "wave", start_mm = 1300, length_mm = 40, temperatures = ["pot/temperature"], measures = ["wave/2/speed"] }
[[states]]
state = "ready"
when = ["belt/speed > 0"]
"""


def load(tmp_path, text):
    path = tmp_path / "map.toml"
    path.write_text(text)
    return catalog.load(path)


def test_two_waves_share_the_temperature_of_one_pot(tmp_path):
    small = load(tmp_path, WAVE)
    assert [zone.kind for zone in small.zones] == ["flux", "preheat", "wave", "wave"]
    assert small.zones[0].temperatures == ()
    assert small.zones[2].temperatures == small.zones[3].temperatures == ("pot/temperature",)
    assert small.zones[3].measures == ("wave/2/speed",)


WRONG = [
    # what is replaced, by what, key, reason
    ('kind = "preheat"', 'kind = "heated"', "zones.2.kind", "a map of kind wave has no heated zone"),
    ('kind = "wave" }', 'kind = "reflow" }', "zones", "has no heated zone"),
    ('1 = { kind = "flux"', '1 = { kind = "wave"', "zones.1.temperatures", "is missing"),
    (', temperatures = ["heat/temperature"]', "", "zones.2.temperatures", "is missing"),
    ("start_mm = 300", "start_mm = 1100", "zones.2.kind", "is preheat before the last flux zone"),
    ("start_mm = 1300", "start_mm = 1210", "zones.4.start_mm", "ends at 1220 mm"),
    ('["flux/flow"]', '["flux/flow", "flux/flow"]', "zones.1.measures.1", "is told twice"),
    ('["wave/2/speed"]', '["wave/1/speed"]', "zones.4.measures.0", "is told twice"),
    ('["wave/1/speed"]', '["pot/temperature"]', "zones.3.measures.0", "is told twice"),
    ('temperatures = ["heat/temperature"]', 'temperatures = ["pot/temperature"]', "zones.3.temperatures.0",
     "is zones.2.temperatures.0 already"),
    ('["flux/flow"]', '["lane/inlet"]', "zones.1.measures.0", "is a bit (give a number)"),
    ('unit = "ml/min", kind', 'unit = "l/min", kind', "zones.1.measures.0", "in ml/min, its setpoint in l/min"),
    (', kind = "setpoint"', "", "zones.1.measures.0", "flux/flowSetpoint is of kind measured"),
    ("[lanes.1]", "[thermal]\ntau_s = 30\n[lanes.1]", "thermal", "has no model of a board"),
    ('[[states]]\nstate = "ready"\nwhen = ["belt/speed > 0"]\n', "", "states", "a map of kind wave describes"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key", "reason"), WRONG)
def test_a_fault_of_a_wave_map_names_its_key_and_reason(tmp_path, old, new, key, reason):
    assert old in WAVE
    with pytest.raises(catalog.MapError) as caught:
        load(tmp_path, WAVE.replace(old, new, 1))
    fault = next(fault for fault in caught.value.faults if fault.key == key)
    assert reason in f"{fault.reason} ({fault.mend})"


def test_a_reflow_map_has_no_wave(tmp_path):
    with pytest.raises(catalog.MapError, match="a map of kind reflow has no flux zone") as caught:
        load(tmp_path, WAVE.replace('kind = "wave" }', 'kind = "reflow" }', 1).replace('"preheat"', '"heated"'))
    assert [fault.key for fault in caught.value.faults] == ["zones.1.kind", "zones.3.kind", "zones.4.kind"]


def test_the_shipped_wave_machine_touches_a_board_for_three_seconds_at_its_speed():
    waves = [zone for zone in catalog.builtin("wave").zones if zone.kind == "wave"]
    assert [zone.length_mm / 20.0 for zone in waves] == [1.0, 2.0]
