import copy
import json
import re
import tomllib
from pathlib import Path

import pytest

from firmware_iface import catalog, map_keys
from firmware_iface.schema import schema_text

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [Path(catalog.__file__).parent / "maps" / f"{name}.toml" for name in catalog.builtin_names()]
SCHEMA = json.loads(schema_text())

TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
}  # fmt: skip
SILENT = {"$schema", "$id", "title", "description", "default", "then"}


def faults(schema, value, where="$"):
    """Where a value breaks a schema, of the keywords that ours uses; any other keyword is an error."""
    for keyword, wanted in schema.items():
        if keyword not in SILENT:
            yield from CHECKS[keyword](schema, wanted, value, where)


def check_type(schema, wanted, value, where):
    if not isinstance(value, TYPES[wanted]) or (isinstance(value, bool) and wanted != "boolean"):
        yield f"{where}: not a {wanted}"


def check_properties(schema, wanted, value, where):
    for name in wanted.keys() & value.keys() if isinstance(value, dict) else ():
        yield from faults(wanted[name], value[name], f"{where}.{name}")


def check_others(schema, wanted, value, where):
    for name in value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else ():
        if wanted is False:
            yield f"{where}.{name}: not a key"
        else:
            yield from faults(wanted, value[name], f"{where}.{name}")


def check_names(schema, wanted, value, where):
    for name in value if isinstance(value, dict) else ():
        yield from faults(wanted, name, f"{where}.{name}")


def check_items(schema, wanted, value, where):
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from faults(wanted, item, f"{where}[{index}]")


def check_all(schema, wanted, value, where):
    for each in wanted:
        yield from faults(each, value, where)


def check_any(schema, wanted, value, where):
    if all(list(faults(each, value)) for each in wanted):
        yield f"{where}: {value!r} is none of {len(wanted)}"


def check_if(schema, wanted, value, where):
    if not list(faults(wanted, value)):
        yield from faults(schema["then"], value, where)


def simple(kinds, is_wrong):
    def check(schema, wanted, value, where):
        if isinstance(value, kinds) and not isinstance(value, bool) and is_wrong(wanted, value):
            yield f"{where}: {wanted} is broken by {value!r}"

    return check


CHECKS = {
    "type": check_type, "properties": check_properties, "additionalProperties": check_others,
    "propertyNames": check_names, "items": check_items, "allOf": check_all, "anyOf": check_any, "if": check_if,
    "minProperties": simple(dict, lambda least, value: len(value) < least),
    "maxProperties": simple(dict, lambda most, value: len(value) > most),
    "required": simple(dict, lambda names, value: set(names) - value.keys()),
    "not": simple(object, lambda schema, value: not list(faults(schema, value))),
    "enum": simple(object, lambda choices, value: value not in choices),
    "pattern": simple(str, lambda pattern, value: not re.search(pattern, value)),
    "maxLength": simple(str, lambda most, value: len(value) > most),
    "minItems": simple(list, lambda least, value: len(value) < least),
    "maxItems": simple(list, lambda most, value: len(value) > most),
    "minimum": simple((int, float), lambda low, value: value < low),
    "maximum": simple((int, float), lambda high, value: value > high),
}  # fmt: skip


