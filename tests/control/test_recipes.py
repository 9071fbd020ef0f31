"""What is kept of recipes changes whole or not at all, is told, and touches no machine."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
from edgeagent.store.recipes import Recipes
from tests.control.bench import ENGINEER, bench
from tests.model.test_recipe_checks import settings

ADMINISTRATOR = dataclasses.replace(ENGINEER, role="administrator")
OTHER = Caller("otto", "engineer", "http", "127.0.0.1", is_authenticated=True)


def recipe(name: str = "LEAD-FREE", **changed: float) -> dict:
    return {"name": name, "settings": settings() | changed, "settlingSeconds": 5, "alloy": "SAC305"}


def on_bench(tmp_path, work, **more):
    async def go():
        async with bench(tmp_path, **more) as it:
            await work(it)

    asyncio.run(go())


def test_a_recipe_is_kept_changed_and_deleted_and_each_is_told_with_who_did_it(tmp_path):
    async def work(it):
        first = await it.call("Recipe.Create", recipe=recipe())
        assert (first["recipe"], first["version"], first["machine"]) == ("LEAD-FREE", 1, "RO0001")
        second = await it.call("Recipe.Update", OTHER, recipe=recipe(**{"zone/1/top/setpoint": 131.0}), basedOn=1)
        assert second["version"] == 2
        gone = await it.call("Recipe.Delete", ADMINISTRATOR, name="LEAD-FREE")
        assert gone["version"] == 2
        told = [await it.told(f"Recipe.{what}") for what in ("Created", "Updated", "Deleted")]
        assert told == [[{"recipe": "LEAD-FREE", "version": 1, "by": "mes"}],
                        [{"recipe": "LEAD-FREE", "version": 2, "by": "otto"}],
                        [{"recipe": "LEAD-FREE", "version": 2, "by": "mes"}]]  # fmt: skip
        kept = (await Recipes.open(it.archive.database)).history("RO0001", "LEAD-FREE")
        assert [(each.version, each.by, each.based_on, bool(each.deleted_at)) for each in kept] == [
            (2, "otto", 1, True), (1, "mes", None, True)]
        assert kept[1].settings == settings(), "a version is never changed"
        assert it.reach.wrote == []
        assert [kind for kind in it.audit.kinds() if kind != "grant"] == ["command", "outcome"] * 3
        assert (await it.call("Recipe.Create", recipe=recipe()))["version"] == 3, "no number is used twice"

    on_bench(tmp_path, work)


def test_it_needs_no_remote_control_and_the_same_request_keeps_one_version(tmp_path):
    async def work(it):
        first = await it.call("Recipe.Create", recipe=recipe(), requestId="a")
        assert await it.call("Recipe.Create", recipe=recipe(), requestId="a") == first
        await it.die_and_start_again()
        assert await it.call("Recipe.Create", recipe=recipe(), requestId="a") == first
        assert len(it.archive.recipes.all()) == 1
        late = await it.refused("Recipe.Update", recipe=recipe(), notAfter="2020-01-01T00:00:00Z")
        assert late.kind == "expired"

    on_bench(tmp_path, work)


def test_who_was_overtaken_by_somebody_else_is_told_by_whom(tmp_path):
    async def work(it):
        await it.call("Recipe.Create", recipe=recipe())
        await it.call("Recipe.Update", OTHER, recipe=recipe(), basedOn=1)
        refused = await it.refused("Recipe.Update", recipe=recipe(), basedOn=1)
        assert refused.kind == "busy" and "otto has made version 2" in refused.reason
        answers = await asyncio.gather(
            *(it.call("Recipe.Update", recipe=recipe(), basedOn=2) for _ in range(3)), return_exceptions=True)
        kept = [each for each in answers if not isinstance(each, CommandRefused)]
        assert [each["version"] for each in kept] == [3], "of three at the same moment one wins"

    on_bench(tmp_path, work)


def test_a_recipe_that_the_machine_cannot_do_is_refused_as_a_whole_with_every_fault(tmp_path):
    async def work(it):
        wrong = recipe(**{"zone/1/top/setpoint": 900.0, "zone/77/top/setpoint": 1.0})
        refused = await it.refused("Recipe.Create", recipe=wrong)
        assert refused.kind == "outOfRange"
        assert "zone/1/top/setpoint is from 0 to 350" in refused.reason and "zone/77/top/setpoint" in refused.reason
        assert it.archive.recipes.all() == ()

    on_bench(tmp_path, work)


def test_a_recipe_of_the_panels_name_gets_a_number_that_the_panel_does_not_use(tmp_path):
    async def work(it):
        assert (it.unit.recipe()[0].name, it.unit.recipe()[0].version) == ("SAC305-A", 3)
        assert (await it.call("Recipe.Create", recipe=recipe("SAC305-A")))["version"] == 4
        assert it.archive.recipes.judging("RO0001", it.unit.recipe()[0]) is None
        assert it.archive.recipes.get("RO0001", "SAC305-A").version == 4

    on_bench(tmp_path, work)


@pytest.mark.parametrize(("function", "asked", "kind", "reason"), [
    ("Recipe.Update", {"recipe": recipe()}, "notFound", "There is no recipe 'LEAD-FREE'"),
    ("Recipe.Delete", {"name": "LEAD-FREE"}, "notFound", "There is no recipe 'LEAD-FREE'"),
    ("Recipe.Start", {"name": "LEAD-FREE"}, "notFound", "There is no recipe 'LEAD-FREE'"),
])  # fmt: skip
def test_what_does_not_exist_is_not_found(tmp_path, function, asked, kind, reason):
    async def work(it):
        it.grant()
        refused = await it.refused(function, ADMINISTRATOR, **asked)
        assert (refused.kind, reason in refused.reason) == (kind, True)

    on_bench(tmp_path, work)


def test_a_name_in_use_and_a_role_too_low_are_refused(tmp_path):
    async def work(it):
        await it.call("Recipe.Create", recipe=recipe())
        assert (await it.refused("Recipe.Create", recipe=recipe())).kind == "busy"
        assert (await it.refused("Recipe.Delete", name="LEAD-FREE")).kind == "forbidden"
        operator = dataclasses.replace(ENGINEER, role="operator")
        assert (await it.refused("Recipe.Update", operator, recipe=recipe())).kind == "forbidden"

    on_bench(tmp_path, work)
