"""Rates, documents, identity, serial lines, commands, heartbeat, standby: what a map may say, and what it may not."""



import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.acquire.plan import plan
from edgeagent.model.machine import Machine
from edgeagent.model.samples import Row
from firmware_iface import catalog
from firmware_iface.commands import COMMANDS, Heartbeat, Standby
from firmware_iface.identity import Identity
from firmware_iface.registers import SerialSettings, Term
from firmware_iface.wording import letters
from tests.firmware_iface.test_catalog import _VALUES, _line, _load, _mutant

DRIVE = """\
[map]
id = "drive"
version = "1"
title = "a belt's drive"
kind = "instrument"
[[sources]]
id = "manual"
title = "The manual"
status = "official"
[[sources]]
title = "What was seen"
status = "inferred"
[machine]
manufacturer = "nobody"
model = "drive"
firmware = "drive/firmware"
firmware_from = "3.04"
firmware_to = "4"
[device]
unit = 7
connections = 2
latency_ms = 20
pause_ms = 5
[line]
baud = 9600
stop_bits = 2
parity = "none"
[[identity]]
point = "drive/type"
equals = [0x0A20, 0x0A40]
mask = 0x0FF0
text = "a drive of the second make"
[[identity]]
point = "drive/serial"
equals = "D7"
[groups.state]
period_ms = 500
[groups.state.defaults]
table = "holding"
type = "uint16"
source = "manual"
page = "12"
[groups.state.points]
"drive/control" = { address = 0, access = "rw", range = [0, 3] }
"drive/ready" = { address = 1, type = "bit", bit = 3 }
"drive/speed" = { address = 2, scale = 0.1, unit = "rpm", range = [0, 500], max_rate = 50 }
"drive/setpoint" = { address = 3, scale = 0.1, unit = "rpm", range = [0, 500], not_available = [0x0FFF], access = "rw" }
"drive/beat" = { address = 4, access = "rw" }
"drive/count" = { address = 5, type = "bcd32", max_rate = 2.5, page = "14" }
"drive/float" = { address = 7, type = "float32", access = "rw" }
[groups.once]
period_ms = 10_000
[groups.once.points]
"drive/type" = { table = "input", address = 0, type = "uint16" }
"drive/serial" = { table = "input", address = 1, type = "text", length = 4 }
"drive/firmware" = { table = "input", address = 5, type = "text", length = 4 }
"drive/run" = { table = "coil", address = 0, type = "bit", access = "rw" }
[commands.start]
write = "drive/control"
value = 1
style = "pulse"
pulse_ms = 200
handshake = "drive/ready"
handshake_value = 1
confirm = ["drive/speed > 0"]
timeout_s = 4
preconditions = ["drive/setpoint > 0"]
repeatable = true
[commands.stop]
write = "drive/run"
value = 0
confirm = ["drive/speed <= 0"]
[heartbeat]
point = "drive/beat"
period_ms = 1000
style = "count"
[standby]
setpoints = { "drive/setpoint" = 10.5, "drive/float" = 0.25 }
preconditions = ["drive/ready == 1"]
"""


def test_a_whole_map_is_read_as_written(tmp_path):
    drive = _load(tmp_path, DRIVE)
    assert (drive.device.connections, drive.device.latency_ms) == (2, 20)
    assert drive.line == SerialSettings(9600, "none", 2)
    assert (drive.firmware_from, drive.firmware_to) == ("3.04", "4")
    assert drive.identity == (
        Identity("drive/type", (0x0A20, 0x0A40), None, None, 0x0FF0, "a drive of the second make"),
        Identity("drive/serial", "D7"),
    )
    speed, count = drive.register("drive/speed"), drive.register("drive/count")
    assert (speed.max_rate, speed.source, speed.page) == (50.0, "manual", "12")
    assert (count.max_rate, count.page, count.count, count.decimals) == (2.5, "14", 2, 0)
    assert (drive.register("drive/type").max_rate, drive.register("drive/type").source) == (None, "")
    start, stop = drive.commands
    assert (start.name, start.write, start.value, start.style, start.pulse_ms) == (
        "start", "drive/control", 1.0, "pulse", 200)  # fmt: skip
    assert (start.handshake, start.handshake_value, start.timeout_s) == ("drive/ready", 1.0, 4.0)
    assert start.confirm == (Term("drive/speed", None, ">", 0.0),)
    assert start.preconditions == (Term("drive/setpoint", None, ">", 0.0),)
    assert start.repeatable
    assert (stop.style, stop.pulse_ms, stop.handshake, stop.preconditions) == ("level", None, None, ())
    assert not stop.repeatable
    assert drive.heartbeat == Heartbeat("drive/beat", 1000, "count")
    assert drive.standby == Standby(
        {"drive/setpoint": 10.5, "drive/float": 0.25}, (Term("drive/ready", None, "==", 1.0),))  # fmt: skip


