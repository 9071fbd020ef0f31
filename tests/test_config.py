"""A configuration is read whole or refused whole: every fault with file, line, key, reason and how to mend it."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec import inspect

from edgeagent import config
from edgeagent.config.schema import schema_text
from edgeagent.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]

GOOD = """\
[[machines]]
id = "RO0001"
[[machines.sources]]
kind = "modbus-tcp"
map = "reflow10"
host = "127.0.0.1"
"""


def faults(tmp_path, text: str | bytes) -> list[str]:
    file = tmp_path / "agent.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    return [str(fault).replace(str(file), "agent.toml") for fault in caught.value.faults]


def test_the_shortest_configuration_has_safe_defaults(tmp_path):
    (tmp_path / "agent.toml").write_text(GOOD)
    configuration, maps = config.load(tmp_path / "agent.toml")
    assert configuration.openapps.http.host == configuration.openapps.lines.host == "127.0.0.1"
    assert maps["RO0001"][0].id == "reflow10"


@pytest.mark.parametrize("contact", ["[4, 2]", "[-1, 2]", "[2, inf]"])
def test_a_contact_with_the_waves_has_a_low_limit_and_a_higher_one(tmp_path, contact):
    [fault] = faults(tmp_path, GOOD + f"[machines.tolerances]\ncontact_s = {contact}\n")
    assert fault.endswith("machines[0].tolerances.contact_s: give a low limit and a higher one")


def test_the_commented_example_is_a_configuration_that_loads():
    configuration, _ = config.load(ROOT / "systemd" / "edgeagent.toml")
    assert configuration.machines[0].id == "RO0001"


def example(uncommented: bool) -> dict[str, Any]:
    """The commented example; with everything that is commented out in it."""
    text = (ROOT / "systemd" / "edgeagent.toml").read_text()
    return tomllib.loads(re.sub(r"^# (?=\[|\w+ =)", "", text, flags=re.MULTILINE) if uncommented else text)


def keys(table: type[msgspec.Struct]) -> Iterator[tuple[str, inspect.Field, list[type[msgspec.Struct]]]]:
    """The keys of a table, and the tables that are in them."""
    for field in inspect.type_info(table).fields:
        kinds, within = [field.type], []
        while kinds:
            kind = kinds.pop()
            if isinstance(kind, inspect.StructType):
                within.append(kind.cls)
            kinds += getattr(kind, "types", ()) or [each for name in ("type", "item_type")
                                                    if (each := getattr(kind, name, None)) is not None]
        yield field.encode_name, field, within


def shown(table: type[msgspec.Struct], values: list[dict[str, Any]], where: str) -> Iterator[str]:
    """What the example says wrongly, or does not say, of a table and those in it.

    Args:
        values: the tables of this kind in the example, everything in it uncommented.
    """
    for name, field, within in keys(table):
        given = [value[name] for value in values if name in value]
        if not given:
            yield f"{where}.{name} is not shown"
        if within:
            inner = [each for value in given for each in (value if isinstance(value, list) else [value])]
            for kind in within:
                tag = inspect.type_info(kind).tag
                yield from shown(kind, [each for each in inner if tag in (None, each.get("kind"))], f"{where}.{name}")
        elif field.default not in (inspect.NODEFAULT, None, ()) and field.default not in map(_as_kept, given):
            yield f"{where}.{name} is {field.default!r} where it is left out, not {given}"


def _as_kept(value: Any) -> Any:
    """TOML has lists where a table has tuples."""
    return tuple(value) if isinstance(value, list) else value


def test_the_commented_example_shows_every_key_with_its_default():
    document = example(uncommented=True)
    assert document["agent"].pop("store").startswith("/var/lib/edgeagent/")  # the one place where the service may write
    document["agent"]["store"] = config.AgentTable().store
    assert not list(shown(config.Configuration, [document], "edgeagent.toml"))
    document["lines"][0]["baud"] = 9600
    del document["openapps"]["http"]["origins"]
    assert list(shown(config.Configuration, [document], "edgeagent.toml")) == [
        "edgeagent.toml.lines.baud is 19200 where it is left out, not [9600]",
        "edgeagent.toml.openapps.http.origins is not shown",
    ]  # fmt: skip


def test_every_key_is_described():
    tables = json.loads(schema_text())
    for name, table in (*tables["$defs"].items(), ("the whole file", tables)):
        assert table["description"], name
        for key, value in table["properties"].items():
            assert key == "kind" or "$ref" in value or value.get("description"), f"{name}: {key}"


def test_the_published_schema_is_that_of_the_tables():
    published = (ROOT / "docs" / "edgeagent.schema.json").read_text()
    assert published == schema_text(), "edgeagent schema > docs/edgeagent.schema.json"


def test_the_schema_is_one_and_takes_the_example():
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for uncommented in (False, True):
        document = json.loads(json.dumps(example(uncommented), default=str))
        jsonschema.validate(document, schema)


BY_ITS_TYPE = (
    "unknown key with a hint", "unknown table", "wrong type", "out of range", "missing key", "no machine",
    "a kind that is none", "a name with a blank", "one source that is none beside one with a fault", "a limit of words",
    "a list that is none", "a table that is none", "a fraction for a whole number", "a truth that is none",
    "a limit of three", "no sources", "a name of a wrong kind", "an address on a line that is none",
)  # fmt: skip


@pytest.mark.parametrize("case", BY_ITS_TYPE)
def test_the_schema_refuses_what_the_agent_refuses_by_its_type(case):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(WRONG[case][0]), json.loads(schema_text()))


SECRET = 'secrets are never written in this file (name its place: "file:PATH" or "credential:NAME")'
WRONG = {
    "unknown key with a hint": (GOOD + "prot = 5\n", [
        "agent.toml:7: machines[0].sources[0].prot: unknown key (did you mean port?)"]),
    "unknown table": (GOOD + "[openaps]\n", ["agent.toml:7: openaps: unknown key (did you mean openapps?)"]),
    "wrong type": (GOOD + 'port = "five"\n', ["agent.toml:7: machines[0].sources[0].port: Expected `int`, got `str`"]),
    "out of range": (GOOD + "port = 70000\n", ["agent.toml:7: machines[0].sources[0].port: Expected `int` <= 65535"]),
    "missing key": ('[[machines]]\nid = "A"\n', ["agent.toml:1: machines[0]: missing key `sources`"]),
    "no machine": ("[agent]\n", ["agent.toml: missing key `machines`"]),
    "beyond loopback": (GOOD + '[openapps.http]\nhost = "0.0.0.0"\n', [
        "agent.toml:8: openapps.http.host: 0.0.0.0 may be reached from beyond this computer; say tls = true, or listen "
        "at 127.0.0.1"]),
    "TLS without its files": (GOOD + "[openapps.lines]\ntls = true\n", [
        "agent.toml:8: openapps.lines.tls: TLS needs a table [tls] with certificate and key"]),
    "anybody from beyond loopback": (
        GOOD + '[openapps.http]\nhost = "::"\ntls = true\nanonymous = "viewer"\n'
        '[tls]\ncertificate = "a.pem"\nkey = "file:a.key"\n', [
            "agent.toml:10: openapps.http.anonymous: beyond this computer everybody must say who it is; take it out"]),
    "more than a viewer without a name": (GOOD + '[openapps.http]\nanonymous = "operator"\n', [
        "agent.toml:8: openapps.http.anonymous: Invalid enum value 'operator' (give one of none, viewer)"]),
    "client certificates without a CA": (
        GOOD + '[tls]\ncertificate = "a.pem"\nkey = "file:a.key"\nrequire_client_certificate = true\n', [
            "agent.toml:10: tls.require_client_certificate: nobody can have such a certificate without client_ca"]),
    "a key in the file": (GOOD + '[tls]\ncertificate = "a.pem"\nkey = "MIIEvQ"\n', [
        "agent.toml:7: tls: missing key `key`", f"agent.toml:9: tls.key: {SECRET}"]),
    "two machines of one name": (GOOD + GOOD, ["agent.toml:8: machines[1].id: RO0001 is used by machine 1 too"]),
    "two machines of one name with other sources": (
        GOOD + GOOD + """[[machines.sources]]
