"""Every function that changes something, done at the oven over a real wire: told with who did it, read at the oven."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from edgeagent.control.procedures import PROCEDURES
from edgeagent.model.callers import NO_ROLE
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.console import CONSOLE
from edgeagent.model.functions.forms import CommandParameters
from firmware_iface.simulated.faults import parse
from tests.journeys.floor import PATH, PATIENT, SETPOINT, Floor, floor, outcome
from tests.model.test_recipe_checks import settings

SPEED = 8.0
QUICK = replace(PATIENT, power=replace(PATIENT.power, safe_celsius=290.0),
                commands=tuple(replace(command, timeout_s=120.0) for command in PATIENT.commands),
                capture=replace(PATIENT.capture, min_board_mm=200.0))  # fmt: skip
"""An oven that counts as cool at once, and whose boards are long and commands slow: a busy computer is late with looks
at it."""

ROLES = {"olga": "operator", "anna": "engineer", "root": "administrator"}
CHANGED = {"zone/1/top/setpoint": 131.0, "zone/2/top/setpoint": 146.0}
HORN = [("machine/horn", 1.0), ("machine/horn", 0.0)]


def pulse(command: str) -> list[tuple[str, float]]:
    return [(f"command/{command}", 1.0), (f"command/{command}", 0.0)]


@dataclass
class Shop:
    """People who each have a connection, and stand before the oven.

    Attributes:
        after: sequence of the last event before this step. heard: how much the oven was told before.
    """

    it: Floor
    people: dict[str, Any] = field(default_factory=dict)
    after: int = 0
    heard: int = 0

    @property
    def oven(self) -> Any:
        return self.it.ovens["RO0001"]

    async def asks(self, who: str, function: str, **params: Any) -> Any:
        """A result that is answered at once."""
        answer = await self.people[who].call(function, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def job(self, who: str, function: str, **params: Any) -> str:
        """A job that begins; whoever stands there looks into the tunnel where the computer was late with a look."""
        async with asyncio.timeout(120):
            while True:
                answer = await self.people[who].call(function, **params)
                if outcome(answer) == "done":
                    return str(answer["result"]["id"])
                assert outcome(answer) in ("interlocked", "unreachable"), answer
                await self.people["olga"].call("Board.ConfirmEmpty", reason="looked")
                await asyncio.sleep(0.1)

    async def ends(self, who: str, job: str, *states: str, seconds: float = 120) -> dict[str, Any]:
        """The job's end, which whoever began it looks for, so that the connection is never left alone for long."""
        async with asyncio.timeout(seconds):
            while (told := await self.asks(who, "Command.Get", job=job))["endedAt"] is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert told["state"] in (states or ("done",)), told
        return dict(told)

    async def does(self, who: str, function: str, seconds: float = 120, **params: Any) -> dict[str, Any]:
        """A job to its good end; one that ended because the computer was late is asked for again."""
        while True:
            told = await self.ends(who, await self.job(who, function, **params), "done", "stopped", seconds=seconds)
            if told["state"] == "done":
                return told
            assert "not known to be empty" in told["reason"] or "cannot be read" in told["reason"], told

    async def until(self, holds: Callable[[], Any], seconds: float = 120) -> None:
        await self.it.until(holds, seconds)

    async def hears(self, topic: str, **wanted: Any) -> dict[str, Any]:
        """The last event of a topic with these data that was told in this step."""
        async with asyncio.timeout(60):
            while True:
                them = [event["data"] for event in await self._events() if event["method"] == topic]
                fit = [data for data in them if all(data[key] == value for key, value in wanted.items())]
                if fit:
                    return dict(fit[-1])
                await asyncio.sleep(0.02)

    async def begins(self) -> None:
        """A step: what is told from now on."""
        self.after = max((event["sequence"] for event in await self._events()), default=self.after)

    async def _events(self) -> list[dict[str, Any]]:
        answer = await self.asks("olga", "Event.Read", **{"from": "beginning"}, limit=1000)
        assert len(answer["events"]) < 1000, "all of them"
        return [event for event in answer["events"] if event["sequence"] > self.after]

    def told(self) -> list[tuple[str, Any]]:
        """What the oven was told since the last time."""
        new = self.it.wrote()[self.heard :]
        self.heard += len(new)
        return new

    def leaps(self) -> None:
        """The oven's time goes on until it is ready; nothing is inside meanwhile."""
        while self.oven.state != "ready":
            self.oven.advance(1)

    async def alarm(self) -> str:
        """Nitrogen is lost for a moment, and the oven remembers it; the alarm's id."""
        self.oven.add_fault(parse(f"nitrogen-lost@{self.oven.time}+1"))
        await self.until(lambda: "nitrogen/lostLatched" in self.oven.interlocks.latched)
        await self.until(lambda: self.oven.read("nitrogen/present"))
        async with asyncio.timeout(60):
            while True:
                for each in (await self.asks("olga", "Alarm.GetActive"))["alarms"]:
                    if each["alarm"]["code"] == "E084":
                        return str(each["alarm"]["id"])
                await asyncio.sleep(0.02)


