"""A recipe that a machine cannot do is refused whole, with every fault: where, what, and what can be."""

from __future__ import annotations

import dataclasses
from functools import cache

import msgspec
import pytest

from edgeagent.model.machine import Limit, Machine, ProcessWindow, Tolerances
from edgeagent.model.recipe_checks import faults, in_words, settable
from edgeagent.model.recipes import RecipeDraft, made
from firmware_iface import catalog
from firmware_iface.simulated.recipes import nominal, soldering


@cache
def machine(name: str = "reflow10") -> Machine:
    return Machine("RO0001", (catalog.builtin(name),))


def settings(name: str = "reflow10") -> dict[str, float]:
    """What the simulated machine works by, as far as a recipe sets it."""
    its = machine(name).map
    recipe = nominal(its) if its.kind == "reflow" else soldering(its)
    return {path: recipe.settings[path] for path in settable(machine(name)) if path in recipe.settings}


def draft(of: str = "reflow10", **more: object) -> RecipeDraft:
    return RecipeDraft(**({"name": "A", "settings": settings(of)} | more))  # type: ignore[arg-type]


def found(recipe: RecipeDraft, version: int = 1, name: str = "reflow10") -> dict[str, str]:
    return {fault.path: fault.reason for fault in faults(recipe, machine(name), version)}


@pytest.mark.parametrize("name", ["reflow10", "reflow12", "wave"])
def test_what_the_simulated_machines_work_by_is_a_recipe(name):
    assert found(draft(name), name=name) == {}
    assert found(draft(name, tolerances=Tolerances(oxygen_ppm=100.0)), name=name) == {}


def test_of_a_thousand_wrong_names_each_is_told_and_of_a_few_what_was_meant():
    names = {f"zone/{number}/tip/setpoint": 1.0 for number in range(1000)}
    told = [fault for fault in faults(draft(settings=names), machine(), 1) if fault.path in names]
    assert len(told) == 1000
    assert [bool(fault.possible) for fault in told] == [True] * 8 + [False] * 992


def test_what_a_recipe_sets_comes_in_the_order_of_the_map():
    first = list(settable(machine("reflow12")))[:4]
    assert first == ["conveyor/1/widthSetpoint", "conveyor/2/widthSetpoint", "conveyor/1/speedSetpoint",
                     "conveyor/2/speedSetpoint"]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "reason"), [
    ("zone/99/top/setpoint", 1.0, "RO0001 has no such point"),
    ("zone/1/top/temperature", 100.0, "the machine does not let it be written"),
    ("command/powerOn", 1.0, "a recipe does not set it"),
    ("zone/1/top/setpoint", 351.0, "zone/1/top/setpoint is from 0 to 350 and never 351"),
    ("zone/1/top/setpoint", 100.05, "no raw number of zone/1/top/setpoint is exactly 100.05"),
    ("zone/1/top/setpoint", None, "zone 1 is heated and has no setpoint"),
    ("conveyor/1/speedSetpoint", None, "the belt of lane 1 has no speed"),
    ("oxygen/1/limit", 400.0, "the limit is below the setpoint 500"),
])  # fmt: skip
def test_a_setting_that_cannot_be_is_told_with_its_path(path, value, reason):
    given = settings() | {path: value} if value is not None else {p: v for p, v in settings().items() if p != path}
    assert found(draft(settings=given)) == {path: reason}


@pytest.mark.parametrize(("more", "path"), [
    ({"tolerances": Tolerances(zone_celsius=0.0)}, "tolerances.zoneCelsius"),
    ({"tolerances": Tolerances(belt_percent=-1.0)}, "tolerances.beltPercent"),
    ({"tolerances": Tolerances(oxygen_ppm=0.0)}, "tolerances.oxygenPpm"),
    ({"tolerances": Tolerances(zones={"zone/1/top": 0.0})}, "tolerances.zones.zone/1/top"),
    ({"tolerances": Tolerances(zones={"zone/99/top": 3.0})}, "tolerances.zones.zone/99/top"),
    ({"tolerances": Tolerances(contact_s=Limit(4.0, 2.0))}, "tolerances.contactSeconds"),
    ({"window": ProcessWindow(peak=Limit(250.0, 240.0))}, "window.peak"),
    ({"window": ProcessWindow(peak=Limit(200.0, 240.0))}, "window.peak"),
    ({"window": ProcessWindow(time_above_liquidus=Limit(90.0, 40.0))}, "window.timeAboveLiquidus"),
    ({"window": ProcessWindow(soak_low=190.0, soak_high=150.0)}, "window.soakLow"),
    ({"window": ProcessWindow(liquidus=20.0)}, "window.liquidus"),
    ({"settling_s": 0.5}, "settlingSeconds"),
    ({"settling_s": 3601.0}, "settlingSeconds"),
    ({"name": ""}, "name"), ({"name": " A"}, "name"), ({"name": "A\n"}, "name"), ({"name": "N" * 65}, "name"),
    ({"name": "N" * 33}, "name"), ({"name": "Blei-frei für Ω"}, "name"),
])  # fmt: skip
def test_what_makes_no_sense_is_told_with_its_key(more, path):
    assert list(found(draft(**more))) == [path]


def test_every_fault_is_told_at_once_with_what_can_be():
    wrong = draft(name="", settings=settings() | {"zone/1/top/setpoint": 400.0}, settling_s=0.0,
                  window=ProcessWindow(liquidus=1.0))  # fmt: skip
    told = faults(wrong, machine(), 1)
    assert [fault.path for fault in told] == ["name", "zone/1/top/setpoint", "settlingSeconds", "window.liquidus"]
    assert told[1].value == 400.0 and told[1].possible == "0 to 350 degC in steps of 0.1 degC"
    assert "zone/1/top/setpoint: zone/1/top/setpoint is from 0 to 350" in in_words(told)


def test_a_version_that_the_machine_cannot_be_told_is_a_fault():
    assert list(found(draft(), version=70_000)) == ["version"]


def test_a_window_is_no_matter_of_a_wave_machine():
    assert list(found(draft("wave", window=ProcessWindow()), name="wave")) == ["window"]


def test_a_machine_whose_map_lets_nothing_be_written_takes_no_recipe():
    bare = dataclasses.replace(catalog.builtin("reflow10"), recipe_order=(), registers=tuple(
        dataclasses.replace(it, writable=False) for it in catalog.builtin("reflow10").registers))  # fmt: skip
    told = faults(draft(settings={}), Machine("RO0001", (bare,)), 1)
    assert [(fault.path, "lets none be written" in fault.reason) for fault in told] == [("settings", True)]


def test_what_is_left_out_is_taken_from_the_configuration_when_it_is_kept():
    kept = made(draft(), machine(), 2, "2026-11-21T22:10:20.000Z", "anna", 1)
    assert (kept.tolerances, kept.window) == machine().judging
    assert made(draft("wave"), machine("wave"), 1, "2026-11-21T22:10:20.000Z", "anna", None).window is None
    again = msgspec.json.decode(msgspec.json.encode(kept), type=type(kept))
    assert again == kept and again.judging == machine().judging