kind = "modbus-tcp"
map = "eurotherm2000"
host = "a"
""", ["agent.toml:8: machines[1].id: RO0001 is used by machine 1 too"]),
    "machines without a name": (
        GOOD.replace('id = "RO0001"', "") + GOOD.replace('id = "RO0001"', "") + """[[machines.sources]]
kind = "modbus-tcp"
map = "eurotherm2000"
host = "a"
""", ["agent.toml:1: machines[0]: missing key `id`", "agent.toml:7: machines[1]: missing key `id`"]),
    "a kind that is none": (GOOD.replace("modbus-tcp", "modbus-tpc"), [
        "agent.toml:4: machines[0].sources[0].kind: Invalid value 'modbus-tpc'"
        " (give one of modbus-tcp, modbus-rtu, serial-instrument)"]),
    "a name with a blank": (GOOD.replace("RO0001", "RO 1"), [
        "agent.toml:2: machines[0].id: Expected `str` matching regex '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'"
        " (how the MES names the machine: letters, digits, . _ -)"]),
    "one source that is none beside one with a fault": (
        '[[machines]]\nid = "A"\nsources = [1, { kind = "modbus-tcp", map = "reflow10", host = 5 }]\n', [
            "agent.toml:3: machines[0].sources[0]: Expected `object`, got `int`",
            "agent.toml:3: machines[0].sources[1].host: Expected `str`, got `int` (name or address of the device)"]),
    "a limit of words": (GOOD + '[machines.window]\npeak = [1, "two"]\n', [
        "agent.toml:8: machines[0].window.peak[1]: Expected `float`, got `str`"]),
    "a limit upside down": (GOOD + "[machines.window]\npeak = [250, 240]\n", [
        "agent.toml:8: machines[0].window.peak: give a low limit and a higher one"]),
    "a limit that is no number": (GOOD + "[machines.window]\npeak = [nan, 240]\n", [
        "agent.toml:8: machines[0].window.peak: give a low limit and a higher one"]),
    "one port for two": (GOOD + "[openapps.http]\nport = 9000\n[openapps.lines]\nport = 9000\n", [
        "agent.toml:10: openapps.lines.port: 9000 is the port of openapps.http too"]),
    "two sources of one map": (GOOD + '[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\nhost = "a"\n', [
        "agent.toml:9: machines[0].sources[1].map: it describes air/lostLatched and 156 more points that another "
        "source has"]),
    "a fast clock without origin": (GOOD + "[simulation]\nspeed = 10\n", [
        "agent.toml:8: simulation.speed: a sped-up clock needs origin beside it, so that time goes on over a restart"]),
    "unknown map": (GOOD.replace("reflow10", "reflow100"), [
        "agent.toml:5: machines[0].sources[0].map: the map reflow100 cannot be used, see below",
        "reflow100: no map of this name comes with the agent (did you mean reflow10?)"]),
    "a list that is none": (GOOD + "[openapps.http]\norigins = 5\n", [
        "agent.toml:8: openapps.http.origins: Expected `array`, got `int`"]),
    "a table that is none": (GOOD + "[openapps]\nhttp = 5\n", [
        "agent.toml:8: openapps.http: Expected `object`, got `int`"]),
    "a fraction for a whole number": (GOOD + "port = 1.5\n", [
        "agent.toml:7: machines[0].sources[0].port: Expected `int`, got `float`"]),
    "a truth that is none": (GOOD + '[openapps.lines]\nenabled = "no"\n', [
        "agent.toml:8: openapps.lines.enabled: Expected `bool`, got `str`"]),
    "a limit of three": (GOOD + "[machines.window]\npeak = [1, 2, 3]\n", [
        "agent.toml:8: machines[0].window.peak: Expected `array` of length 2, got 3"]),
    "no sources": ('[[machines]]\nid = "A"\nsources = []\n', [
        "agent.toml:3: machines[0].sources: Expected `array` of length >= 1"]),
    "a time that is none": (GOOD + '[simulation]\norigin = "noon"\n', [
        "agent.toml:8: simulation.origin: Invalid RFC3339 encoded datetime"]),
    "a name of a wrong kind": (GOOD + "rename = { a = 5 }\n", [
        "agent.toml:7: machines[0].sources[0].rename: Expected `str`, got `int`"]),
    "an address on a line that is none": (
        '[[machines]]\nid = "A"\n[[machines.sources]]\nkind = "serial-instrument"\nmap = "oxygen-rapidox1100"\n'
        "line = 'b'\naddress = 1000\n[[lines]]\nid = 'b'\nport = '/dev/b'\nmaster = true\n", [
            "agent.toml:7: machines[0].sources[0].address: Expected `int` <= 999"]),
    "a key given twice": ("a = 1\na = 2\n", ["agent.toml:2: is not TOML: Cannot overwrite a value"]),
    "a heartbeat to everybody": (GOOD.replace("reflow10", "eurotherm2000") + "unit = 0\nheartbeat = true\n", [
        "agent.toml:8: machines[0].sources[0].heartbeat: the map eurotherm2000 has no [heartbeat]; leave it out",
        "agent.toml:8: machines[0].sources[0].heartbeat: nothing is written to unit 0, which is everybody; give the"
        " device's unit"]),
    "secrets wherever they are": (
        GOOD + 'password = "hunter2"\n[mes]\nhost = "a"\napi-key = "hunter2"\n[[openapps.push]]\nToken = "hunter2"\n', [
            f"agent.toml:{line}: {key}: {reason}" for line, key, reason in (
                (7, "machines[0].sources[0].password", SECRET), (8, "mes", "unknown key (take it out)"),
                (10, "mes.api-key", SECRET), (11, "openapps.push[0]", "missing key `name`"),
                (11, "openapps.push[0]", "missing key `url`"), (12, "openapps.push[0].Token", SECRET))]),
    "not TOML": ("[agent\n", ["agent.toml:1: is not TOML: Expected ']' at the end of a table declaration"]),
    "not UTF-8": (b"[agent]\n# \xff\n", ["agent.toml:2: is not UTF-8 (save it as UTF-8)"]),
}  # fmt: skip


PUSHED = {
    "in the clear": ('url = "http://mes.factory/events"', [
        "9: openapps.push[0].url: events go over the network in the clear; write https, or say in_the_clear = true"]),
    "in the clear, and meant so": ('url = "http://mes.factory/events"\nin_the_clear = true', []),
    "a token in the clear": ('url = "http://10.1.2.3/"\nin_the_clear = true\ntoken = "file:t"', [
        "11: openapps.push[0].token: a token never goes over the network in the clear; write the url with https"]),
    "a token on this computer": ('url = "http://localhost:80/"\ntoken = "file:t"', []),
    "TLS and in the clear": ('url = "https://mes/"\nin_the_clear = true', [
        "10: openapps.push[0].in_the_clear: https is never in the clear; leave it out"]),
    "keys without TLS": ('url = "http://[::1]/"\nca = "ca.pem"', [
        "10: openapps.push[0].ca: is of TLS, which http does not speak; write the url with https"]),
    "a certificate without its key": ('url = "https://mes/"\ncertificate = "c.pem"', [
        "10: openapps.push[0].certificate: needs key beside it"]),
    "a key without its certificate": ('url = "https://mes/"\nkey = "credential:k"', [
        "10: openapps.push[0].key: needs certificate beside it"]),
    "a key written out": ('url = "https://mes/"\nkey = "hunter2"\ncertificate = "c"', [
        f"10: openapps.push[0].key: {SECRET}", "11: openapps.push[0].certificate: needs key beside it"]),
    "a password in the url": ('url = "https://me:hunter2@mes/"', [
        "9: openapps.push[0].url: who asks has no place in it; name the file of a token with token"]),
    "a token in the url": ('url = "https://mes/?line=3&api_key=hunter2"', [
        "9: openapps.push[0].url: secrets are never written in this file; name the file of a token with token"]),
    "another name twice": ('url = "https://mes/"\n[[openapps.push]]\nname = "mes"\nurl = "https://mes/"', [
        "11: openapps.push[1].name: mes is another target's name already"]),
    "a machine that there is not": ('url = "https://mes/"\nmachines = ["RO0001", "RO0002"]', [
        "10: openapps.push[0].machines: there is no machine RO0002"]),
    **{f"no address: {url}": (f'url = "{url}"', [
        "9: openapps.push[0].url: is no address; write it like https://mes.factory/events"])
       for url in ("mes", "ftp://mes/", "https://", "https:///x", "https://mes:99999/", "https://mes:0/",
                   "https://mes/ x", "https://m\u00e9s/", "https://mes/#x", "http://[::1/")},
}  # fmt: skip


@pytest.mark.parametrize("case", PUSHED)
def test_the_way_to_an_mes_is_checked(tmp_path, case):
    text, expected = PUSHED[case]
    file = tmp_path / "agent.toml"
    file.write_text(f'{GOOD}[[openapps.push]]\nname = "mes"\n{text}\n')
    try:
        config.load(file)
        told = []
    except ConfigError as error:
        told = str(error).replace(f"{file}:", "").splitlines()
    assert told == expected
    assert "hunter2" not in str(told)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_names_line_key_and_reason(tmp_path, case):
    text, expected = WRONG[case]
    assert faults(tmp_path, text) == expected


def test_faults_of_every_kind_are_told_at_once(tmp_path):
    (tmp_path / "m.toml").write_text("[map]\nid = 5\n")
    text = ("[openapps.http]\nprot = 5\nhost = \"0.0.0.0\"\n" + GOOD + GOOD.replace("reflow10", "./m.toml")
            + "[machines.window]\nsoak = [3, 2]\n")
    told = faults(tmp_path, text)
    assert [fault.split(":")[1] for fault in told[:5]] == ["2", "3", "11", "14", "17"]
    assert any("m.toml:2" in fault for fault in told)


def test_all_faults_are_told_at_once(tmp_path):
    text = '[agent]\nstor = "x"\n' + GOOD + 'port = -1\nunit = 300\n[openapps.lines]\nport = "x"\n'
    assert [fault.split(":")[1] for fault in faults(tmp_path, text)] == ["2", "9", "10", "12"]


def test_a_file_that_is_not_there_is_a_fault(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        config.load(tmp_path / "nothing.toml")


def test_the_faults_of_a_map_file_are_told_with_its_own_lines(tmp_path):
    (tmp_path / "oven.toml").write_text("[map]\nid = 5\n")
    told = faults(tmp_path, GOOD.replace('"reflow10"', '"./oven.toml"'))
    assert any("oven.toml:2" in fault for fault in told)


BUS = """\
[[lines]]
id = "bus"
port = "/dev/serial/by-id/adapter"
baud = 9600
[[machines]]
id = "RO0001"
[[machines.sources]]
kind = "modbus-rtu"
map = "reflow10"
line = "bus"
"""

WRONG_ON_LINES = {
    "no such line": (BUS.replace('line = "bus"', 'line = "bsu"'), [
        "agent.toml:2: lines[0].id: no source is on line bus; take it out, or name it in a source",
        "agent.toml:10: machines[0].sources[0].line: there is no line bsu; add it as [[lines]]"]),
    "two lines of one port": (BUS + BUS[:BUS.index("[[machines")].replace('"bus"', '"other"'), [
        "agent.toml:12: lines[1].id: no source is on line other; take it out, or name it in a source",
        "agent.toml:13: lines[1].port: /dev/serial/by-id/adapter is another line's port already"]),
    "one unit twice": (BUS + BUS[BUS.index("[[machines"):].replace("RO0001", "RO0002"), [
        "agent.toml:13: machines[1].sources[0].unit: unit 1 is another source of line bus already"]),
    "a unit that no line has": (BUS + "unit = 248\n", [
        "agent.toml:11: machines[0].sources[0].unit: Expected `int` <= 247"]),
    "keys of another kind": (BUS + 'host = "oven"\n', ["agent.toml:11: machines[0].sources[0].host: unknown key"
                                                       " (take it out)"]),
    "no kind": (BUS.replace('kind = "modbus-rtu"\n', ""), [
        "agent.toml:7: machines[0].sources[0]: missing key `kind` (give one of modbus-tcp, modbus-rtu,"
        " serial-instrument)"]),
    "unknown kind": (BUS.replace('"modbus-rtu"', '"modbus-ascii"'), [
        "agent.toml:8: machines[0].sources[0].kind: Invalid value 'modbus-ascii'"
        " (give one of modbus-tcp, modbus-rtu, serial-instrument)"]),
    "a parity that is none": (BUS.replace("baud = 9600", 'parity = "mark"'), [
        "agent.toml:4: lines[0].parity: Invalid enum value 'mark' (give one of even, none, odd)"]),
    "a heartbeat that nobody wants, on a line of another master": (
        BUS.replace("reflow10", "eurotherm2000") + "heartbeat = true\n", [
            "agent.toml:11: machines[0].sources[0].heartbeat: the map eurotherm2000 has no [heartbeat]; leave it out",
            "agent.toml:11: machines[0].sources[0].heartbeat: nothing is written on line bus, where another master"
            " asks; leave it out"]),
}


INSTRUMENT = """\
[[lines]]
id = "bus"
port = "/dev/serial/by-id/adapter"
baud = 9600
data_bits = 7
master = true
[[machines]]
id = "RO0001"
[[machines.sources]]
kind = "modbus-tcp"
map = "reflow10"
host = "127.0.0.1"
[[machines.sources]]
kind = "serial-instrument"
map = "eurotherm2000-bisynch"
line = "bus"
"""

WRONG_ON_LINES |= {
    "an instrument on a line of another master": (INSTRUMENT.replace("master = true\n", ""), [
        "agent.toml:15: machines[0].sources[1].line: it must be asked; say master = true of line bus if no other master"
        " is there"]),
    "text asked over Modbus": (INSTRUMENT.replace("serial-instrument", "modbus-rtu"), [
        "agent.toml:15: machines[0].sources[1].map: eurotherm2000-bisynch speaks text, not Modbus; use kind ="
        ' "serial-instrument"']),
    "Modbus asked in text": (BUS.replace("modbus-rtu", "serial-instrument"), [
        'agent.toml:9: machines[0].sources[0].map: reflow10 speaks Modbus, not text; use kind = "modbus-rtu"']),
    "Modbus over seven bits": (BUS.replace("baud = 9600", "data_bits = 7"), [
        "agent.toml:10: machines[0].sources[0].line: Modbus RTU has data_bits = 8"]),
    "an address beyond the protocol's": (INSTRUMENT + "address = 100\n", [
        "agent.toml:17: machines[0].sources[1].address: EI-Bisynch has the addresses 1 to 99"]),
    "one address twice": (INSTRUMENT + """[[machines.sources]]
