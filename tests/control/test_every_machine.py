"""Recipes and power at machines that are commanded otherwise: by numbers, in two lanes, by setpoints, and by a wave."""

from __future__ import annotations

import asyncio

import pytest

from edgeagent.errors import Silent
from firmware_iface import catalog
from firmware_iface.registers import RegisterMap
from tests.control.bench import Bench, bench
from tests.model.test_recipe_checks import settings

BEAT_S = 1.5
"""In which the fastest belt moves by less than the shortest board."""

CHANGED = {
    "reflow12": {"conveyor/2/widthSetpoint": 240.0, "conveyor/1/speedSetpoint": 91.0, "zone/1/top/setpoint": 127.0},
    "wave": {"preheat/1/bottom/setpoint": 111.0, "wave/1/pumpSpeedSetpoint": 805.0, "conveyor/1/speedSetpoint": 121.0,
             "conveyor/1/widthSetpoint": 240.0},
}
"""What a recipe sets otherwise, in the order in which it is written."""

HORN = [("machine/horn", 1.0), ("machine/horn", 0.0)]


def journey(folder, register_map, steps, **more):
    async def go():
        its = register_map if isinstance(register_map, RegisterMap) else catalog.builtin(register_map)
        async with bench(folder, register_map=its, **more) as it:
            it.device.advance(600)
            it.run(3)
            it.grant()
            await steps(it)

    asyncio.run(go())


def derived(folder, *changes: tuple[str, str], of: str = "reflow10") -> RegisterMap:
    """A map with other words in it."""
    text = catalog.builtin_text(of)
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = folder / "derived.toml"
    file.write_text(text, encoding="utf-8")
    return catalog.load(file)


def orders(name: str, number: int) -> list[tuple[str, float]]:
    """How a map gives a command: a coil, or a number in the command register, and 0 again."""
    return [(name, number), (name, 0.0)]


def commanded(register_map: str, command: str) -> list[tuple[str, float]]:
    its = catalog.builtin(register_map).command(command)
    return orders(its.write, its.value)


async def begun(it: Bench, changed: dict[str, float], of: str) -> str:
    await it.call("Recipe.Create", recipe={"name": "OTHER", "settings": settings(of) | changed, "settlingSeconds": 5})
    return (await it.call("Recipe.Start", name="OTHER"))["id"]


async def over(it: Bench, job: str, beat_s: float = BEAT_S) -> dict:
    await it.until(lambda: not it.room.executor.jobs, beat_s)
    return await it.ended(job)


@pytest.mark.parametrize("name", ["reflow12", "wave"])
def test_a_recipe_is_written_in_the_maps_order_named_and_begun_as_the_machine_wants_it(tmp_path, name):
    async def steps(it):
        former = it.device.recipe
        job = await it.ended(await begun(it, CHANGED[name], name))
        assert (job["state"], job["reason"]) == ("done", None), job
        version = [("recipe/version", 1.0)] if former.version != 1 else []
        start = commanded(name, "recipeStart") if name == "reflow12" else []
        assert it.reach.wrote == [*CHANGED[name].items(), *version, ("recipe/name", "OTHER"), *start]
        assert {path: it.device.settings[path] for path in CHANGED[name]} == CHANGED[name]
        assert (it.device.recipe.name, it.device.recipe.version) == ("OTHER", 1)
        assert {n: each.width_mm for n, each in it.device.conveyors.items()} == (
            {1: 250.0, 2: 240.0} if name == "reflow12" else {1: 240.0})
        assert (await it.told("Recipe.Started"))[-1] == {
            "recipe": "OTHER", "version": 1, "previous": former.name, "by": "mes"}

    journey(tmp_path, name, steps)


ONE_LANE = {"conveyor/2/widthSetpoint": 245.0, "conveyor/2/speedSetpoint": 89.0}


def test_what_belongs_to_one_lane_is_written_over_a_board_in_the_other(tmp_path):
    text = catalog.builtin_text("reflow12")
    takes_over = text[text.index("[commands.recipeStart]") : text.index("# The simulated oven needs")]

    async def steps(it):
        it.device.insert_board("PCB0001", lane=1)
        await it.until(it.unit.boards)
        heat = {"name": "HEAT", "settings": settings("reflow12") | {"zone/1/top/setpoint": 127.0}}
        await it.call("Recipe.Create", recipe=heat)
        refused = await it.refused("Recipe.Start", name="HEAT")
        assert refused.kind == "interlocked" and "1 board is inside lane 1" in refused.reason
        assert it.reach.wrote == []
        job = await it.ended(await begun(it, ONE_LANE, "reflow12"))
        assert (job["state"], job["reason"]) == ("done", None)
        assert it.reach.wrote[:2] == list(ONE_LANE.items())
        assert it.device.conveyors[2].width_mm == 245.0

    journey(tmp_path, derived(tmp_path, (takes_over, ""), of="reflow12"), steps)


