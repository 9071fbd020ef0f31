"""Which recipe runs, whose change it was, and by what its boards are judged."""

from __future__ import annotations

import dataclasses

import pytest

from edgeagent.model.boards import RecipeName
from edgeagent.model.machine import Judging, Limit, Machine, ProcessWindow, Tolerances
from firmware_iface import catalog
from tests.capture.tunnel import WINDOW, Tunnel, machine

NAME, VERSION = "recipe/name", "recipe/version"


@pytest.fixture
def tunnel() -> Tunnel:
    tunnel = Tunnel()
    tunnel.run(3)
    tunnel.events.clear()
    return tunnel


def tells(tunnel: Tunnel, name: str, version: int) -> list:
    """The machine tells another recipe; the events of that."""
    tunnel.events.clear()
    tunnel.row.texts[tunnel.machine.column[NAME]] = name
    tunnel.set(VERSION, version)
    feed(tunnel)
    return [(e.data.recipe, e.data.version, e.data.previous, e.data.by) for e in tunnel.only("Recipe.Started")]


def feed(tunnel: Tunnel) -> None:
    tunnel.feed(tunnel.machine.groups[tunnel.machine.point(NAME).group].name)


def through(tunnel: Tunnel):
    tunnel.insert()
    tunnel.run(400)
    (left,) = tunnel.only("Board.ProcessCompleted")
    return left.data.board


def test_a_recipe_that_was_written_over_the_agent_is_its_callers_and_any_other_the_machines(tunnel):
    tunnel.pipeline.expect({NAME: "NEW", VERSION: 2.0}, "anna", tunnel.now_ns)
    assert tells(tunnel, "NEW", 2) == [("NEW", 2, "SAC305-A", "anna")]
    assert tells(tunnel, "SAC305-A", 3) == [("SAC305-A", 3, "NEW", "machine")]
    assert tells(tunnel, "NEW", 2) == [("NEW", 2, "SAC305-A", "machine")], "it was awaited once"
    tunnel.pipeline.expect({VERSION: 3.0}, "anna", tunnel.now_ns)
    assert tells(tunnel, "NEW", 3) == [("NEW", 3, "NEW", "anna")]


def test_a_name_and_a_version_that_arrive_one_after_the_other_are_one_start(tunnel):
    tunnel.pipeline.expect({VERSION: 2.0, NAME: "NEW"}, "anna", tunnel.now_ns)
    assert tells(tunnel, "SAC305-A", 2) == [], "the old name with the new version is no recipe"
    assert tells(tunnel, "NEW", 2) == [("NEW", 2, "SAC305-A", "anna")]


def test_a_half_told_recipe_is_told_as_it_is_when_the_other_half_does_not_come(tunnel):
    tunnel.pipeline.expect({VERSION: 2.0, NAME: "NEW"}, "anna", tunnel.now_ns)
    assert tells(tunnel, "SAC305-A", 2) == []
    tunnel.run(61)
    assert tells(tunnel, "SAC305-A", 2) == [("SAC305-A", 2, "SAC305-A", "machine")]


def test_somebody_who_starts_another_one_at_the_panel_at_that_moment_is_told_as_the_machine(tunnel):
    tunnel.pipeline.expect({VERSION: 2.0, NAME: "NEW"}, "anna", tunnel.now_ns)
    assert tells(tunnel, "PANEL", 7) == [("PANEL", 7, "SAC305-A", "machine")]


def test_a_panel_change_that_comes_with_our_recipe_is_told_and_ours_is_part_of_the_recipe(tunnel):
    tunnel.pipeline.expect({NAME: "NEW", VERSION: 2.0, "zone/3/top/setpoint": 175.0}, "anna", tunnel.now_ns)
    tunnel.set("zone/3/top/setpoint", 175.0)
    tunnel.set("zone/4/top/setpoint", 199.0)
    assert tells(tunnel, "NEW", 2) == [("NEW", 2, "SAC305-A", "anna")]
    (changed,) = tunnel.only("Recipe.SettingChanged")
    assert (changed.data.by, [c.object for c in changed.data.changes]) == ("machine", ["zone/4/top"])