def test_what_a_map_does_not_say_has_its_default(tmp_path):
    reflow = catalog.builtin("reflow10")
    assert (reflow.device.connections, reflow.device.max_gap, reflow.line) == (1, 16, None)
    assert (reflow.firmware_from, reflow.identity, reflow.heartbeat, reflow.standby) == (None, (), None, None)
    loop = catalog.builtin("eurotherm2000")
    assert (loop.commands, loop.power) == ((), None)
    drive = _load(tmp_path, DRIVE.replace('stop_bits = 2\nparity = "none"\n', ""))
    assert drive.line == SerialSettings(9600, "even", 1)


WRONG = [
    # what is replaced, by what, where the fault points, key, reason
    ("max_rate = 50", "max_rate = 0", '"drive/speed"', "speed.max_rate", "at least 1e-09"),
    ("bit = 3", "bit = 3, max_rate = 1", '"drive/ready"', "ready.max_rate", "a bit changes at once"),
    ("length = 4 }", "length = 4, max_rate = 1 }", '"drive/serial" =', "serial.max_rate", "a text has none"),
    ("length = 4 }", "length = 4, range = [0, 1] }", '"drive/serial" =', "serial.range", "a text has none"),
    ("length = 4 }", "length = 4, scale = 2 }", '"drive/serial" =', "serial.scale", "a text has none"),
    ("length = 4 }", "length = 4, not_available = [0] }", '"drive/serial" =', "not_available", "a text has none"),
    ("[0x0FFF]", "[0x0FFF, 4095]", '"drive/setpoint" =', "setpoint.not_available", "names a number twice"),
    ('"bcd32", max_rate = 2.5', '"bcd16", range = [10000, 20000]', '"drive/count"', "count.range",
     "only from 0 to 9999"),
    ('"bcd32", max_rate = 2.5', '"bcd16", not_available = [65536]', '"drive/count"', "not_available", "fit into bcd16"),
    ('source = "manual"', 'source = "manul"', 'source = "manul"', "defaults.source", "did you mean manual"),
    ('status = "inferred"', 'status = "inferred"\nid = "seen"', 'id = "seen"', "sources.1.id", "no point names seen"),
    ('status = "inferred"', 'status = "inferred"\nid = "manual"', 'id = "manual"\n[machine]', "sources.1.id",
     "already"),
    ('address = 5, type = "text"', 'page = "2", address = 5, type = "text"', '"drive/firmware" =',
     "firmware.page", "which of 2 sources"),
    ('type = "uint16"\nsource', 'type = "uint16"\naddress = 9\nsource', "address = 9", "defaults.address",
     "given by every point"),
    ("connections = 2", "connections = 0", "connections = 0", "device.connections", "at least 1"),
    ("latency_ms = 20", "latency_ms = 20.5", "latency_ms = 20.5", "device.latency_ms", "whole number"),
    ("baud = 9600", "baud = 300", "baud = 300", "line.baud", "at least 1200"),
    ("baud = 9600\n", "", "[line]", "line.baud", "missing"),
    ('parity = "none"', 'parity = "mark"', 'parity = "mark"', "line.parity", "none, even, odd"),
    ("stop_bits = 2", "stop_bits = 0", "stop_bits = 0", "line.stop_bits", "at least 1"),
    ("unit = 7", "unit = 0", "unit = 0", "device.unit", "0 never answers on a serial line"),
    ("unit = 7", "unit = 248", "unit = 248", "device.unit", "give 1 to 247"),
    ("period_ms = 500", "period_ms = 50", "period_ms = 50", "groups.state.period_ms",
     "is 129% of the line, with the other groups 130%"),
    ('"3.04"', '"V3.04"', 'firmware_from = "V3', "machine.firmware_from", "is no version"),
    ('firmware_to = "4"', 'firmware_to = "3.03.9"', "firmware_from", "machine.firmware_from", "is after firmware_to"),
    ('firmware = "drive/firmware"\nfirmware_from = "3.04"\n', "", 'firmware_to = "4"', "machine.firmware_to",
     "give machine.firmware"),
    ('point = "drive/type"', 'point = "drive/typ"', 'point = "drive/typ"', "identity.0.point", "did you mean"),
    ('equals = "D7"\n', "", '[[identity]]\npoint = "drive/serial"', "identity.1", "compares the point with nothing"),
    ('equals = "D7"', "equals = 7", "equals = 7", "identity.1.equals", "is a text and never a number"),
    ('equals = "D7"', 'equals = "D7"\nlow = 1', "low = 1", "identity.1.low", "has no order"),
    ('equals = "D7"', 'equals = "D7"\nmask = 1', "mask = 1", "identity.1.mask", "a text has no bits"),
    ("equals = [0x0A20, 0x0A40]", 'equals = "x"', 'equals = "x"', "identity.0.equals", "never a text"),
    ("equals = [0x0A20, 0x0A40]", "equals = []", "equals = []", "identity.0.equals", "must not be empty"),
    ("equals = [0x0A20, 0x0A40]", "equals = true", "equals = true", "identity.0.equals", "must be a number"),
    ("0x0A40]", "0x0A41]", "0x0A41]", "identity.0.equals.1", "the bits 0xFF0 are never 2625"),
    ("mask = 0x0FF0", "low = 5\nhigh = 4", "low = 5", "identity.0.low", "5 is above high, 4"),
    ("0x0A40]\nmask = 0x0FF0", "65536]", "65536]", "identity.0.equals.1", "drive/type is never 65536"),
    ("0x0A40]\nmask = 0x0FF0", "0.5]", "0.5]", "identity.0.equals.1", "drive/type is never 0.5"),
    ("commands.stop", "commands.halt", "[commands.halt]", "commands.halt", "is not a command"),
    ("commands.stop", "commands.standBy", "[commands.standBy]", "commands.standBy", "did you mean standby"),
    ('write = "drive/run"', 'write = "drive/ready"', 'write = "drive/ready"', "stop.write", "cannot be written"),
    ('write = "drive/run"', 'write = "drive/serial"', 'write = "drive/serial"', "stop.write", "is a text"),
    ("value = 0\n", "value = 2\n", "value = 2", "stop.value", "is a bit and never 2"),
    ("value = 1\n", "value = 4\n", "value = 4", "start.value", "is from 0 to 3 and never 4"),
    ("value = 1\n", "value = 1.5\n", "value = 1.5", "start.value", "no raw number of drive/control is exactly 1.5"),
    ("value = 1\n", "value = 0\n", "value = 0", "start.value", "a pulse of 0 changes nothing"),
    ("pulse_ms = 200\n", "", "[commands.start]", "start.pulse_ms", "is missing"),
    ('style = "pulse"\n', "", "pulse_ms", "start.pulse_ms", "a level stays"),
    ('handshake = "drive/ready"\n', "", "handshake_value", "start.handshake_value", "a value of no point"),
    ("handshake_value = 1\n", "", "[commands.start]", "start.handshake_value", "is missing"),
    ("handshake_value = 1", "handshake_value = 2", "handshake_value = 2", "start.handshake_value", "a bit and never 2"),
    ('handshake = "drive/ready"', 'handshake = "drive/control"', "handshake =", "start.handshake", "that is written"),
    ('confirm = ["drive/speed > 0"]\n', "", "[commands.start]", "start.confirm", "is missing"),
    ('confirm = ["drive/speed > 0"]', "confirm = []", "confirm = []", "start.confirm", "must not be empty"),
    ('"drive/speed > 0"', '"drive/speed > 500"', "confirm =", "confirm.0", "is from 0 to 500 and never > 500"),
    ('"drive/speed > 0"', '"drive/speed < 0"', "confirm =", "confirm.0", "never < 0"),
    ('"drive/speed > 0"', '"drive/control == 9"', "confirm =", "confirm.0", "is from 0 to 3 and never 9"),
    ('"drive/speed > 0"', '"drive/beat >= 65536"', "confirm =", "confirm.0", "is from 0 to 65535 and never >="),
    ('"drive/speed > 0"', '"drive/count <= -1"', "confirm =", "confirm.0", "is from 0 to 99999999 and never <="),
    ('point = "drive/beat"', 'point = "drive/count"', 'point = "drive/count"', "heartbeat.point", "cannot be written"),
    ('point = "drive/beat"', 'point = "drive/setpoint"', 'point = "drive/setpoint"', "heartbeat.point", "or standby"),
    ('point = "drive/beat"', 'point = "drive/control"', 'point = "drive/control"', "heartbeat.point", "by a command"),
    ('"drive/beat" = { address = 4,', '"drive/beat" = { address = 4, range = [1, 9],', 'point = "drive/beat"',
     "heartbeat.point", "cannot be 0 and 1"),
    ('address = 4, access = "rw"', 'address = 4, access = "rw", type = "bit", bit = 0', 'style = "count"',
     "heartbeat.style", "a bit cannot count"),
    ('period_ms = 1000\nstyle', 'period_ms = 10\nstyle', "period_ms = 10\nstyle", "heartbeat.period_ms", "at least 50"),
    ("setpoints = {", "setpoints = {} # {", "setpoints = {}", "standby.setpoints", "is empty"),
    ('"drive/setpoint" = 10.5', '"drive/setpoint" = 501', "setpoints =", "drive/setpoint", "0 to 500 and never 501"),
    ('"drive/setpoint" = 10.5', '"drive/setpoint" = 10.55', "setpoints =", "drive/setpoint", "exactly 10.55"),
    ('"drive/setpoint" = 10.5', '"drive/setpoint" = 409.5', "setpoints =", "drive/setpoint", "has no value"),
    ('"drive/setpoint" = 10.5', '"drive/run" = 1', "setpoints =", "setpoints.drive/run", "is a bit (give a number"),
    ('"drive/float" = 0.25', '"drive/float" = "low"', "setpoints =", "setpoints.drive/float", "must be a number"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "at", "key", "reason"), WRONG)