def test_where_a_command_takes_all_settings_over_every_lane_must_be_empty_before_anything_is_written(tmp_path):
    async def steps(it):
        it.device.insert_board("PCB0001", lane=1)
        await it.until(it.unit.boards)
        await it.call("Recipe.Create", recipe={"name": "ONE", "settings": settings("reflow12") | ONE_LANE})
        refused = await it.refused("Recipe.Start", name="ONE")
        assert refused.kind == "interlocked" and "1 board is inside lane 1" in refused.reason
        assert it.reach.wrote == []

    journey(tmp_path, "reflow12", steps)


def test_a_command_register_that_is_not_empty_takes_no_command_and_the_recipe_is_put_back(tmp_path):
    async def steps(it):
        it.device.wire.orders.values["machine/command"] = 4.0
        it.run(1)
        before = dict(it.device.settings)
        job = await it.ended(await begun(it, CHANGED["reflow12"], "reflow12"))
        assert job["state"] == "failed", job
        assert "recipeStart needs machine/commandReady to be 1" in job["reason"]
        assert it.device.settings == before
        assert it.device.recipe.name == "SAC305-A"
        assert "machine/command" not in dict(it.reach.wrote)

    journey(tmp_path, "reflow12", steps)


@pytest.mark.parametrize("name", ["reflow12", "wave"])
def test_each_machine_is_switched_on_by_its_own_commands(tmp_path, name):
    async def steps(it):
        it.unit.confirm_empty(None, "looked", "anna")
        job = await over(it, (await it.call("Status.PowerOn"))["id"])
        assert (job["state"], it.device.state) == ("done", "ready"), job
        assert it.reach.wrote == HORN + commanded(name, "powerOn")
        assert not it.device.wire.orders.values["machine/horn"]

    journey(tmp_path, name, steps, is_off=True)


@pytest.mark.parametrize("name", ["reflow12", "wave"])
def test_each_machine_is_cooled_down_and_switched_off_by_its_own_commands(tmp_path, name):
    quick = derived(tmp_path, ("safe_celsius = 60", "safe_celsius = 120"), of=name)

    async def steps(it):
        job = await over(it, (await it.call("Status.PowerOff"))["id"])
        assert (job["state"], it.device.state) == ("done", "off"), job
        assert it.reach.wrote == commanded(name, "standby") + commanded(name, "powerOff")
        assert not it.device.was_cut_hot

    journey(tmp_path, quick, steps)


def test_stopped_within_the_pulse_the_number_is_taken_back_and_the_heaters_are_switched_off(tmp_path):
    async def steps(it):
        stopping = []

        def stops(path, value):
            if (path, value) == ("machine/command", 1.0):
                stopping.append(asyncio.create_task(it.call("Command.Stop", job=it.room.executor.jobs[0].job.id)))

        it.reach.meets = stops
        job = await over(it, (await it.call("Status.PowerOn"))["id"], 0.1)
        await asyncio.gather(*stopping)
        assert (job["state"], stopping != []) == ("stopped", True), job
        assert it.reach.wrote == HORN + commanded("reflow12", "powerOn") + commanded("reflow12", "standby")
        assert not it.device.is_heating

    journey(tmp_path, "reflow12", steps, is_off=True)


def resting_by_setpoints(folder, safe_celsius: int = 200, more: str = "") -> RegisterMap:
    """The ten-zone oven without a command for standby: its heaters rest at 20 °C."""
    text = catalog.builtin_text("reflow10")
    block = text[text.index("[commands.standby]") : text.index("[commands.powerOff]")]
    cold = ", ".join(f'"zone/{n}/{half}/setpoint" = 20' for n in range(1, 11) for half in ("top", "bottom"))
    standby = f"[standby]\nsetpoints = {{ {cold} }}\n{more}\n"
    return derived(folder, (block, standby), ("safe_celsius = 60", f"safe_celsius = {safe_celsius}"))