def test_a_recipe_that_the_machine_cannot_tell_is_remembered_until_it_tells_another(tunnel):
    (started,) = tunnel.pipeline.start_recipe(RecipeName("OURS", 4), "anna", tunnel.now_ns, tunnel.now_ns)
    assert (started.data.recipe, started.data.version, started.data.previous) == ("OURS", 4, "SAC305-A")
    assert tells(tunnel, "SAC305-A", 3) == [], "what it told before says nothing new"
    assert tunnel.pipeline.recipe()[0] == RecipeName("OURS", 4)
    tunnel.set("zone/4/top/setpoint", 199.0)
    feed(tunnel)
    assert tunnel.only("Recipe.SettingChanged")[0].data.recipe == "OURS", "the name stays"
    assert tunnel.pipeline.start_recipe(RecipeName("OURS", 4), "anna", tunnel.now_ns, tunnel.now_ns) == []
    assert tells(tunnel, "PANEL", 1) == [("PANEL", 1, "OURS", "machine")]


def test_a_version_that_a_map_does_not_tell_is_the_one_that_was_started():
    its = dataclasses.replace(catalog.builtin("reflow10"), recipe_version=None)
    tunnel = Tunnel(the_machine=Machine("RO0001", (its,), None, WINDOW))
    tunnel.pipeline.expect({NAME: "OURS"}, "anna", tunnel.now_ns)
    assert tells(tunnel, "OURS", 0) == [("OURS", None, "SAC305-A", "anna")]
    assert tunnel.pipeline.start_recipe(RecipeName("OURS", 4), "anna", tunnel.now_ns, tunnel.now_ns) == []
    feed(tunnel)
    assert tunnel.pipeline.recipe()[0] == RecipeName("OURS", 4)
    assert tells(tunnel, "PANEL", 0) == [("PANEL", None, "OURS", "machine")]


def test_what_is_awaited_and_what_was_started_survive_a_restart(tunnel):
    tunnel.pipeline.start_recipe(RecipeName("OURS", 4), "anna", tunnel.now_ns, tunnel.now_ns)
    tunnel.pipeline.expect({"zone/3/top/setpoint": 175.0}, "anna", tunnel.now_ns)
    again = type(tunnel.pipeline).restored(tunnel.machine, tunnel.row, tunnel.pipeline.checkpoint(), 0, ())
    tunnel.pipeline = again
    tunnel.events.clear()
    tunnel.set("zone/3/top/setpoint", 175.0)
    feed(tunnel)
    assert [(e.data.recipe, e.data.by) for e in tunnel.only("Recipe.SettingChanged")] == [("OURS", "anna")]
    assert tunnel.only("Recipe.Started") == []


def test_boards_are_judged_by_the_stored_recipe_that_ran_when_they_entered():
    strict = Judging(Tolerances(zone_celsius=0.5, zones={"zone/4/top": 9.0}), ProcessWindow(peak=Limit(1, 2)))
    kept = {RecipeName("SAC305-A", 3): strict}
    tunnel = Tunnel(judged_by=kept.get)
    tunnel.run(3)
    for zone in ("zone/3/top", "zone/4/top"):
        tunnel.set(f"{zone}/temperature", 1 + tunnel.row.values[tunnel.machine.column[f"{zone}/setpoint"]])
    tunnel.feed("zones")
    board = through(tunnel)
    assert board.recipe == RecipeName("SAC305-A", 3)
    assert board.verdict.process == "fail"
    assert [reason for reason in board.verdict.reasons if "± 0.5" in reason] == [
        "process: zone/3/top was 181 degC, 180 ± 0.5 is allowed"]
    assert [(limit.name, limit.low, limit.high) for limit in board.profile.limits] == [("peak", 1, 2)]


def test_where_the_version_is_not_stored_the_configuration_judges():
    kept = {RecipeName("SAC305-A", 4): Judging(Tolerances(zone_celsius=0.001), ProcessWindow())}
    tunnel = Tunnel(judged_by=kept.get)
    tunnel.run(3)
    tunnel.set("zone/3/top/temperature", 181.0)
    tunnel.feed("zones")
    board = through(tunnel)
    assert board.verdict.process == "pass"
    assert board.profile.limits[0].low == machine().judging.window.peak.low


def test_the_recipe_at_the_entry_counts_though_another_runs_at_the_exit():
    kept = {RecipeName("SAC305-A", 3): Judging(Tolerances(zone_celsius=0.5), ProcessWindow())}
    tunnel = Tunnel(judged_by=kept.get)
    tunnel.run(3)
    tunnel.set("zone/8/top/temperature", 231.0)
    tunnel.feed("zones")
    tunnel.insert()
    tunnel.run(5)
    tells(tunnel, "OTHER", 1)
    tunnel.run(400)
    (left,) = tunnel.only("Board.ProcessCompleted")
    assert left.data.board.recipe == RecipeName("SAC305-A", 3)
    assert "process: zone/8/top was 231 degC, 230 ± 0.5 is allowed" in left.data.board.verdict.reasons