# One function each: who did it, and what the oven and the events must say then.


async def requests(shop: Shop) -> str:
    told = await shop.asks("olga", "Status.RequestRemote", reason="trial", minutes=30)
    assert (told["control"], told["pending"]["by"]) == ("local", "olga")
    return "olga"


async def grants(shop: Shop) -> str:
    told = await shop.asks("console", "Status.GrantRemote", minutes=30)
    assert (told["control"], told["pending"]) == ("remote", None)
    changed = await shop.hears("Status.ControlChanged", to="remote")
    assert changed["from"] == "local" and changed["by"] == told["by"]
    return str(told["by"])


async def confirms_empty(shop: Shop) -> str:
    await shop.asks("olga", "Board.ConfirmEmpty", reason="looked")
    lane = (await shop.asks("olga", "Status.Get"))["machines"][0]["lanes"][0]
    assert (lane["boards"], lane["doubt"]) == (0, None)
    return "olga"


async def sets(shop: Shop) -> str:
    before = shop.oven.settings[PATH]
    await shop.does("anna", "Configuration.SetObjectParameter", **SETPOINT, value=before + 1)
    assert shop.oven.settings[PATH] == before + 1
    assert shop.told() == [(PATH, before + 1)]
    change = (await shop.hears("Recipe.SettingChanged", by="anna"))["changes"][0]
    assert (change["object"], change["from"], change["to"]) == ("zone/3/top", before, before + 1)
    return "anna"


async def creates(shop: Shop) -> str:
    kept = await shop.asks("anna", "Recipe.Create", recipe={"name": "NEW", "settings": settings()})
    assert kept["version"] == 1
    await shop.hears("Recipe.Created", recipe="NEW", version=1, by="anna")
    return "anna"


async def updates(shop: Shop) -> str:
    recipe = {"name": "NEW", "settings": settings() | CHANGED, "settlingSeconds": 3}
    kept = await shop.asks("anna", "Recipe.Update", recipe=recipe, basedOn=1)
    assert kept["version"] == 2
    await shop.hears("Recipe.Updated", recipe="NEW", version=2, by="anna")
    return "anna"


async def starts(shop: Shop) -> str:
    assert shop.told() == [], "keeping recipes touches no machine"
    await shop.does("olga", "Recipe.Start", name="NEW")
    assert {path: shop.oven.settings[path] for path in (*CHANGED, PATH)} == CHANGED | {PATH: settings()[PATH]}
    assert (shop.oven.recipe.name, shop.oven.recipe.version) == ("NEW", 2)
    assert shop.told() == [*CHANGED.items(), (PATH, settings()[PATH]), ("recipe/version", 2.0), ("recipe/name", "NEW")]
    await shop.hears("Recipe.Started", recipe="NEW", version=2, previous="SAC305-A", by="olga")
    await shop.hears("Recipe.SettingChanged", by="olga")
    return "olga"


async def deletes(shop: Shop) -> str:
    await shop.asks("root", "Recipe.Delete", name="NEW")
    await shop.hears("Recipe.Deleted", recipe="NEW", version=2, by="root")
    assert shop.oven.recipe.name == "NEW", "what runs goes on"
    return "root"


