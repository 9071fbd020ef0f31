"""A configuration is read whole or refused whole: every fault with file, line, key, reason and how to mend it."""

from pathlib import Path

import pytest

from edgeagent import config
from edgeagent.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]

GOOD = """\
[[machines]]
id = "RO0001"
[[machines.sources]]
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


WRONG = {
    "unknown key with a hint": (GOOD + "prot = 5\n", [
        "agent.toml:6: machines[0].sources[0].prot: unknown key (did you mean port?)"]),
    "unknown table": (GOOD + "[openaps]\n", ["agent.toml:6: openaps: unknown key (did you mean openapps?)"]),
    "wrong type": (GOOD + 'port = "five"\n', ["agent.toml:6: machines[0].sources[0].port: Expected `int`, got `str`"]),
    "out of range": (GOOD + "port = 70000\n", ["agent.toml:6: machines[0].sources[0].port: Expected `int` <= 65535"]),
    "missing key": ('[[machines]]\nid = "A"\n', ["agent.toml:1: machines[0]: missing key `sources`"]),
    "no machine": ("[agent]\n", ["agent.toml: missing key `machines`"]),
    "beyond loopback": (GOOD + '[openapps.http]\nhost = "0.0.0.0"\n', [
        "agent.toml:7: openapps.http.host: 0.0.0.0 may be reached from beyond this computer; until users and TLS exist "
        "only 127.0.0.0/8, ::1 and localhost can be used"]),
    "two machines of one name": (GOOD + GOOD, ["agent.toml:7: machines[1].id: RO0001 is used by machine 1 too"]),
    "a limit upside down": (GOOD + "[machines.window]\npeak = [250, 240]\n", [
        "agent.toml:7: machines[0].window.peak: give a low limit and a higher one"]),
    "a limit that is no number": (GOOD + "[machines.window]\npeak = [nan, 240]\n", [
        "agent.toml:7: machines[0].window.peak: give a low limit and a higher one"]),
    "one port for two": (GOOD + "[openapps.http]\nport = 9000\n[openapps.lines]\nport = 9000\n", [
        "agent.toml:9: openapps.lines.port: 9000 is the port of openapps.http too"]),
    "two sources of one map": (GOOD + '[[machines.sources]]\nmap = "reflow10"\nhost = "a"\n', [
        "agent.toml:7: machines[0].sources[1].map: it describes blower/1/setpoint and 137 more points that another "
        "source has"]),
    "a fast clock without origin": (GOOD + "[simulation]\nspeed = 10\n", [
        "agent.toml:7: simulation.speed: a sped-up clock needs origin beside it, so that time goes on over a restart"]),
    "unknown map": (GOOD.replace("reflow10", "reflow1"), [
        "agent.toml:4: machines[0].sources[0].map: the map reflow1 cannot be used, see below",
        "reflow1: no map of this name comes with the agent (did you mean reflow10?)"]),
    "not TOML": ("[agent\n", ["agent.toml:1: is not TOML: Expected ']' at the end of a table declaration"]),
    "not UTF-8": (b"[agent]\n# \xff\n", ["agent.toml:2: is not UTF-8 (save it as UTF-8)"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_names_line_key_and_reason(tmp_path, case):
    text, expected = WRONG[case]
    assert faults(tmp_path, text) == expected


def test_faults_of_every_kind_are_told_at_once(tmp_path):
    (tmp_path / "m.toml").write_text("[map]\nid = 5\n")
    text = ("[openapps.http]\nprot = 5\nhost = \"0.0.0.0\"\n" + GOOD + GOOD.replace("reflow10", "./m.toml")
            + "[machines.window]\nsoak = [3, 2]\n")
    told = faults(tmp_path, text)
    assert [fault.split(":")[1] for fault in told[:5]] == ["2", "3", "10", "12", "15"]
    assert any("m.toml:2" in fault for fault in told)


def test_all_faults_are_told_at_once(tmp_path):
    text = '[agent]\nstor = "x"\n' + GOOD + 'port = -1\nunit = 300\n[openapps.lines]\nport = "x"\n'
    assert [fault.split(":")[1] for fault in faults(tmp_path, text)] == ["2", "8", "9", "11"]


def test_a_file_that_is_not_there_is_a_fault(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        config.load(tmp_path / "nothing.toml")


def test_the_faults_of_a_map_file_are_told_with_its_own_lines(tmp_path):
    (tmp_path / "oven.toml").write_text("[map]\nid = 5\n")
    told = faults(tmp_path, GOOD.replace('"reflow10"', '"./oven.toml"'))
    assert any("oven.toml:2" in fault for fault in told)
