"""The guide to the map language shows a map that loads, and numbers that are right."""

import re
import struct
from pathlib import Path

import pytest

from firmware_iface import catalog

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "register-maps.md").read_text()


def test_the_map_of_the_guide_is_a_map(tmp_path):
    path = tmp_path / "dryer.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", GUIDE, re.S)[1])
    dryer = catalog.load(path)
    assert dryer.register("dryer/temperature").address == 0
    assert [command.name for command in dryer.commands] == ["powerOn"]


@pytest.mark.parametrize("sent", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_the_bytes_of_the_guide_are_sent_in_the_order_that_it_names(sent):
    words, octets, shown = re.search(rf"\| {sent} \| (\w+) \| (\w+) \| `(.*?)` \|", GUIDE).groups()
    plain = struct.pack(">f", 1.001)
    assert bytes.fromhex(shown) == bytes(plain["ABCD".index(letter)] for letter in sent)
    assert (words == "little", octets == "little") == (sent in ("CDAB", "DCBA"), sent in ("BADC", "DCBA"))