async def removes(shop: Shop) -> str:
    shop.leaps()
    board = shop.oven.insert_board("PCB1", length_mm=300.0)
    inlet = shop.oven.map.lanes[0].inlet_mm
    await shop.until(lambda: shop.it.unit().boards() and board.place_mm - 300 > inlet + 30)
    shop.oven.conveyors[1].boards.clear()
    (inside,) = (await shop.asks("olga", "Board.GetInProcess"))["machines"][0]["boards"]
    told = await shop.asks("olga", "Board.Remove", id=inside["id"], reason="it hung")
    assert told["boards"] == [inside["id"]]
    lost = await shop.hears("Board.Lost", by="olga", reason="it hung")
    codes = [code["code"] for code in lost["board"]["barcodes"]]
    assert (lost["board"]["id"], codes) == (inside["id"], ["PCB1"]), lost
    return "olga"


async def acknowledges(shop: Shop) -> str:
    alarm = await shop.alarm()
    told = await shop.asks("olga", "Alarm.Acknowledge", id=alarm)
    assert told["acknowledgedBy"] == "olga"
    assert (await shop.hears("Alarm.Acknowledged", by="olga"))["alarm"]["id"] == alarm
    assert "nitrogen/lostLatched" in shop.oven.interlocks.latched, "it changes nothing at the machine"
    assert shop.told() == []
    return "olga"


async def resets(shop: Shop) -> str:
    return await reset(shop, "Alarm.Reset", id=await standing(shop))


async def resets_all(shop: Shop) -> str:
    await shop.alarm()
    return await reset(shop, "Alarm.ResetAll")


async def standing(shop: Shop) -> str:
    (alarm,) = (await shop.asks("olga", "Alarm.GetActive"))["alarms"]
    return str(alarm["alarm"]["id"])


async def reset(shop: Shop, function: str, **params: Any) -> str:
    alarm = await standing(shop)
    told = await shop.asks("olga", function, **params)
    assert (told["reset"], told["remaining"]) == ([alarm], [])
    assert shop.oven.interlocks.latched == set()
    assert shop.told() == pulse("alarmReset")
    assert (await shop.hears("Alarm.Cleared"))["alarm"]["id"] == alarm
    return "olga"


async def switches_off(shop: Shop) -> str:
    await shop.does("anna", "Status.PowerOff")
    assert (shop.oven.state, shop.oven.was_cut_hot) == ("off", False)
    told = shop.told()
    assert told[:2] == pulse("standby") and told[-2:] == pulse("powerOff"), told
    await shop.hears("Status.MachineStatusChanged", to="off")
    return "anna"


async def stops(shop: Shop) -> str:
    while shop.oven.state != "warmingUp":  # a late look ends it before
        job = await shop.job("anna", "Status.PowerOn")
        await shop.until(lambda: shop.oven.state == "warmingUp" or not shop.it.agent._room.executor.jobs)
    assert (await shop.asks("root", "Command.Stop", job=job))["id"] == job
    told = await shop.ends("anna", job, "stopped")
    assert "root" in told["reason"], told
    assert not shop.oven.is_heating
    assert shop.told()[-6:] == HORN + pulse("powerOn") + pulse("standby")
    await shop.hears("Command.Executed", job=job, function="Status.PowerOn", outcome="stopped", by="anna")
    return "root"


async def switches_on(shop: Shop) -> str:
    switching = asyncio.create_task(shop.does("anna", "Status.PowerOn"))
    await shop.until(lambda: shop.oven.state == "warmingUp")
    shop.leaps()
    await switching
    assert shop.oven.state == "ready"
    assert shop.told()[-4:] == HORN + pulse("powerOn")
    assert not shop.oven.wire.orders.values["machine/horn"]
    await shop.hears("Status.MachineStatusChanged", to="ready")
    return "anna"


async def releases(shop: Shop) -> str:
    assert (await shop.asks("anna", "Status.ReleaseRemote"))["control"] == "local"
    await shop.hears("Status.ControlChanged", **{"from": "remote"}, to="local", by="anna")
    answer = await shop.people["anna"].call("Configuration.SetObjectParameter", **SETPOINT, value=170.0)
    assert outcome(answer) == "notRemote"
    return "anna"


