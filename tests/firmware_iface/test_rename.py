"""Objects get other names wherever a map names them, and nothing else that happens to be written the same."""

from dataclasses import fields

import pytest

from firmware_iface import catalog, map_keys
from firmware_iface.registers import RegisterMap
from firmware_iface.rename import _NAMING, renamed

PROBE = """\
[map]
id = "probe"
version = "1"
title = "probe"
kind = "instrument"
[machine]
manufacturer = "nobody"
model = "input"
[[bad]]
points = ["input/temperature"]
when = ["live/broken == 1"]
[groups.live]
period_ms = 500
[groups.live.points]
"input/temperature" = { table = "input", address = 0, type = "int16", unit = "s", text = "input" }
"live/broken" = { table = "discrete", address = 0, type = "bit" }
"s/temperature" = { table = "input", address = 1, type = "int16", unit = "s" }
"""


@pytest.fixture
def probe(tmp_path):
    (tmp_path / "probe.toml").write_text(PROBE)
    return catalog.load(tmp_path / "probe.toml")


def test_tables_units_groups_and_texts_keep_their_words_when_an_object_is_called_the_same(probe):
    changed = renamed(probe, {"input": "oven/1", "live": "oven/2", "s": "oven/3"})
    assert [(r.path, r.table, r.group, r.unit, r.text) for r in changed.registers] == [
        ("oven/1/temperature", "input", "live", "s", "input"), ("oven/2/broken", "discrete", "live", None, ""),
        ("oven/3/temperature", "input", "live", "s", "")]  # fmt: skip
    assert (changed.id, changed.title, changed.model) == ("probe", "probe", "input")
    assert (changed.bad[0].points, changed.bad[0].when[0].path) == (("oven/1/temperature",), "oven/2/broken")
    assert changed.fingerprint == probe.fingerprint


@pytest.mark.parametrize("names", [{"input": "s"}, {"input": "gauge", "s": "gauge"}])
def test_two_points_never_get_one_path(probe, names):
    with pytest.raises(ValueError, match=r"probe would have 2 points (s|gauge)/temperature; give each object"):
        renamed(probe, names)


def test_two_objects_may_change_their_names_with_one_another(probe):
    changed = renamed(probe, {"input": "s", "s": "input"})
    assert [register.address for register in changed.registers] == [0, 0, 1]
    assert [register.path for register in changed.registers][::2] == ["s/temperature", "input/temperature"]


def test_every_key_that_names_a_point_or_an_object_is_renamed():
    known = {name for names in _NAMING.values() for name in names} | {"name", "version", "order"}  # of a recipe
    naming = {key.name for table in map_keys.MAP for key in _inside(table) if key.role or key.kind in _KINDS}
    assert naming <= known
    assert {f"recipe_{name}" for name in ("name", "version", "order")} <= {field.name for field in fields(RegisterMap)}


_KINDS = ("path", "paths", "object", "objects", "numbers")


def _inside(key):
    yield key
    for inner in key.keys:
        yield from _inside(inner)