COLD = {f"zone/{n}/{half}/setpoint": 20.0 for n in range(1, 11) for half in ("top", "bottom")}


def test_a_machine_without_a_command_for_it_is_cooled_down_by_its_standby_setpoints(tmp_path):
    async def steps(it):
        job = await over(it, (await it.call("Status.PowerOff"))["id"])
        assert (job["state"], it.device.state) == ("done", "off"), job
        assert it.reach.wrote == [*COLD.items(), *orders("command/powerOff", 1)]
        assert {path: it.device.settings[path] for path in COLD} == COLD
        assert not it.device.was_cut_hot
        told = [change["object"] for each in await it.told("Recipe.SettingChanged") for change in each["changes"]
                if each["by"] == "mes"]  # fmt: skip
        assert sorted(told) == sorted(path.removesuffix("/setpoint") for path in COLD)

    journey(tmp_path, resting_by_setpoints(tmp_path), steps)


def test_stopped_while_it_warms_up_such_a_machine_rests_at_its_standby_setpoints(tmp_path):
    async def steps(it):
        it.unit.confirm_empty(None, "looked", "anna")
        job = await it.call("Status.PowerOn")
        await it.until(lambda: it.device.state == "warmingUp")
        stopping = asyncio.create_task(it.call("Command.Stop", job=job["id"]))
        job = await over(it, job["id"], 0.1)
        await stopping
        assert job["state"] == "stopped", job
        assert it.reach.wrote == [*HORN, *orders("command/powerOn", 1), *COLD.items()]

    journey(tmp_path, resting_by_setpoints(tmp_path), steps, is_off=True)


@pytest.mark.parametrize("how", ["deaf", "dark"])
def test_heat_that_could_not_be_ended_is_never_told_as_ended(tmp_path, how):
    async def steps(it):
        it.unit.confirm_empty(None, "looked", "anna")

        def dies(path, _):
            if path == "zone/7/top/setpoint":
                raise Silent("it did not answer in time")

        if how == "deaf":
            it.reach.deaf.add("zone/7/top/setpoint")
        else:
            it.reach.meets = dies
        job = await it.call("Status.PowerOn")
        await it.until(lambda: it.device.state == "warmingUp")
        stopping = asyncio.create_task(it.call("Command.Stop", job=job["id"]))
        job = await over(it, job["id"], 0.1)
        await stopping
        assert job["state"] == "unknown", job
        assert job["reason"].startswith("The heaters could not be switched off again: ")

    journey(tmp_path, resting_by_setpoints(tmp_path), steps, is_off=True)


def test_what_the_map_asks_for_before_its_standby_setpoints_is_asked_by_good_values(tmp_path):
    its = resting_by_setpoints(tmp_path, more='preconditions = ["exhaust/flowing == 0"]')

    async def steps(it):
        job = await over(it, (await it.call("Status.PowerOff"))["id"])
        assert job["state"] == "failed", job
        assert "Standby is not possible while “The exhaust draws”" in job["reason"]
        assert it.reach.wrote == []
        assert it.device.state == "ready"

    journey(tmp_path, its, steps)


def test_now_switches_a_hot_machine_off_where_its_map_lets_it(tmp_path):
    its = derived(tmp_path, ("safe_celsius = 60", "safe_celsius = 60\nimmediate_off = true"))

    async def steps(it):
        job = await over(it, (await it.call("Status.PowerOff", now=True))["id"])
        assert (job["state"], it.device.state) == ("done", "off"), job
        assert it.reach.wrote == orders("command/powerOff", 1)
        assert [step["text"] for step in job["steps"]] == ["Switch off"]
        assert it.device.was_cut_hot, "as it was asked to"

    journey(tmp_path, its, steps)


def test_now_is_refused_with_a_board_inside_and_where_the_map_does_not_say_it(tmp_path):
    its = derived(tmp_path, ("safe_celsius = 60", "safe_celsius = 60\nimmediate_off = true"))

    async def steps(it):
        it.device.insert_board("PCB1")
        await it.until(it.unit.boards)
        assert (await it.refused("Status.PowerOff", now=True)).kind == "interlocked"

    async def not_allowed(it):
        refused = await it.refused("Status.PowerOff", now=True)
        assert (refused.kind, "without the cool-down" in refused.reason) == ("outOfRange", True)

    journey(tmp_path, its, steps)
    (tmp_path / "other").mkdir()
    journey(tmp_path / "other", "reflow10", not_allowed)
