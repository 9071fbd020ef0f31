"""The guide to the map language shows a map that loads, and numbers that are right."""

import re
import struct
import tomllib
from pathlib import Path

import pytest

from firmware_iface import catalog, map_keys
from firmware_iface.commands import Power

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "register-maps.md").read_text()


def test_the_map_of_the_guide_is_a_map(tmp_path):
    path = tmp_path / "dryer.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", GUIDE, re.S)[1])
    dryer = catalog.load(path)
    assert dryer.register("dryer/temperature").address == 0
    assert [command.name for command in dryer.commands] == ["powerOn"]


def test_what_the_guide_adds_to_its_map_is_taken_too(tmp_path):
    whole, _, _, more = re.findall(r"```toml\n(.*?)```", GUIDE, re.S)
    beat = '"dryer/beat" = { address = 8, type = "uint16", access = "rw" }\n\n[groups.once]'
    path = tmp_path / "dryer.toml"
    path.write_text(whole.replace("\n[groups.once]", beat, 1) + more)
    dryer = catalog.load(path)
    assert (dryer.bad[0].points, dryer.watchdog.point) == (("dryer/temperature",), "dryer/hours")
    assert (dryer.heartbeat.point, dryer.standby.setpoints) == ("dryer/beat", {"dryer/command": 0})


def test_the_power_of_the_guide_is_that_of_a_map_with_its_commands(tmp_path):
    whole, power, *_ = re.findall(r"```toml\n(.*?)```", GUIDE, re.S)
    horn = '"machine/horn" = { address = 8, type = "bit", bit = 0, access = "rw" }\n\n[groups.once]'
    off = '[commands.powerOff]\nwrite = "dryer/command"\nvalue = 2\nconfirm = ["dryer/on == 0"]\n'
    path = tmp_path / "dryer.toml"
    path.write_text(whole.replace("\n[groups.once]", horn, 1) + off + power)
    assert catalog.load(path).power == Power(5.0, "machine/horn", 60.0, False, 3600.0, 14_400.0)


def test_the_machine_of_the_guide_is_written_in_the_keys_of_a_map():
    about = tomllib.loads(re.findall(r"```toml\n(.*?)```", GUIDE, re.S)[2])
    tables = {key.name: {inner.name for inner in key.keys} for key in map_keys.MAP}
    for name, found in about.items():
        for table in found if isinstance(found, list) else found.values():
            assert set(table) <= tables[name], name


@pytest.mark.parametrize("sent", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_the_bytes_of_the_guide_are_sent_in_the_order_that_it_names(sent):
    words, octets, shown = re.search(rf"\| {sent} \| (\w+) \| (\w+) \| `(.*?)` \|", GUIDE).groups()
    plain = struct.pack(">f", 1.001)
    assert bytes.fromhex(shown) == bytes(plain["ABCD".index(letter)] for letter in sent)
    assert (words == "little", octets == "little") == (sent in ("CDAB", "DCBA"), sent in ("BADC", "DCBA"))
