"""Recipes as files: for people and for programs, the same recipe; every fault with line, key, reason and mend."""

from __future__ import annotations

import json

import msgspec
import pytest

from edgeagent.errors import ConfigError
from edgeagent.model.machine import Limit, ProcessWindow, Tolerances
from edgeagent.model.recipes import made
from edgeagent.tools.json_lines import key_lines
from edgeagent.tools.recipe_files import MOST_BYTES, RecipeFile, draft_of, toml
from edgeagent.tools.recipe_tables import differences, listed, shown
from tests.model.test_recipe_checks import draft, machine

WHOLE = draft(
    name='SAC "305"', alloy="SAC305", comment="two\nlines \\ and Ω",
    tolerances=Tolerances(3.0, 1.0, 150.0, 8.0, Limit(2.0, 4.0), {"zone/3/top": 8.0}),
    window=ProcessWindow(217.0, 150.0, 190.0, peak=Limit(240.0, 250.0), max_fall=Limit(-3.0, 0.0)), settling_s=45.0,
)  # fmt: skip
KEPT = msgspec.to_builtins(made(WHOLE, machine(), 3, "2026-11-21T22:10:20.000Z", "anna", 2))

GOOD = """\
name = "A"
settling_s = 60

[settings]
"zone/1/top/setpoint" = 130

[tolerances]
zone_celsius = 5.0

[window]
peak = [240, 250]
"""


def written(tmp_path, text, name="recipe.toml"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def faults(tmp_path, text, name="recipe.toml"):
    with pytest.raises(ConfigError) as refused:
        RecipeFile(written(tmp_path, text, name))
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in refused.value.faults]


@pytest.mark.parametrize("name", ["recipe.toml", "recipe.json"])
def test_what_is_written_is_read_again_as_the_same_recipe(tmp_path, name):
    text = toml(KEPT, {}, "Version 3 of RO0001.") if name.endswith("toml") else json.dumps(draft_of(KEPT))
    assert RecipeFile(written(tmp_path, text, name)).draft == WHOLE


def test_a_file_for_people_says_units_and_meanings():
    text = toml(KEPT, {"zone/1/top/setpoint": "degC, Zone 1 top: setpoint"}, "Version 3 of RO0001, made by anna.")
    lines = text.splitlines()
    assert lines[0] == "# Version 3 of RO0001, made by anna."
    assert next(line for line in lines if line.startswith('"zone/1/top/setpoint"')).split() == [
        '"zone/1/top/setpoint"', "=", "130.0", "#", "degC,", "Zone", "1", "top:", "setpoint"]
    assert "peak = [240.0, 250.0]  # degC" in lines and "max_fall = [-3.0, 0.0]  # degC/s; falls are negative" in lines
    assert "# degC" in text and "timeAboveLiquidus" not in text and "time_above_liquidus" not in text


def test_what_is_left_out_is_left_to_the_machine(tmp_path):
    given = RecipeFile(written(tmp_path, 'name = "A"\n[settings]\n"zone/1/top/setpoint" = 130\n')).draft
    assert (given.tolerances, given.window, given.settling_s) == (None, None, 60.0)


@pytest.mark.parametrize(("change", "told"), [
    (("130", '"hot"'), ["recipe.toml:5: settings.zone/1/top/setpoint: 'hot' is no number"
                        " (write it in the unit of its point)"]),
    (("130", "true"), ["recipe.toml:5: settings.zone/1/top/setpoint: True is no number"
                       " (write it in the unit of its point)"]),
    (("130", "nan"), ["recipe.toml:5: settings.zone/1/top/setpoint: nan is no number"
                      " (write it in the unit of its point)"]),
    (("zone_celsius", "zone_celcius"), ["recipe.toml:8: tolerances.zone_celcius: unknown key"
                                        " (did you mean zone_celsius?)"]),
    (("5.0", "-5.0"), ["recipe.toml:8: tolerances.zone_celsius: Expected `float` > 0.0"]),
    (("[240, 250]", "[240]"), ["recipe.toml:11: window.peak: Expected `array` of length 2, got 1"]),
    (('name = "A"\n', ""), ["recipe.toml: missing key `name`"]),
])  # fmt: skip
def test_a_wrong_file_is_refused_with_line_key_reason_and_mend(tmp_path, change, told):
    assert faults(tmp_path, GOOD.replace(*change)) == told