kind = "serial-instrument"
map = "eurotherm2000-bisynch"
line = "bus"
rename = { "controller/1" = "controller/2" }
""", ["agent.toml:17: machines[0].sources[2].address: address 1 is another source of line bus already"]),
    "a talker that is not alone": (INSTRUMENT + """[[machines.sources]]
kind = "serial-instrument"
map = "oxygen-luminox"
line = "bus"
address = 2
""", ["agent.toml:20: machines[0].sources[2].line: it talks by itself and cannot share line bus with another source"]),
    "nine bits": (INSTRUMENT.replace("data_bits = 7", "data_bits = 9"), [
        "agent.toml:5: lines[0].data_bits: Invalid enum value 9 (give one of 7, 8)"]),
}


@pytest.mark.parametrize("case", WRONG_ON_LINES)
def test_a_wrong_line_is_refused_with_line_key_and_reason(tmp_path, case):
    text, expected = WRONG_ON_LINES[case]
    assert faults(tmp_path, text) == expected


def test_units_of_several_machines_may_share_a_line(tmp_path):
    text = BUS + BUS[BUS.index("[[machines"):].replace("RO0001", "RO0002") + "unit = 2\n"
    (tmp_path / "agent.toml").write_text(text)
    configuration, _ = config.load(tmp_path / "agent.toml")
    assert [machine.sources[0].unit for machine in configuration.machines] == [None, 2]
    assert not configuration.lines[0].master, "nothing is sent unless it is asked for"


def test_instruments_of_one_kind_are_told_apart_by_other_names(tmp_path):
    (tmp_path / "probe.toml").write_text((ROOT / "tests" / "journeys" / "instrument.toml").read_text())
    probe = '[[machines.sources]]\nkind = "modbus-tcp"\nmap = "./probe.toml"\nhost = "a"\n'
    text = GOOD + probe + probe + 'rename = { "analyser/1" = "analyser/2" }\n'
    (tmp_path / "agent.toml").write_text(text)
    _, maps = config.load(tmp_path / "agent.toml")
    assert [m.registers[0].path for m in maps["RO0001"][1:]] == ["analyser/1/oxygen", "analyser/2/oxygen"]
    assert maps["RO0001"][1].fingerprint == maps["RO0001"][2].fingerprint
    assert faults(tmp_path, text.replace('"analyser/1" =', '"analyzer/1" =')) == [
        "agent.toml:15: machines[0].sources[2].rename: analyser has no object analyzer/1; it has analyser/1"]
    assert faults(tmp_path, GOOD + 'rename = { "zone/1/top" = "zone/20/top" }\n') == [
        "agent.toml:7: machines[0].sources[0].rename: reflow10 describes a reflow machine; only an instrument is"
        " renamed"]


def test_a_line_that_is_too_slow_for_all_its_units_is_refused_with_the_arithmetic(tmp_path):
    unit = BUS[BUS.index("[[machines.sources"):].replace("reflow10", "./probe.toml")
    (tmp_path / "probe.toml").write_text(
        (ROOT / "tests" / "journeys" / "instrument.toml").read_text() + "[device]\nlatency_ms = 5\n")
    names = [f'unit = {n}\nrename = {{ "analyser/1" = "analyser/{n}" }}\n' for n in range(1, 9)]
    text = BUS[:BUS.index("[[machines.sources")] + "".join(unit + name for name in names)
    asked = text.replace("baud = 9600", "baud = 9600\nmaster = true")
    [fault] = faults(tmp_path, asked.replace("9600", "1200"))
    assert fault.startswith("agent.toml:4: lines[0].baud: the units on line bus need ")
    assert "at 1200 baud" in fault
    assert "characters asked" in fault
    (tmp_path / "agent.toml").write_text(asked.replace("9600", "115200"))
    config.load(tmp_path / "agent.toml")
    (tmp_path / "agent.toml").write_text(text.replace("9600", "1200"))
    config.load(tmp_path / "agent.toml")


def test_instruments_on_one_line_are_told_apart_by_address_and_other_names(tmp_path):
    (tmp_path / "agent.toml").write_text(INSTRUMENT + """address = 7
[[machines.sources]]
kind = "serial-instrument"
map = "oxygen-rapidox1100"
line = "bus"
address = "A"
""")
    configuration, maps = config.load(tmp_path / "agent.toml")
    _, bisynch, text = zip(configuration.machines[0].sources, maps["RO0001"], strict=True)
    assert [config.address_of(*source) for source in (bisynch, text)] == [7, "A"]
    assert config.place_of(*bisynch) == "serial-instrument line bus address 7"


def test_an_instrument_that_talks_by_itself_needs_no_master(tmp_path):
    (tmp_path / "agent.toml").write_text(INSTRUMENT.replace("master = true\n", "")
                                         .replace("eurotherm2000-bisynch", "oxygen-luminox"))
    _, maps = config.load(tmp_path / "agent.toml")
    assert maps["RO0001"][1].instrument.streams
