"""Power, the order of a recipe's setpoints, and bits that can be written: what a map may say, and what it may not."""

import pytest

from firmware_iface import catalog
from firmware_iface.commands import Power
from firmware_iface.header import header_text
from firmware_iface.pages import page_text
from tests.firmware_iface.test_catalog import _line, _load

DRYER = """\
[map]
id = "dryer"
version = "1"
title = "a dryer"
kind = "instrument"
[machine]
manufacturer = "nobody"
model = "dryer"
[recipe]
name = "recipe/name"
version = "recipe/version"
order = ["fan/setpoint", "belt/setpoint"]
[groups.all]
period_ms = 500
[groups.all.defaults]
table = "holding"
type = "uint16"
kind = "setpoint"
access = "rw"
[groups.all.points]
"recipe/name" = { address = 0, type = "text", length = 8 }
"recipe/version" = { address = 8 }
"belt/setpoint" = { address = 9 }
"air/setpoint" = { address = 10, unit = "degC" }
"fan/setpoint" = { address = 11 }
"fan/limit" = { address = 12, kind = "limit" }
"fan/fixed" = { address = 13, access = "r" }
"dryer/order" = { address = 14 }
"dryer/beat" = { address = 15 }
"dryer/horn" = { address = 16, type = "bit", bit = 3, kind = "state" }
"dryer/on" = { address = 17, type = "bit", bit = 0, kind = "state", access = "r" }
"dryer/warm" = { address = 17, type = "bit", bit = 1, kind = "state", access = "r" }
[commands.powerOn]
write = "dryer/order"
value = 1
confirm = ["dryer/on == 1"]
[commands.powerOff]
write = "dryer/order"
value = 2
confirm = ["dryer/on == 0"]
[power]
warning_s = 5
horn = "dryer/horn"
safe_celsius = 60
[heartbeat]
point = "dryer/beat"
period_ms = 1000
"""


def test_power_is_read_as_written_with_its_defaults(tmp_path):
    dryer = _load(tmp_path, DRYER)
    assert dryer.power == Power(5.0, "dryer/horn", 60.0, False, 7200.0, 14_400.0)
    more = "immediate_off = true\nwarm_up_timeout_s = 1800\ncool_down_timeout_s = 3600\n[heartbeat]"
    given = _load(tmp_path, DRYER.replace('warning_s = 5\nhorn = "dryer/horn"\n', "").replace("[heartbeat]", more))
    assert given.power == Power(0.0, None, 60.0, True, 1800.0, 3600.0)
    assert _load(tmp_path, DRYER[: DRYER.index("[power]")]).power is None


def test_a_recipe_writes_the_named_setpoints_first_and_what_is_written_otherwise_never(tmp_path):
    assert _load(tmp_path, DRYER).recipe_order == ("fan/setpoint", "belt/setpoint", "air/setpoint")
    plain = _load(tmp_path, DRYER.replace('order = ["fan/setpoint", "belt/setpoint"]\n', ""))
    assert plain.recipe_order == ("belt/setpoint", "air/setpoint", "fan/setpoint")


def test_a_command_is_found_by_its_name(tmp_path):
    dryer = _load(tmp_path, DRYER)
    assert dryer.command("powerOff") is dryer.commands[1]
    assert dryer.command("standby") is None