@pytest.mark.parametrize(("name", "text", "told"), [
    ("a.json", '{"name": "A", "settings": {"a/b": %s}}' % ("9" * 400), "a.json:1: settings.a/b: inf is no number"
                                                         " (write it in the unit of its point)"),
    ("a.json", '{"name": "A", "settings": {"a/b": %s}}' % ("9" * 5000), "a.json:1: settings.a/b: inf is no number"
                                                         " (write it in the unit of its point)"),
    ("a.json", '{"name": "A",\n"settings": {},\n"settlingSeconds": NaN}',
     "a.json:3: settlingSeconds: nan is no number"),
    ("a.json", '{"name": "A",\n"settings": {}, "window":\n{"peak": {"low": Infinity, "high": 1}}}',
     "a.json:3: window.peak.low: inf is no number"),
    ("a.json", '{"name": "A", "settings": {"a/b": 1,\n"a/b": 2}}', "a.json:2: settings.a/b: stands twice"
                                                         " (take one of the two out)"),
    ("a.json", '{"name": "\\ud800", "settings": {}}', "a.json: holds half of a character, as \\ud800 is"),
    ("a.toml", GOOD.replace("130", "9" * 400), f"a.toml:5: settings.zone/1/top/setpoint: {'9' * 60} is no number"
                                               " (write it in the unit of its point)"),
    ("a.toml", GOOD.replace("60", "nan"), "a.toml:2: settling_s: nan is no number"),
    ("a.toml", GOOD.replace("5.0", "inf"), "a.toml:8: tolerances.zone_celsius: inf is no number"),
    ("a.toml", GOOD.replace("240", "-inf"), "a.toml:11: window.peak.low: -inf is no number"),
    ("a.toml", 'alloy = "' + "x" * 65 + '"\n' + GOOD, "a.toml:1: alloy: Expected `str` of length <= 64"),
])  # fmt: skip
def test_what_no_agent_could_read_is_told_before_one_is_asked(tmp_path, name, text, told):
    assert faults(tmp_path, text, name) == [told]


def test_faults_of_several_places_are_told_at_once(tmp_path):
    wrong = GOOD.replace("130", '"hot"').replace("5.0", "0").replace("settling_s", "settle_s")
    assert [fault.split(": ")[0] for fault in faults(tmp_path, wrong)] == [
        "recipe.toml:2", "recipe.toml:5", "recipe.toml:8"]


def test_json_is_told_with_its_lines_as_well(tmp_path):
    text = json.dumps({"name": "A", "settings": {"zone/1/top/setpoint": "hot"}, "windows": {}}, indent=1)
    assert faults(tmp_path, text, "recipe.json") == [
        "recipe.json:4: settings.zone/1/top/setpoint: 'hot' is no number (write it in the unit of its point)",
        "recipe.json:6: windows: unknown key (did you mean window?)"]
    assert faults(tmp_path, "{\n", "recipe.json")[0].startswith("recipe.json:2: is not JSON: ")
    assert faults(tmp_path, "[]", "recipe.json") == [
        "recipe.json:1: is no recipe (write an object with name and settings)"]


