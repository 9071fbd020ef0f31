"""kill -9 with boards inside: nothing durable is lost or told twice, every board is found again and completed."""

import asyncio
import random
import time
from pathlib import Path

from tests.journeys.plant import Client, Plant, plant

MOST_SPEED = 15.0
HIDDEN_S = 8.0
"""So much of the oven's time a start may take: a third of a board's way past the outlet, so that none comes out unseen,
also where the computer is three times as busy in some moments."""
BOARD_MM = 300.0
BARELY_IN_MM = 60.0
"""A board whose edge is not further in may not have been a board yet when the agent last wrote down what it knew: it is
one after 40 mm and the barrier's debounce, and that is written down within a second."""
BELT_MM_S = 700 / 60


class Mes:
    """Subscribes after each restart from where it stood, and keeps everything that it was told."""

    def __init__(self) -> None:
        self.events: list[dict] = []
        self.stream = ""
        self._task: asyncio.Task | None = None
        self._client: Client | None = None

    async def attach(self, the_plant: Plant) -> None:
        client = self._client = await the_plant.client()
        place = {"stream": self.stream, "sequence": len(self.events) + 1} if self.events else "beginning"
        answer = await client.call("Event.Subscribe", topics=["*"], **{"from": place})
        assert self.stream in ("", answer["stream"]), "the stream is the same over all restarts"
        self.stream = answer["stream"]
        self._task = asyncio.create_task(self._listen(client))

    async def detach(self) -> None:
        """The connection is gone: what the listener found wrong comes out here."""
        self._client.close()
        await self._task

    async def _listen(self, client: Client) -> None:
        while message := await client.notification():
            params = message["params"]
            if "sequence" in params:
                assert params["sequence"] == len(self.events) + 1, "no number twice, none left out"
                assert params["previous"] == len(self.events)
                self.events.append({"method": message["method"], **params})

    def of(self, topic: str) -> list[dict]:
        return [event for event in self.events if event["method"] == topic]


async def journey(folder: Path, kills: int) -> tuple[Mes, list[str]]:
    """Lay boards and kill the agent until it was enough, then wait until the last board is out."""
    chance = random.Random(11)
    mes = Mes()
    seen: list[str] = []
    doubt_mm: dict[str | None, float] = {}
    async with plant(folder, min(MOST_SPEED, HIDDEN_S / await start_s(folder))) as the_plant:
        oven = the_plant.machine
        await the_plant.start_agent()
        await mes.attach(the_plant)
        laid_s = killed = 0.0
        while killed < kills or oven.boards:
            await the_plant.clock.sleep(chance.uniform(3.0, 18.0))
            # The last kills meet the boards inside by then, or one more where a slow computer let all of them out.
            is_wanted = killed < kills - 10 or (killed < kills and not oven.boards)
            if oven.state == "ready" and oven.time - laid_s > 38 and is_wanted:
                oven.insert_board(f"K{killed:02.0f}", BOARD_MM)
                laid_s = oven.time
            if killed < kills and oven.boards:
                entering = {board.barcode for board in oven.boards if board.place_mm < BARELY_IN_MM}
                killed_s = oven.time
                await the_plant.kill_agent()
                await mes.detach()
                killed += 1
                await the_plant.start_agent()
                await mes.attach(the_plant)
                doubt_mm |= dict.fromkeys(entering, (oven.time - killed_s) * BELT_MM_S)
                await found_again(the_plant, seen, doubt_mm)
        await asyncio.sleep(1)
        client = await the_plant.client()
        stored = (await client.call("Event.Read", **{"from": "beginning", "limit": 1000}))["events"]
        told = mes.events[: len(stored)]
        assert [(e["sequence"], e["time"], e["data"]) for e in stored] == [
            (e["sequence"], e["time"], e["data"]) for e in told]
        client.close()
        await mes.detach()
        assert await the_plant.end_agent() == 0
    return mes, seen


async def start_s(folder: Path) -> float:
    """How long this computer takes to start an agent now, the second time; real seconds."""
    trial = folder / "trial"
    trial.mkdir()
    async with plant(trial, 1.0) as the_plant:
        for _ in range(2):
            begun = time.monotonic()
            await the_plant.start_agent()
            took_s = time.monotonic() - begun
            await the_plant.end_agent()
    return took_s


async def found_again(the_plant: Plant, seen: list[str], doubt_mm: dict[str | None, float]) -> None:
    """Soon after the start each board stands where the oven has it; a busy computer may need some looks to see it.

    A board that came to the inlet while nobody looked came at some moment of that time: nobody can know it nearer, then
    or later.
    """
    client = await the_plant.client()
    try:
        for _ in range(20):
            await asyncio.sleep(0.2)
            inside = (await client.call("Board.GetInProcess"))["machines"][0]["boards"]
            truth = {board.barcode: board.place_mm for board in the_plant.machine.boards}
            places = {code["code"]: board["positionMm"] for board in inside for code in board["barcodes"]}
            apart = {code: (place, truth[code]) for code, place in places.items()
                     if code in truth and place < 4600
                     and abs(place - truth[code]) > 50 + doubt_mm.get(code, 0.0)}
            if not apart:
                seen.extend(places)
                return
        raise AssertionError(f"agent and oven do not agree: {apart}")
    finally:
        client.close()


def test_the_agent_is_killed_twenty_times_and_no_board_and_no_event_is_lost(tmp_path):
    mes, seen = asyncio.run(journey(tmp_path, 20))
    started = [e["data"]["board"]["id"] for e in mes.of("Board.ProcessStarted")]
    completed = [e["data"]["board"]["id"] for e in mes.of("Board.ProcessCompleted")]
    assert len(started) == len(set(started)) >= 4
    assert completed == started, [(e["method"], e["data"].get("reason")) for e in mes.events if "Lost" in e["method"]]
    assert not mes.of("Board.Unexpected"), [e["data"] for e in mes.of("Board.Unexpected")]
    assert len(seen) >= 20, "boards were inside at most of the kills"
    boards = [event["data"]["board"] for event in mes.of("Board.ProcessCompleted")]
    gaps = [board["samples"]["longestGapSeconds"] for board in boards]
    assert all(gap > 1 for gap in gaps[:-2]), "each record tells the gap; the last boards may have entered after it all"
    for board in boards:
        assert board["samples"]["good"] + board["samples"]["missing"] == board["samples"]["expected"]
        assert len(board["barcodes"]) == 1