WRONG = [
    # what is replaced, by what, where the fault points, key, reason
    ("[commands.powerOff]", "[commands.standby]", "[power]", "power", "has no command powerOff"),
    ("safe_celsius = 60\n", "", "[power]", "power.safe_celsius", "is missing"),
    ("safe_celsius = 60", "safe_celsius = 400", "safe_celsius = 400", "power.safe_celsius", "at most 300"),
    ("warning_s = 5", "warning_s = 0", "warning_s = 0", "power.warning_s", "the horn would never sound"),
    ('horn = "dryer/horn"', 'horn = "dryer/on"', 'horn = "dryer/on"', "power.horn", "cannot be written"),
    ('horn = "dryer/horn"', 'horn = "air/setpoint"', 'horn = "air', "power.horn", "give a bit that can be written"),
    ('write = "dryer/order"\nvalue = 1', 'write = "dryer/horn"\nvalue = 1', "horn = ", "power.horn",
     "dryer/horn is written by a command too"),
    ('point = "dryer/beat"', 'point = "dryer/horn"', 'point = "dryer/horn"', "heartbeat.point", "the horn"),
    ('"fan/setpoint", "belt/setpoint"]', '"fan/setpoint", "fan/setpoint"]', "order =", "order.1", "told twice"),
    ('"fan/setpoint", "belt', '"fan/fixed", "belt', "order =", "order.0", "fan/fixed cannot be written"),
    ('"fan/setpoint", "belt', '"fan/limit", "belt', "order =", "order.0", "is no setpoint of a recipe"),
    ('"fan/setpoint", "belt', '"recipe/version", "belt', "order =", "order.0", "is no setpoint of a recipe"),
    ('"fan/setpoint", "belt', '"dryer/order", "belt', "order =", "order.0", "let nothing else write it"),
    ('"fan/setpoint", "belt', '"fan/setpiont", "belt', "order =", "order.0", "did you mean fan/setpoint"),
    ('address = 17, type = "bit", bit = 1, kind = "state", access = "r"', 'address = 16, type = "bit", bit = 1,'
     ' kind = "state", access = "r"', '"dryer/horn" =', "dryer/horn.access", "its register has dryer/warm too"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "at", "key", "reason"), WRONG)
def test_a_fault_names_line_key_and_reason(tmp_path, old, new, at, key, reason):
    assert old in DRYER
    text = DRYER.replace(old, new, 1)
    with pytest.raises(catalog.MapError) as caught:
        _load(tmp_path, text)
    (fault,) = caught.value.faults
    assert fault.key.endswith(key)
    assert reason in f"{fault.reason} ({fault.mend})"
    assert fault.line == _line(text, at)


@pytest.mark.parametrize(("change", "is_other"), [
    (('horn = "dryer/horn"\n', ""), True), (("warning_s = 5", "warning_s = 6"), False),
    (('order = ["fan/setpoint", "belt/setpoint"]\n', ""), False),
])  # fmt: skip
def test_the_fingerprint_covers_the_horn(tmp_path, change, is_other):
    assert (_load(tmp_path, DRYER).fingerprint != _load(tmp_path, DRYER.replace(*change)).fingerprint) is is_other


def test_page_and_header_tell_power_and_the_order_of_a_recipe(tmp_path):
    dryer = _load(tmp_path, DRYER)
    page = page_text(dryer)
    assert "| `horn` | `dryer/horn` | bit that sounds the warning while it is 1 |" in page
    assert "| `immediate_off` | never |" in page
    assert "| 1 | `fan/setpoint` |\n| 2 | `belt/setpoint` |" in page
    assert "#define DRYER_HORN_ADDRESS DRYER_ADDRESS_DRYER_HORN" in header_text(dryer)


def test_rails_have_a_width_and_another_setpoint(tmp_path):
    text = catalog.builtin_text("reflow10")
    (lane,) = _load(tmp_path, text).lanes
    assert (lane.width, lane.width_setpoint) == ("conveyor/1/width", "conveyor/1/widthSetpoint")
    for wrong, reason in (("conveyor/1/width", "is the width already"), ("conveyor/1/speed", "give a number in mm")):
        mutant = text.replace('width_setpoint = "conveyor/1/widthSetpoint"', f'width_setpoint = "{wrong}"')
        with pytest.raises(catalog.MapError, match=reason):
            _load(tmp_path, mutant)


def test_only_a_reset_of_alarms_can_be_said_to_reset_all(tmp_path):
    where = "[commands.powerOff]\n"
    with pytest.raises(catalog.MapError, match="powerOff resets no alarms"):
        _load(tmp_path, DRYER.replace(where, where + "resets_all = true\n"))
    reset = '[commands.alarmReset]\nwrite = "dryer/order"\nvalue = 3\nconfirm = ["dryer/on == 1"]\n'
    assert not _load(tmp_path, DRYER + reset).command("alarmReset").resets_all
    assert _load(tmp_path, DRYER + reset + "resets_all = true\n").command("alarmReset").resets_all