def test_what_is_no_recipe_at_all_is_refused_before_it_is_read(tmp_path):
    assert faults(tmp_path, "#" * (MOST_BYTES + 1)) == [
        f"recipe.toml: has {MOST_BYTES + 1} bytes and is no recipe (a recipe has a few)"]
    with pytest.raises(ConfigError, match="cannot be read"):
        RecipeFile(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(("name", "line"), [("recipe.toml", 11), ("recipe.json", 9)])
def test_what_the_machine_cannot_do_is_told_at_the_files_lines(tmp_path, name, line):
    text = GOOD
    if name.endswith("json"):
        text = json.dumps({"name": "A", "settings": {"zone/1/top/setpoint": 130.0},
                           "window": {"soakLow": 150.0, "peak": {"low": 1.0, "high": 2.0}}}, indent=1)  # fmt: skip
    told = RecipeFile(written(tmp_path, text, name)).refuse([
        {"path": "window.peak", "value": 1.0, "reason": "too low", "possible": "more"},
        {"path": "zone/2/top/setpoint", "value": None, "reason": "is missing", "possible": None},
    ]).faults  # fmt: skip
    assert [(fault.line, fault.key) for fault in told] == [
        (4 if name.endswith("toml") else 3, "settings.zone/2/top/setpoint"),
        (line if name.endswith("toml") else 8, "window.peak")]
    assert str(told[1]).endswith("1.0: too low (more)")


def test_lines_of_keys_in_json():
    text = '{\n "a": [1,\n  {"b{": "}"}],\n "c": {\n  "d":\n   2}}'
    assert key_lines(text) == {("a",): 2, ("a", 0): 2, ("a", 1): 3, ("a", 1, "b{"): 3, ("c",): 4, ("c", "d"): 5}


def test_two_recipes_differ_where_a_value_is_another_or_missing():
    other = draft_of(KEPT) | {"settings": {"zone/1/top/setpoint": 131.5}, "alloy": "SnBi"}
    given = draft_of(KEPT) | {"settings": {"zone/1/top/setpoint": 130.0, "zone/2/top/setpoint": 145.0}}
    assert differences(given, given) == []
    assert sorted(differences(given, other)) == [
        ("alloy", "SAC305", "SnBi"), ("zone/1/top/setpoint", "130", "131.5"), ("zone/2/top/setpoint", "145", "-")]


def test_two_recipes_differ_where_a_value_differs_in_its_last_digit():
    first = {"settings": {"a/b": 1000.25}, "window": {"peak": {"low": 240.0, "high": 250.0}}}
    second = {"settings": {"a/b": 1000.2501}, "window": {"peak": {"low": 240.0, "high": 250.0001}}}
    assert differences(first, second) == [
        ("a/b", "1000.25", "1000.2501"), ("window.peak", "240 to 250", "240 to 250.0001")]


def test_a_points_text_stays_one_line_of_comment(tmp_path):
    text = toml(KEPT, {"zone/1/top/setpoint": 'degC, "two\nname = 1'}, "Version 3.")
    assert RecipeFile(written(tmp_path, text)).draft == WHOLE


def test_people_see_what_is_kept_beside_what_the_machine_has():
    running = {"machine": "RO0001", "name": "A", "version": 3, "active": True, "setpoints": [
        {"object": "zone/1/top", "name": "setpoint", "value": 131.0, "quality": "good"}], "kept": KEPT,
        "tolerances": KEPT["tolerances"], "window": KEPT["window"]}  # fmt: skip
    lines = list(shown(running, {"zone/1/top/setpoint": "degC"}, None))
    assert lines[0] == "RO0001 runs A version 3" and "by anna, from version 2" in lines[1]
    assert next(line for line in lines if "zone/1/top/setpoint" in line).split() == [
        "zone/1/top/setpoint", "130", "131", "degC"]
    assert any(line.startswith("peak") and "240 to 250" in line for line in lines)
    rows = [{"machine": "RO0001", "name": "A", "version": None, "active": None, "stored": False, "madeAt": None,
             "by": None, "deletedAt": None, "alloy": None, "comment": None}]  # fmt: skip
    assert list(listed([], None)) == ["no recipe is kept, and none is known to run"]
    assert "not known" in list(listed(rows, None))[1] and "at the machine" in list(listed(rows, None))[1]