def test_a_fault_names_line_key_and_reason(tmp_path, old, new, at, key, reason):
    assert old in DRIVE
    text = DRIVE.replace(old, new, 1)
    with pytest.raises(catalog.MapError) as caught:
        _load(tmp_path, text)
    (fault,) = caught.value.faults
    assert fault.key.endswith(key)
    assert reason in f"{fault.reason} ({fault.mend})"
    assert fault.line == _line(text, at)


def test_every_fault_of_orders_and_identity_is_told_at_once(tmp_path):
    text = DRIVE.replace("\nvalue = 1\n", "\nvalue = 9\n").replace("pulse_ms = 200\n", "")
    text = text.replace("mask = 0x0FF0", "mask = 3")
    text = text.replace('style = "count"', 'style = "sum"').replace("10.5", "-1").replace('"3.04"', '"5"')
    with pytest.raises(catalog.MapError) as caught:
        _load(tmp_path, text)
    assert [fault.key for fault in caught.value.faults] == [
        "machine.firmware_from", "identity.0.equals.0", "identity.0.equals.1", "commands.start.pulse_ms",
        "commands.start.value", "heartbeat.style", "standby.setpoints.drive/setpoint",
    ]  # fmt: skip


def test_a_table_of_orders_that_is_none_is_one_fault_each(tmp_path):
    head = DRIVE[: DRIVE.index("[commands.start]")].replace("[map]", "commands = 3\nheartbeat = 4\nstandby = 5\n[map]")
    with pytest.raises(catalog.MapError) as caught:
        _load(tmp_path, head)
    assert sorted(fault.key for fault in caught.value.faults) == ["commands", "heartbeat", "standby"]