STEPS: dict[str, Callable[[Shop], Awaitable[str]]] = {
    "Status.RequestRemote": requests, "Status.GrantRemote": grants, "Board.ConfirmEmpty": confirms_empty,
    "Configuration.SetObjectParameter": sets, "Recipe.Create": creates, "Recipe.Update": updates,
    "Recipe.Start": starts, "Recipe.Delete": deletes, "Board.Remove": removes, "Alarm.Acknowledge": acknowledges,
    "Alarm.Reset": resets, "Alarm.ResetAll": resets_all, "Status.PowerOff": switches_off, "Command.Stop": stops,
    "Status.PowerOn": switches_on, "Status.ReleaseRemote": releases,
}  # fmt: skip
"""Function → what does it, in an order in which each finds what it needs."""


async def peopled(it: Floor, steps: Callable[[Shop], Awaitable[None]]) -> None:
    for name, role in ROLES.items():
        it.knows(name, role=role)
    async with (it.caller("lines", it.tokens["olga"]) as olga, it.caller("websocket", it.tokens["anna"]) as anna,
                it.caller("http", it.tokens["root"]) as root, it.console() as console):  # fmt: skip
        shop = Shop(it, {"olga": olga, "anna": anna, "root": root, "console": console})
        await steps(shop)


def test_the_steps_are_all_functions_that_change_something():
    """At the machine or of what is kept of it; where a reader stands in the stream of events is its own affair."""
    known = FUNCTIONS | CONSOLE
    above_viewer = {name for name, function in known.items() if function.role not in ("viewer", NO_ROLE)}
    commands = {name for name, function in known.items() if issubclass(function.parameters, CommandParameters)}
    assert STEPS.keys() == above_viewer - {"Support.Get"}, "what support packs is read, by administrators"
    assert STEPS.keys() == commands | {"Command.Stop"}
    assert STEPS.keys() == PROCEDURES.keys() | {"Command.Stop"}


def test_every_function_that_changes_something_is_done_and_told_and_read_at_the_oven(tmp_path):
    async def steps(shop: Shop) -> None:
        for function, step in STEPS.items():
            await shop.begins()
            by = await step(shop)
            if function != "Command.Stop":  # no job of its own
                await shop.hears("Command.Executed", function=function, outcome="done", by=by)

    async def go() -> None:
        async with floor(tmp_path, maps={"RO0001": QUICK}, speed=SPEED) as it:
            await peopled(it, steps)

    asyncio.run(go())


LONG_SPEED = 25.0
SLOW_BEATS = replace(QUICK, power=PATIENT.power, groups=tuple(
    replace(group, period_ms=5 * group.period_ms, max_age_ms=120_000) for group in PATIENT.groups))  # fmt: skip
"""The oven with the safe temperature of its map, looked at less often, so that an hour goes by in minutes."""


@pytest.mark.slow
def test_a_cold_oven_is_switched_on_until_it_is_ready_and_off_when_it_is_really_cool(tmp_path):
    async def steps(shop: Shop) -> None:
        assert shop.oven._hottest() < 30
        await grants(shop)
        began = shop.oven.time
        await shop.does("anna", "Status.PowerOn", 600)
        assert shop.oven.state == "ready"
        assert shop.oven.time - began > 600, "it was really cold"
        assert shop.told()[-4:] == HORN + pulse("powerOn")

        told = await shop.does("anna", "Status.PowerOff", 600)
        assert told["steps"][-1]["text"] == "Switch off"
        assert (shop.oven.state, shop.oven.was_cut_hot) == ("off", False)
        assert shop.oven._hottest() < 60
        assert shop.told()[-2:] == pulse("powerOff")

    async def go() -> None:
        assert SLOW_BEATS.power.safe_celsius == 60
        async with floor(tmp_path, maps={"RO0001": SLOW_BEATS}, speed=LONG_SPEED, cold=True) as it:
            await peopled(it, steps)

    asyncio.run(go())
