"""Both views of a recipe, told apart: what the machine runs, and what is kept for it."""

from __future__ import annotations

import pytest

from edgeagent.errors import CommandRefused
from edgeagent.model.boards import RecipeName
from edgeagent.model.callers import Caller
from edgeagent.model.functions import OfMachine
from edgeagent.model.functions.recipes import CheckRecipe, GetRecipe, ListRecipes
from edgeagent.model.machine import Tolerances
from edgeagent.model.recipes import RecipeDraft
from edgeagent.publish.openapps.machines import Machines
from edgeagent.publish.openapps.recipes import RecipeAnswers
from edgeagent.store.recipes import Recipes
from tests.fakes import FakeMachine
from tests.store.samples import NOON, with_store
from tests.store.test_recipes import recipe

WHO = Caller("mes", "viewer", "http", "")


def answered(tmp_path, use, kept=(), running=("SAC305-A", 3), machines=("RO0001",)):
    async def main(database):
        store = Recipes(database, kept)
        lives = [FakeMachine(id_) for id_ in machines]
        for live in lives:
            live.running = RecipeName(*running)
        return await use(RecipeAnswers(Machines(lives), store), store)

    return with_store(tmp_path / "s.db", main)


def kept(version: int = 3, name: str = "SAC305-A", **more):
    return recipe(version, name, tolerances=Tolerances(zone_celsius=1.5), **more)


def test_a_running_recipe_that_is_kept_is_told_from_both_sides(tmp_path):
    async def use(answers, _):
        current = await answers.current_name(OfMachine(), WHO)
        assert (current.name, current.version, current.stored) == ("SAC305-A", 3, True)
        got = await answers.get(GetRecipe("SAC305-A"), WHO)
        assert got.active is True and got.kept == kept() and len(got.setpoints) == 2
        assert got.tolerances == kept().tolerances, "what boards are judged by"

    answered(tmp_path, use, [kept(2), kept(), kept(4)])


def test_a_running_recipe_that_is_not_kept_is_told_with_the_configurations_limits(tmp_path):
    async def use(answers, _):
        assert (await answers.current_name(OfMachine(), WHO)).stored is False
        got = await answers.get(GetRecipe("SAC305-A"), WHO)
        assert (got.active, got.kept, got.version, got.tolerances) == (True, None, 3, Tolerances())
        other = await answers.get(GetRecipe("SAC305-A", 4), WHO)
        assert (other.active, other.kept, other.setpoints, other.since) == (False, kept(4), (), None)

    answered(tmp_path, use, [kept(4)])


def test_a_kept_recipe_that_does_not_run_is_its_newest_version_or_that_one(tmp_path):
    async def use(answers, store):
        got = await answers.get(GetRecipe("B"), WHO)
        assert (got.active, got.kept, got.setpoints, got.stored) == (False, kept(2, "B"), (), True)
        assert (await answers.get(GetRecipe("B", 1), WHO)).kept == kept(1, "B")
        store.delete("RO0001", "B", NOON)
        with pytest.raises(CommandRefused) as refused:
            await answers.get(GetRecipe("B"), WHO)
        assert refused.value.kind == "notFound" and "was deleted" in refused.value.reason
        assert (await answers.get(GetRecipe("B", 2), WHO)).kept.deleted_at is not None

    answered(tmp_path, use, [kept(1, "B"), kept(2, "B")])


def test_the_list_says_what_runs_and_what_is_kept_and_every_version_of_a_name(tmp_path):
    async def use(answers, store):
        store.delete("RO0001", "C", NOON)
        listed = (await answers.list(ListRecipes(), WHO)).recipes
        assert [(it.name, it.version, it.active, it.stored, it.by) for it in listed] == [
            ("SAC305-A", 3, True, False, None), ("B", 2, False, True, "anna"), ("SAC305-A", 4, False, True, "anna")]
        history = (await answers.list(ListRecipes(name="C"), WHO)).recipes
        assert [(it.version, bool(it.deleted_at)) for it in history] == [(2, True), (1, True)]

    answered(tmp_path, use, [kept(4), kept(1, "B"), kept(2, "B"), kept(1, "C"), kept(2, "C")])


def test_two_machines_that_have_it_must_be_told_apart(tmp_path):
    async def use(answers, _):
        with pytest.raises(CommandRefused) as refused:
            await answers.get(GetRecipe("SAC305-A"), WHO)
        assert refused.value.kind == "invalidParameters" and "RO0001, RO0002" in refused.value.reason
        assert (await answers.get(GetRecipe("SAC305-A", machine="RO0002"), WHO)).machine == "RO0002"

    answered(tmp_path, use, machines=("RO0001", "RO0002"))


def test_a_check_tells_every_fault_and_keeps_nothing(tmp_path):
    async def use(answers, store):
        wrong = RecipeDraft(name="", settings={"zone/1/top/setpoint": 900.0})
        checked = await answers.check(CheckRecipe(wrong), WHO)
        assert [(fault.path, fault.value) for fault in checked.faults] == [
            ("name", ""), ("zone/1/top/setpoint", 900.0), ("zone/2/top/setpoint", None)]
        right = RecipeDraft(name="B", settings={"zone/1/top/setpoint": 100.0, "zone/2/top/setpoint": 110.0})
        assert (await answers.check(CheckRecipe(right), WHO)).faults == () and store.all() == ()

    answered(tmp_path, use)
