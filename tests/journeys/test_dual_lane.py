"""The agent against the dual-lane oven over a real socket: each lane's boards are told as its own."""

import asyncio
from pathlib import Path

import pytest

from edgeagent import config
from edgeagent.agent import Agent
from edgeagent.clock import Clock
from edgeagent.simulate import SimulatedOven
from firmware_iface import catalog
from tests.journeys.plant import Client

SPEED = 20.0


async def both_lanes(folder: Path) -> None:
    clock = Clock(SPEED, Clock().wall_ns())
    simulated = SimulatedOven(catalog.builtin("reflow12"), clock)
    for lane in (1, 2):
        simulated.oven.schedule(45.0, count=3, lane=lane)
    port = await simulated.start()
    (folder / "agent.toml").write_text(
        '[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n[[machines]]\nid = "RO12"\n[[machines.sources]]\n'
        f'kind = "modbus-tcp"\nmap = "reflow12"\nhost = "127.0.0.1"\nport = {port}\n'
    )
    agent = Agent(*config.load(folder / "agent.toml"), folder / "store.sqlite3", clock)
    await agent.start()
    try:
        host, tcp = agent.addresses["TCP lines"].rsplit(":", 1)
        client = Client(*await asyncio.open_connection(host, int(tcp), limit=1 << 22))
        await client.call("Event.Subscribe", topics=["Board.*"], **{"from": "beginning"})
        finished = []
        async with asyncio.timeout(90):
            while len(finished) < 6:
                message = await client.notification()
                assert message["method"] not in ("Board.Lost", "Board.Unexpected"), message
                if message["method"] == "Board.ProcessCompleted":
                    finished.append(message["params"]["data"]["board"])
        client.close()
    finally:
        await agent.stop()
        await simulated.stop()
    for lane, conveyor in simulated.oven.conveyors.items():
        truth = [board.barcode for board in (*conveyor.finished, *conveyor.boards)]
        records = [record for record in finished if record["lane"] == lane]
        assert [record["barcodes"][0]["code"] for record in records] == truth
        assert [record["profile"]["peak"] for record in records] == pytest.approx(3 * [244.5], abs=3)


@pytest.mark.slow
def test_boards_of_both_lanes_are_recorded_over_a_real_socket(tmp_path):
    asyncio.run(both_lanes(tmp_path))
