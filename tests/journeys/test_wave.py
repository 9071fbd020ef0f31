"""A board through a wave machine, from the registers on a real socket to the record that an MES gets."""

import asyncio

import pytest

from tests.journeys.plant import Client, plant

SPEED = 30.0
SETTLED_S = 0.35
"""Over a longer gap between two beats (a busy computer at this speed) lengths and seconds are less exact."""


async def told(client: Client, method: str, **wanted) -> dict:
    """Data of the next notification of a name that has the wanted members."""
    async with asyncio.timeout(60):
        while True:
            params = (message := await client.notification())["params"]
            if message["method"] == method and wanted.items() <= params["data"].items():
                return params["data"]


async def solder_a_board(folder) -> None:
    async with plant(folder, SPEED, "wave") as the_plant:
        await the_plant.start_agent()
        client = await the_plant.client()
        await client.call("Event.Subscribe", topics=["*"], **{"from": "beginning"})
        await told(client, "Status.MachineStatusChanged", to="ready")
        truth = the_plant.machine.insert_board("PCB0001", 180.0)
        started = (await told(client, "Board.ProcessStarted"))["board"]
        assert [code["code"] for code in started["barcodes"]] == ["PCB0001"]
        board = (await told(client, "Board.ProcessCompleted"))["board"]
        assert board["id"] == started["id"]
        check_the_record(board, truth)
        await ask_for_it(client, board)
        client.close()


def check_the_record(board: dict, truth) -> None:
    assert not {"zones", "profile"} & board.keys()
    assert [len(board[kind]) for kind in ("flux", "preheat", "waves", "cooling")] == [1, 3, 2, 1]
    assert board["recipe"] == {"name": "SAC305-W", "version": 1}
    temperature, pump, height = board["waves"][1]["values"]
    assert abs(temperature["mean"] - 260) < 2
    assert truth.peak > 230, "the board was in the waves"
    if board["samples"]["longestGapSeconds"] < SETTLED_S:
        assert [round(wave["seconds"]) for wave in board["waves"]] == [1, 2]
        assert abs(sum(wave["seconds"] for wave in board["waves"]) - 60 / 20) < 0.1
        assert abs(pump["mean"] - 600) < 20
        assert abs(height["mean"] - 10) < 0.5
        assert abs(board["flux"][0]["values"][0]["mean"] - 40) < 2
        assert board["verdict"]["process"] == "pass", board["verdict"]
        assert abs(board["lengthMm"] - 180) < 5


async def ask_for_it(client: Client, board: dict) -> None:
    assert await client.call("Board.Get", id=board["id"]) == board
    assert (await client.call("Board.Find", barcode="PCB0001"))["boards"] == [board]
    trace = await client.call("Board.GetTrace", id=board["id"])
    assert list(trace["zones"]) == [f"preheat/{half}" for half in ("1/bottom", "2/bottom", "3/top", "3/bottom")] + [
        "pot/1", "cooling/1"]  # fmt: skip
    assert set(trace["estimated"]) == {None}
    machine = await client.call("Configuration.GetMachine")
    assert machine["kind"] == "wave"
    assert [(zone["kind"], zone["objects"]) for zone in machine["zones"]][4] == ("wave", ["pot/1", "wave/1"])
    async with asyncio.timeout(30):  # a busy computer misses a beat, and says so
        while True:
            values = (await client.call("Status.GetValues", objects=["wave/2", "flux/1"]))["values"]
            if {value["quality"] for value in values} == {"good"}:
                break
    assert {(value["object"], value["name"]) for value in values} >= {("wave/2", "pumpSpeed"), ("flux/1", "flow")}


@pytest.mark.slow
def test_an_mes_gets_the_record_of_a_wave_soldered_board(tmp_path):
    asyncio.run(solder_a_board(tmp_path))
