"""One agent, two machines, and one of them read over two wires: each keeps its own rows, events and sequence places."""

import asyncio
import math
import shutil
from pathlib import Path

import pytest

from edgeagent import config
from edgeagent.agent import Agent
from edgeagent.clock import Clock
from edgeagent.simulate import SimulatedOven
from firmware_iface import catalog
from tests.acquire.device import device
from tests.journeys.plant import Client

SPEED = 10.0


def configuration(folder: Path, ports: list[int], analyser: int) -> tuple:
    shutil.copy(Path(__file__).parent / "instrument.toml", folder)
    text = "[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n"
    for number, port in enumerate(ports, start=1):
        text += f'[[machines]]\nid = "RO{number}"\n[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\n'
        text += f'host = "127.0.0.1"\nport = {port}\n'
        if number == 1:
            text += '[[machines.sources]]\nkind = "modbus-tcp"\nmap = "./instrument.toml"\n'
            text += f'host = "127.0.0.1"\nport = {analyser}\n'
    (folder / "agent.toml").write_text(text)
    return config.load(folder / "agent.toml")


async def two_machines(folder: Path) -> None:
    clock = Clock(SPEED, Clock().wall_ns())
    ovens = [SimulatedOven(catalog.builtin("reflow10"), clock, seed=seed) for seed in (1, 2)]
    async with device() as analyser:
        ports = [await oven.start() for oven in ovens]
        agent = Agent(*configuration(folder, ports, analyser.port), folder / "store.sqlite3", clock)
        await agent.start()
        try:
            host, port = agent.addresses["TCP lines"].rsplit(":", 1)
            client = Client(*await asyncio.open_connection(host, int(port), limit=1 << 22))
            await client.call("Event.Subscribe", topics=["*"], **{"from": "beginning"})
            of_second = await client.call("Event.Subscribe", topics=["Status.*"], machines=["RO2"])
            assert of_second["stream"]
            async with asyncio.timeout(20):
                ready: set[str] = set()
                while ready != {"RO1", "RO2"}:
                    message = await client.notification()
                    if message["params"]["data"].get("to") == "ready":
                        ready.add(message["params"]["machine"])
            await check_values(client, ovens, analyser)
            client.close()
        finally:
            await agent.stop()
            for oven in ovens:
                await oven.stop()


async def check_values(client: Client, ovens: list[SimulatedOven], analyser) -> None:
    values = (await client.call("Status.GetValues", machine="RO1", objects=["analyser/1", "zone/1/top"]))["values"]
    told = {(v["object"], v["name"]): (v["value"], v["quality"]) for v in values}
    assert told["analyser/1", "oxygen"] == (600, "good")
    assert told["analyser/1", "temperature"] == (70.0, "good")
    assert told["zone/1/top", "temperature"][1] == "good"
    objects = await client.call("Configuration.GetObjects", machine="RO2")
    assert "analyser/1" not in {described["object"] for described in objects["objects"]}

    ovens[1].oven.start_recipe("OTHER", 9, {}, 70.0)
    async with asyncio.timeout(20):
        while (message := await client.notification())["method"] != "Recipe.Started" or (
                message["params"]["data"]["recipe"] != "OTHER"):
            pass
    assert message["params"]["machine"] == "RO2"
    status = (await client.call("Status.Get"))["machines"]
    assert [(m["machine"], m["recipe"]["name"]) for m in status] == [("RO1", "SAC305-A"), ("RO2", "OTHER")]

    analyser.accepts = False
    analyser.answer = lambda request: b""
    async with asyncio.timeout(20):
        while True:
            values = (await client.call("Status.GetValues", machine="RO1"))["values"]
            oxygen = next(v for v in values if v["object"] == "analyser/1" and v["name"] == "oxygen")
            if oxygen["quality"] == "bad":
                break
            await asyncio.sleep(0.05)
    assert oxygen["value"] is None
    temperature = next(v for v in values if v["object"] == "zone/1/top" and v["name"] == "temperature")
    assert temperature["quality"] == "good", "one dead wire costs the others nothing"
    assert not math.isnan(temperature["value"])


@pytest.mark.slow
def test_two_machines_and_a_second_wire_in_one_agent(tmp_path):
    asyncio.run(two_machines(tmp_path))
