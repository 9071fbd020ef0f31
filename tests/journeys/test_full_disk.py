"""The disk gets full under a running agent: it polls, serves, tells and refuses commands, and recovers by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edgeagent import config
from tests.journeys.floor import PATIENT, SETPOINT, Floor, floor, outcome
from tests.store.samples import scanned
from tests.store.small_disk import SmallDisk, small_disk
from tests.store.test_stand_in import zero_root

SET = "Configuration.SetObjectParameter"
ROOM = config.StoreTable(free_megabytes=2, reserve_megabytes=1)


async def codes(caller: Any) -> set[str]:
    alarms = (await caller.call("Alarm.GetActive"))["result"]["alarms"]
    return {each["alarm"]["code"] for each in alarms if each["alarm"]["object"] == "agent/store"}


async def told(caller: Any) -> list[tuple[str, str]]:
    parameters = {"from": "beginning", "topics": ["Alarm.*"]}
    events = (await caller.call("Event.Read", **parameters))["result"]["events"]
    return [(each["method"], each["data"]["alarm"]["code"]) for each in events]


async def until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110  another process' disk wakes nobody
            await asyncio.sleep(0.05)


@pytest.mark.slow
def test_a_full_disk_is_told_commands_are_refused_and_all_is_well_once_there_is_room(tmp_path: Path) -> None:
    async def life(it: Floor, disk: SmallDisk, anna: Any) -> None:
        await it.grant("RO0001")
        assert outcome(await anna.call(SET, **SETPOINT, value=170.0, requestId="a")) != "refused"
        disk.fill(1_500_000)
        await until(lambda: has(anna, "diskNearlyFull"))
        disk.fill()
        while it.agent._database.room.spent is None:
            it.agent.units[0].tell(scanned("x" * 20_000))
            await asyncio.sleep(0.005)
        await until(lambda: has(anna, "diskFull"))
        await until(lambda: is_told(anna, ("Alarm.Raised", "diskFull")))
        refused = await anna.call(SET, **SETPOINT, value=171.0, requestId="b")
        assert "disk is full" in refused["error"]["message"] + str(refused["error"].get("data"))
        is_ready, parts = it.agent.health.ready()
        assert (is_ready, "disk is full" in parts["disk"]) == (False, True)
        values = (await anna.call("Status.GetValues"))["result"]["values"]
        raised_at = next(alarm.raised_at for alarm in it.unit().alarms() if alarm.code == "diskFull")
        assert [each for each in values if each["quality"] == "good" and each["time"] > raised_at], "it polls"
        disk.empty()
        await until(lambda: has(anna, "diskFull", stands=False))
        await until(lambda: is_told(anna, ("Alarm.Cleared", "diskFull")))
        answer = await anna.call(SET, **SETPOINT, value=172.0, requestId="c")
        assert "error" not in answer, answer

    async def has(anna: Any, code: str, stands: bool = True) -> bool:
        return (code in await codes(anna)) == stands

    async def is_told(anna: Any, what: tuple[str, str]) -> bool:
        return what in await told(anna)

    async def go(disk: SmallDisk) -> None:
        async with floor(disk.folder, maps={"RO0001": PATIENT}, store=ROOM) as it:
            it.knows("anna", role="engineer")
            async with it.caller("http", it.tokens["anna"]) as anna:
                await life(it, disk, anna)

    with small_disk(tmp_path, mebibytes=16) as disk:
        asyncio.run(go(disk))


@pytest.mark.slow
def test_an_agent_begins_on_a_full_disk_without_a_reserve_serves_refuses_commands_and_recovers(tmp_path: Path) -> None:
    async def begins(it: Floor, disk: SmallDisk) -> None:
        await it.stop()
        disk.fill()
        it.agent = None
        it.store.with_name(f"{it.store.name}.reserve").unlink(missing_ok=True)
        disk.fill()
        await it.start()
        async with it.caller("http", it.tokens["anna"]) as anna:
            assert (await anna.call("Event.Read", **{"from": "beginning", "topics": ["*"]}))["result"]["events"]
            await until(lambda: has(anna, "diskFull"))
            is_ready, parts = it.agent.health.ready()
            assert (is_ready, "disk is full" in parts["disk"]) == (False, True)
            before = {each["time"] for each in (await anna.call("Status.GetValues"))["result"]["values"]}
            await until(lambda: moves(anna, before))
            async with it.console() as console:
                refused = await console.call("Status.GrantRemote", machine="RO0001", minutes=60)
            assert "disk is full" in str(refused["error"])
            assert "error" in await anna.call(SET, **SETPOINT, value=171.0, requestId="b")
            assert not it.wrote()
            disk.empty()
            await until(lambda: has(anna, "diskFull", stands=False))
            await until(lambda: is_told(anna, ("Alarm.Cleared", "diskFull")))
            await it.grant("RO0001")
            answer = await anna.call(SET, **SETPOINT, value=172.0, requestId="c")
            assert "error" not in answer, answer

    async def has(anna: Any, code: str, stands: bool = True) -> bool:
        return (code in await codes(anna)) == stands

    async def is_told(anna: Any, what: tuple[str, str]) -> bool:
        return what in await told(anna)

    async def moves(anna: Any, before: set[str]) -> bool:
        values = (await anna.call("Status.GetValues"))["result"]["values"]
        return any(each["quality"] == "good" and each["time"] not in before for each in values)

    async def go(disk: SmallDisk) -> None:
        async with floor(disk.folder, maps={"RO0001": PATIENT}, store=ROOM) as it:
            it.knows("anna", role="engineer")
            await begins(it, disk)

    with small_disk(tmp_path, mebibytes=16) as disk:
        asyncio.run(go(disk))


@pytest.mark.slow
def test_an_agent_begins_on_a_full_disk_with_a_damaged_store_polls_tells_and_heals_once_there_is_room(
    tmp_path: Path,
) -> None:
    async def go(disk: SmallDisk) -> None:
        async with floor(disk.folder, maps={"RO0001": PATIENT}, store=ROOM) as it:
            it.knows("anna", role="engineer")
            await it.stop()
            it.agent = None
            zero_root(it.store, "alarms")
            it.store.with_name(f"{it.store.name}.reserve").unlink(missing_ok=True)
            disk.fill()
            await it.start()
            async with it.caller("http", it.tokens["anna"]) as anna:
                await until(lambda: stands(anna, "diskFull"))
                await until(lambda: stands(anna, "storeRefuses"))
                assert "the store is damaged" in it.agent.health.ready()[1]["store"]
                assert (await anna.call("Event.Read", **{"from": "beginning", "topics": ["*"]}))["result"]["events"]
                assert (await anna.call("Board.Find"))["error"]["data"]["kind"] == "busy"
                async with it.console() as console:
                    refused = await console.call("Status.GrantRemote", machine="RO0001", minutes=60)
                assert "disk is full" in str(refused["error"])
                raised_at = next(alarm.raised_at for alarm in it.unit().alarms() if alarm.code == "diskFull")
                await until(lambda: polls(anna, raised_at))
                disk.empty()
                await until(lambda: stands(anna, "storeDamaged"))
                await until(lambda: stands(anna, "diskFull", False))
                await it.grant("RO0001")
                assert "error" not in await anna.call(SET, **SETPOINT, value=172.0, requestId="c")
                assert ("Alarm.Raised", "diskFull") in await told(anna)

    async def stands(anna: Any, code: str, is_so: bool = True) -> bool:
        return (code in await codes(anna)) == is_so

    async def polls(anna: Any, since: str) -> bool:
        values = (await anna.call("Status.GetValues"))["result"]["values"]
        return any(each["quality"] == "good" and each["time"] > since for each in values)

    with small_disk(tmp_path, mebibytes=16) as disk:
        asyncio.run(go(disk))