def test_a_point_that_two_groups_describe_is_refused(tmp_path):
    point = '"drive/beat" = { table = "coil", address = 9, type = "bit" }'
    text = DRIVE.replace("[groups.once.points]", f"[groups.once.points]\n{point}")
    with pytest.raises(catalog.MapError, match="described twice"):
        _load(tmp_path, text)


def test_a_fingerprint_is_served_at_one_point(tmp_path):
    points = '"drive/fingerprint" = { table = "input", address = 20, type = "uint32" }\n' \
             '"map/fingerprint" = { table = "input", address = 30, type = "uint32" }\n[commands.start]'  # fmt: skip
    with pytest.raises(catalog.MapError, match=r"map/fingerprint: the fingerprint is served at drive/fingerprint"):
        _load(tmp_path, DRIVE.replace("[commands.start]", points))


def test_a_page_of_the_only_document_needs_no_id(tmp_path):
    text = DRIVE[: DRIVE.index("[[sources]]")] + DRIVE[DRIVE.index("[[sources]]\ntitle") :]
    drive = _load(tmp_path, text.replace('source = "manual"\n', ""))
    assert (drive.register("drive/speed").source, drive.register("drive/speed").page) == ("", "12")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_can_be_described(tmp_path, name):
    drive = _load(tmp_path, DRIVE.replace("commands.stop", f"commands.{name}") if name != "start" else DRIVE)
    assert name in [command.name for command in drive.commands]


