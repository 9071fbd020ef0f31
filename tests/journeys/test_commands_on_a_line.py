"""A recipe and commands over a serial line: `edgeagent simulate --serial` on a pty, the agent as its one master."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from edgeagent import config
from tests.acquire.rtu_device import frame
from tests.journeys.floor import PATIENT, Floor, SureClock
from tests.model.test_recipe_checks import settings
from tests.simulate.test_serial_bus import Master

BAUD, UNIT = 1_000_000, 3
CHANGED = {"zone/1/top/setpoint": 132.0, "zone/1/bottom/setpoint": 133.0}


class Simulator:
    """The command in a process of its own, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self, words: str) -> None:
        """Read on until it says this."""
        async with asyncio.timeout(120):
            while words not in (line := (await self._process.stdout.readline()).decode()):
                assert line, f"it ended and never said {words}"


@asynccontextmanager
async def simulating(tty: Path) -> AsyncIterator[Simulator]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "edgeagent", "simulate", "--serial", str(tty), "--baud", str(BAUD), "--map",
        f"reflow10:{UNIT}", "--boards", "0", "--speed", "20",
        stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.PIPE)  # fmt: skip
    try:
        yield Simulator(process)
    finally:
        process.terminate()
        await process.communicate()


@asynccontextmanager
async def agent(folder: Path, tty: Path) -> AsyncIterator[Floor]:
    line = config.LineTable("rs485", str(tty), BAUD, master=True)
    machine = config.MachineTable("RO0001", (config.ModbusRtuTable("reflow10", "rs485", UNIT),))
    tables: dict[str, Any] = {
        "lines": (line,), "machines": (machine,), "control": config.ControlTable(enabled=True),
        "openapps": config.OpenAppsTable(http=config.HttpTable(port=0), lines=config.LinesTable(port=0))}  # fmt: skip
    it = Floor(folder, {"RO0001": SimpleNamespace(map=PATIENT)}, tables, SureClock())
    await it.start()
    try:
        await it.connected()
        yield it
    finally:
        await it.stop()


async def asked(tty: Path, function: int, address: int, count: int) -> bytes:
    """What the unit answers another master, once the agent has left the line."""
    master = Master(tty)
    try:
        size = 2 * count if function == 3 else (count + 7) // 8
        question = bytes([UNIT, function]) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
        await master.silent()
        answer = await master.ask(question, 5 + size)
        assert answer == frame(answer[:-2]) and answer[2] == size, answer
        return answer[3:-2]
    finally:
        master.close()


def test_a_recipe_and_commands_go_over_a_serial_line_and_stand_in_the_unit(tmp_path):
    async def steps(it: Floor, oven: Simulator, anna: Any) -> None:
        async def job(function: str, **params: Any) -> str:
            answer = await anna.call(function, **params)
            assert "result" in answer, answer
            return str(answer["result"]["id"])

        assert "result" in await anna.call("Board.ConfirmEmpty", reason="looked")
        recipe = {"name": "SERIAL", "settings": settings() | CHANGED, "settlingSeconds": 1}
        assert "result" in await anna.call("Recipe.Create", recipe=recipe)
        ended = await it.ended(await job("Recipe.Start", name="SERIAL"))
        assert ended["state"] == "done", ended
        assert ended["steps"][1]["text"] == f"writes 2 of {len(settings())} settings, the others stand already"

        power = await job("Status.PowerOff")
        await oven.says("coolingDown")
        assert "result" in await anna.call("Command.Stop", job=power)
        assert (await it.ended(power))["state"] == "stopped"

    async def go() -> None:
        tty = tmp_path / "tty"
        async with simulating(tty) as oven:
            await oven.says("ready")
            async with agent(tmp_path, tty) as it:
                it.knows("anna", role="engineer")
                await it.grant()
                async with it.caller("lines", it.tokens["anna"]) as anna:
                    await steps(it, oven, anna)
            places = {path: PATIENT.register(path).address for path in (*CHANGED, "recipe/name", "command/standby")}
            told = [int.from_bytes(await asked(tty, 3, places[path], 1), "big") for path in CHANGED]
            assert told == [round(10 * value) for value in CHANGED.values()]
            assert await asked(tty, 3, places["recipe/name"], 3) == b"SERIAL"
            assert await asked(tty, 1, places["command/standby"], 1) == b"\0", "the pulse was taken back"

    asyncio.run(go())
