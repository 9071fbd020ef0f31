"""A backup while boards run, work goes on, a restore while boards run: the past is back and no board is lost."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.journeys.plant import Client, Plant, plant

SPEED = 15.0


async def command(the_plant: Plant, name: str, *options: str) -> str:
    """Run a command as the administrator would; returns what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "edgeagent", name, "--config", str(the_plant.folder / "agent.toml"),
        str(the_plant.folder / "backup.db"), *options,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def inside(client: Client) -> dict[str, float]:
    """Where the agent has the boards, by barcode, in mm."""
    boards = (await client.call("Board.GetInProcess"))["machines"][0]["boards"]
    return {code["code"]: board["positionMm"] for board in boards for code in board["barcodes"]}


async def completed(client: Client, *codes: str) -> list[dict]:
    """Wait until these boards are out; returns their records."""
    async with asyncio.timeout(120):
        while True:
            found = [(await client.call("Board.Find", barcode=code))["boards"] for code in codes]
            if all(found):
                return [boards[0] for boards in found]
            await asyncio.sleep(0.5)


async def enter(the_plant: Plant, client: Client, code: str) -> None:
    the_plant.machine.insert_board(code, 300.0)
    async with asyncio.timeout(60):
        while code not in await inside(client):  # noqa: ASYNC110  asked as an MES asks
            await asyncio.sleep(0.3)


async def journey(folder: Path) -> None:
    async with plant(folder, SPEED) as the_plant:
        await the_plant.start_agent()
        client = await the_plant.client()
        while the_plant.machine.state != "ready":  # noqa: ASYNC110  the oven has no event to wait for
            await asyncio.sleep(0.2)
        await enter(the_plant, client, "A")
        await completed(client, "A")
        await enter(the_plant, client, "B")
        assert "boards  1" in await command(the_plant, "backup")
        await completed(client, "B")
        await enter(the_plant, client, "C")
        before = await client.call("Event.Read", **{"from": "beginning", "limit": 1000})
        told = await command(the_plant, "restore", "--yes")
        assert "1 board records" in told
        client.close()
        await the_plant.hear_addresses()

        client = await the_plant.client()
        places = await inside(client)
        truth = {board.barcode: board.place_mm for board in the_plant.machine.boards}
        assert set(places) == set(truth) == {"C"}, "the board of the backup's time is not inside any more"
        records = await completed(client, "A", "B", "C")
        assert [[code["code"] for code in record["barcodes"]] for record in records] == [["A"], ["B"], ["C"]]
        assert records[2]["samples"]["longestGapSeconds"] > 1, "the restart is told"
        assert len({record["id"] for record in records}) == 3
        after = await client.call("Event.Read", **{"from": "beginning", "limit": 1000})
        client.close()
        assert after["stream"] != before["stream"]
        newest = before["events"][-1]["sequence"]
        fresh = [event for event in after["events"] if event["sequence"] > newest]
        topics = [event["method"] for event in fresh]
        assert "Configuration.Changed" in topics
        assert topics.count("Board.ProcessCompleted") == 1
        assert not {"Board.Lost", "Board.Unexpected"} & set(topics)
        again = {event["sequence"] for event in after["events"]} - {event["sequence"] for event in before["events"]}
        assert again == {event["sequence"] for event in fresh}, "no number that was given is given again"
        assert await the_plant.end_agent() == 0


@pytest.mark.slow
def test_a_store_is_restored_under_the_running_agent_and_no_board_is_lost(tmp_path):
    asyncio.run(journey(tmp_path))