def toml_of(value):
    """A TOML text that reads as the value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {toml_of(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def written(document):
    return "\n".join(f"{name} = {toml_of(value)}" for name, value in document.items())


def test_the_published_schema_is_the_one_of_this_language():
    published = (ROOT / "docs" / "register-map.schema.json").read_text()
    assert published == schema_text(), "edgeagent firmware schema > docs/register-map.schema.json"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_maps_that_come_with_the_agent_are_valid(path):
    assert not list(faults(SCHEMA, tomllib.loads(path.read_text())))


def test_every_key_of_the_language_is_described_with_its_default():
    device = SCHEMA["properties"]["device"]["properties"]
    assert set(device) == {key.name for key in map_keys.DEVICE}
    assert device["timeout_ms"] == {
        "description": "longest wait for an answer", "type": "integer", "minimum": 10, "maximum": 60000, "default": 500
    }  # fmt: skip


SPOILED = {
    "a missing table": lambda m: m.pop("machine"),
    "an unknown table": lambda m: m.update(sensors={}),
    "an unknown key of a point": lambda m: m["groups"]["g"]["points"]["a/b"].update(adress=1),
    "an unknown key of the device": lambda m: m["device"].update(units=1),
    "a missing title": lambda m: m["map"].pop("title"),
    "a name with a blank": lambda m: m["map"].update(id="a b"),
    "a kind that there is not": lambda m: m["map"].update(kind="oven"),
    "a number for a text": lambda m: m["map"].update(version=1),
    "a text that is too long": lambda m: m["map"].update(note="x" * 501),
    "a unit above its limit": lambda m: m["device"].update(unit=256),
    "a unit below its limit": lambda m: m["device"].update(unit=-1),
    "a fraction for a whole number": lambda m: m["device"].update(unit=1.5),
    "a truth for a number": lambda m: m["device"].update(unit=True),
    "a text for a truth": lambda m: m["alarms"]["E1"].update(remote_reset="yes"),
    "a point without an address": lambda m: m["groups"]["g"]["points"]["a/b"].pop("address"),
    "a point without a table": lambda m: m["groups"]["g"]["defaults"].pop("table"),
    "a path that is none": lambda m: m["groups"]["g"]["points"].update({"A b": {"address": 9}}),
    "a type that there is not": lambda m: m["groups"]["g"]["defaults"].update(type="int24"),
    "a range of three": lambda m: m["groups"]["g"]["points"]["a/b"].update(range=[1, 2, 3]),
    "a range that is none": lambda m: m["groups"]["g"]["points"]["a/b"].update(range=5),
    "a sentinel below zero": lambda m: m["groups"]["g"]["points"]["a/b"].update(not_available=[-1]),
    "a group without a period": lambda m: m["groups"]["g"].pop("period_ms"),
    "an alarm without a condition": lambda m: m["alarms"]["E1"].update(when=[]),
    "a condition that cannot be read": lambda m: m["alarms"]["E1"].update(when=["a/b is high"]),
    "a code with a blank": lambda m: m["alarms"].update({"E 1": m["alarms"]["E1"]}),
    "a zone without a number": lambda m: m["zones"].update(first=m["zones"]["1"]),
    "a zone without a place": lambda m: m["zones"]["1"].pop("start_mm"),
    "a zone of no kind": lambda m: m["zones"]["1"].update(kind="warm"),
    "a state that there is not": lambda m: m["states"][0].update(state="happy"),
    "a pace of nothing": lambda m: m["groups"]["g"]["points"]["a/b"].update(max_rate=0),
    "a source with a blank in its id": lambda m: m["sources"][0].update(id="a manual"),
    "a version that is none": lambda m: m["machine"].update(firmware_from="V3"),
    "more connections than are": lambda m: m["device"].update(connections=33),
    "a line without a speed": lambda m: m["line"].pop("baud"),
    "a line of unknown parity": lambda m: m["line"].update(parity="mark"),
    "a line of three stop bits": lambda m: m["line"].update(stop_bits=3),
    "an identity of no point": lambda m: m["identity"][0].pop("point"),
    "an identity that equals a truth": lambda m: m["identity"][0].update(equals=True),
    "an identity that equals no number": lambda m: m["identity"][0].update(equals=[]),
    "an identity that equals a list of texts": lambda m: m["identity"][0].update(equals=["x"]),
    "a mask of nothing": lambda m: m["identity"][0].update(mask=0),
    "a command that there is not": lambda m: m["commands"].update(explode=m["commands"]["start"]),
    "a command without a value": lambda m: m["commands"]["start"].pop("value"),
    "a command that nobody would know of": lambda m: m["commands"]["start"].update(confirm=[]),
    "a command of unknown style": lambda m: m["commands"]["start"].update(style="edge"),
    "a pulse that is too short": lambda m: m["commands"]["start"].update(style="pulse", pulse_ms=1),
    "a heartbeat without a period": lambda m: m["heartbeat"].pop("period_ms"),
    "a heartbeat of unknown style": lambda m: m["heartbeat"].update(style="sine"),
    "a standby of nothing": lambda m: m["standby"].update(setpoints={}),
    "a standby of a text": lambda m: m["standby"]["setpoints"].update({"a/set": "low"}),
    "a standby of what is no path": lambda m: m["standby"]["setpoints"].update(low=1),
    "a source of unknown status": lambda m: m["sources"][0].update(status="heard"),
}

RIGHT = tomllib.loads("""
map = { id = "t", version = "1", title = "T", kind = "instrument" }
sources = [{ id = "manual", title = "A manual", page = "3", status = "official" }]
machine = { manufacturer = "M", model = "N", firmware = "a/c", firmware_from = "3.04", firmware_to = "3" }
device = { unit = 3, latency_ms = 10 }
line = { baud = 19200 }
identity = [{ point = "a/d", equals = [1, 2] }, { point = "a/c", equals = "OVEN" }, { point = "a/d", low = 1 }]
commands = { start = { write = "a/go", value = 1, confirm = ["a/d > 1"] } }
heartbeat = { point = "a/beat", period_ms = 1000 }
standby = { setpoints = { "a/set" = 20 } }
states = [{ state = "ready", when = [" a/b - a/d > 1.5 "] }]
[groups.g]
period_ms = 100
defaults = { table = "input", type = "int16", unit = "degC" }
[groups.g.points]
"a/b" = { address = 1, range = [0, 400], not_available = [0x7FFF], max_rate = 2.5, source = "manual", page = "4" }
"a/go" = { table = "coil", address = 1, type = "bit", access = "rw" }
"a/beat" = { table = "coil", address = 2, type = "bit", access = "rw" }
"a/set" = { table = "holding", address = 1, access = "rw", range = [0, 300] }
"a/c" = { address = 2, type = "text", length = 2 }
"a/d" = { address = 4 }
[zones.1]
kind = "heated"
start_mm = 800
length_mm = 300
temperatures = ["a/b"]
[alarms.E1]
text = "too hot"
severity = "fault"
object = "a"
when = ["a/b > 300"]
""")


def test_a_map_whose_points_share_their_keys_is_valid():
    assert not list(faults(SCHEMA, RIGHT))


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_what_the_schema_refuses_the_agent_refuses_too(spoil, tmp_path):
    wrong = copy.deepcopy(RIGHT)
    spoil(wrong)
    assert list(faults(SCHEMA, wrong))
    path = tmp_path / "wrong.toml"
    path.write_text(written(wrong))
    with pytest.raises(catalog.MapError):
        catalog.load(path)


def test_the_map_that_is_spoiled_is_right_before(tmp_path):
    path = tmp_path / "right.toml"
    path.write_text(written(RIGHT))
    assert catalog.load(path).sources[0].page == "3"
