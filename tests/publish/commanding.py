"""What has to be so at the day's oven before each command, and the time that commands need."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from firmware_iface.simulated.faults import parse

if TYPE_CHECKING:
    from tests.publish.day import Day

RECIPE, OTHER = "SAC305-B", "SAC305-C"


def draft(day: Day, **more: Any) -> dict[str, Any]:
    """The oven's present settings as a recipe, in which one zone is a little hotter."""
    machine, row = day.unit.machine, day.unit.row
    settings = {path: round(row.values[machine.column[path]], 1) for path in machine.map.recipe_order}
    return {"name": RECIPE, "settings": settings | {"zone/3/top/setpoint": 177.0}, "settlingSeconds": 20.0} | more


def latched(day: Day) -> str:
    """Id of an alarm that may be reset from afar."""
    return next(alarm.id for alarm in day.unit.alarms() if alarm.remote_reset)


async def hood_opened(day: Day) -> None:
    while not all(alarm.remote_reset for alarm in day.unit.alarms()):
        day.run(30)  # until the broken thermocouple is changed
    day.device.add_fault(parse(f"hood-open@{day.device.time + 1}+5"))
    day.run(10)


async def board_inside(day: Day) -> None:
    day.device.insert_board("PCB0099", 180.0)
    day.run(40)


async def looked_into(day: Day) -> None:
    day.run(90)


async def emptied(day: Day) -> None:
    day.unit.confirm_empty(None, "looked", "mes")


async def warm(day: Day) -> None:
    day.device.warm_up()
    for _ in range(200):
        if day.unit.status().state == "ready":
            break
        day.run(10)
    else:
        raise AssertionError(f"the oven is not ready again: {day.unit.status()}")
    await emptied(day)


async def recipe_settles(day: Day) -> None:
    """Until the job of the recipe waits for the oven, so that it is as far each time."""
    while not is_awaited(day):  # noqa: ASYNC110  nobody tells of that
        await asyncio.sleep(0.001)


async def another_kept(day: Day) -> None:
    answer = await day.call("Recipe.Create", {"recipe": draft(day, name=OTHER)})
    assert "result" in answer, answer


async def switched_off(day: Day) -> None:
    day.device.switch_off()
    day.run(5)
    await emptied(day)


async def stopped(day: Day) -> None:
    while day.room.executor.jobs and not is_awaited(day):  # noqa: ASYNC110  so that it is as far each time
        await asyncio.sleep(0.001)
    for running in day.room.executor.jobs:
        running.stopped_by = "mes"
        running.stop_asked.set()
    await at_rest(day)
    await emptied(day)


BEFORE: dict[str, Callable[[Day], Awaitable[None]]] = {
    "Alarm.Reset": hood_opened,
    "Alarm.ResetAll": hood_opened,
    "Board.Remove": board_inside,
    "Board.ConfirmEmpty": looked_into,
    "Recipe.Delete": another_kept,
    "Recipe.Start": warm,
    "Command.Stop": recipe_settles,
    "Configuration.SetObjectParameter": stopped,
    "Status.PowerOn": switched_off,
    "Status.PowerOff": stopped,
    "Status.GetValues": stopped,
}
"""What has to happen before a command's example."""

AMID = ("Command.Get", "Command.List", "Command.Stop")
"""Asked while a job runs; everything else when none does, so that it is answered alike each time."""

DRIVEN = ("Alarm.Reset", "Alarm.ResetAll")
"""Answered only when the oven has done it, so that time must go by meanwhile."""

ASKED: dict[str, Callable[[Day], dict[str, Any]]] = {
    "Alarm.Acknowledge": lambda day: {"id": day.unit.alarms()[0].id},
    "Alarm.Reset": lambda day: {"id": latched(day), "requestId": "4712"},
    "Board.Remove": lambda day: {"id": day.unit.boards()[0].id, "reason": "taken out by hand"},
    "Board.ConfirmEmpty": lambda day: {"reason": "the tunnel was looked into"},
    "Recipe.Check": lambda day: {"recipe": draft(day)},
    "Recipe.Delete": lambda day: {"name": OTHER},
    "Recipe.Create": lambda day: {"recipe": draft(day), "requestId": "4713"},
    "Recipe.Update": lambda day: {"recipe": draft(day, comment="flatter soak"), "basedOn": 1},
    "Recipe.Start": lambda day: {"name": RECIPE, "requestId": "4714"},
    "Command.Stop": lambda day: {"job": day.room.executor.jobs[0].job.id},
    "Configuration.SetObjectParameter": lambda day: {
        "object": "zone/3/top", "name": "setpoint", "value": 178.0, "requestId": "4715",
        "notAfter": "2026-11-22T06:00:00Z"},
    "Status.RequestRemote": lambda day: {"reason": "recipe change for order 7", "minutes": 20},
}
"""Parameters of the example of each command."""


async def at_rest(day: Day) -> None:
    """Let time go by until no job runs; only while somebody waits for it, so that it is as much each time."""
    while day.room.executor.jobs:
        await a_beat_if_awaited(day)


def is_awaited(day: Day) -> bool:
    """Whether a job waits for a beat, and has not given up."""
    return any(not each.done() for each in day.unit._waiting)


async def a_beat_if_awaited(day: Day) -> None:
    if is_awaited(day):
        day.run(0.1)
    await asyncio.sleep(0.001)