@pytest.mark.parametrize(("change", "is_other"), [
    (("\nvalue = 1\n", "\nvalue = 2\n"), True), (("pulse_ms = 200", "pulse_ms = 300"), True),
    (('write = "drive/run"', 'write = "drive/beat"'), True), (("period_ms = 1000\n", "period_ms = 2000\n"), True),
    (('type = "bcd32"', 'type = "uint32"'), True), (("timeout_s = 4", "timeout_s = 5"), False),
    (("max_rate = 50", "max_rate = 60"), False), (("baud = 9600", "baud = 19200"), False),
    (("0x0A40]", "0x0A60]"), False), (("repeatable = true\n", ""), False),
])  # fmt: skip
def test_the_fingerprint_covers_what_is_read_and_what_is_written(tmp_path, change, is_other):
    text = DRIVE[: DRIVE.index("[standby]")].replace('point = "drive/beat"', 'point = "drive/count"')
    text = text.replace('type = "bcd32", ', 'type = "bcd32", access = "rw", ')
    assert change[0] in text
    assert (_load(tmp_path, text).fingerprint != _load(tmp_path, text.replace(*change)).fingerprint) is is_other


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 200), _VALUES)
def test_any_value_of_a_map_may_be_anything(tmp_path_factory, line, value):
    lines = DRIVE.splitlines()
    line %= len(lines)
    lines[line] = re.sub(r"= .*", lambda _: f"= {value}", lines[line]) if "=" in lines[line] else f"x = {value}"
    _mutant(tmp_path_factory, "\n".join(lines).encode())


ORDERS = """\
map = { id = "orders", version = "1", title = "Orders", kind = "instrument" }
machine = { manufacturer = "M", model = "N" }
device = { word_order = "%s", byte_order = "%s" }
[groups.all]
period_ms = 1000
defaults = { table = "holding" }
[groups.all.points]
"a/real" = { address = 0, type = "float32" }
"a/whole" = { address = 2, type = "int32" }
"a/digits" = { address = 4, type = "bcd32" }
"a/wide" = { address = 6, type = "int64" }
"""


@pytest.mark.parametrize(("words", "octets", "name", "sent"), [
    # 1.001 and 120000 as the documents print them; the others by the same letters.
    ("big", "big", "", "3F80 20C5 0001 D4C0 1234 5678 FFFF FFFF FFFF FFFE"),
    ("little", "big", "CDAB", "20C5 3F80 D4C0 0001 5678 1234 FFFE FFFF FFFF FFFF"),
    ("big", "little", "BADC", "803F C520 0100 C0D4 3412 7856 FFFF FFFF FFFF FEFF"),
    ("little", "little", "DCBA", "C520 803F C0D4 0100 7856 3412 FEFF FFFF FFFF FFFF"),
], ids=["ABCD", "CDAB", "BADC", "DCBA"])  # fmt: skip
def test_numbers_are_read_in_every_order_of_words_and_bytes(tmp_path, words, octets, name, sent):
    register_map = _load(tmp_path, ORDERS % (words, octets))
    machine = Machine("M1", (register_map,))
    row = Row(len(machine.points), 1)
    (group,) = plan(machine, 0, row)
    group.decode([bytes.fromhex(sent)], 1, 1)
    assert list(row.values) == pytest.approx([1.001, 120_000, 12_345_678, -2], rel=1e-6)
    assert letters(register_map.register("a/real")) == name
    assert letters(register_map.register("a/wide"))[:2] == {"": "", "CDAB": "GH", "BADC": "BA", "DCBA": "HG"}[name]
