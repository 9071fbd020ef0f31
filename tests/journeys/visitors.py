"""Clients of an agent under load: they come and go, ask, listen, and some stop reading; one follows all the time."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp

from tests.journeys.plant import Client

CHANCE = random.Random(5)


class Follower:
    """Holds every durable event of the stream in order, and the codes of the boards that they tell of."""

    def __init__(self) -> None:
        self.topics: Counter[str] = Counter()
        self.last = 0
        self.started: set[str] = set()
        self.ended: Counter[str] = Counter()
        self.codes: set[str] = set()

    async def follow(self, address: tuple[str, int]) -> None:
        """Listen until cancelled; fails at the first event that is missing, told twice or out of order."""
        async with lines(address) as client:
            await client.call("Event.Subscribe", topics=["*"], **{"from": "beginning"})
            while message := await client.notification():
                self.topics[message["method"]] += 1
                parameters = message["params"]
                if "sequence" in parameters:
                    assert parameters["previous"] == self.last, parameters
                    assert parameters["sequence"] == self.last + 1, parameters
                    self.last += 1
                    self._note(message["method"], parameters["data"])
        raise ConnectionError("the agent ended the follower's connection")

    def _note(self, topic: str, data: dict) -> None:
        if topic == "Board.ProcessStarted":
            self.started.add(data["board"]["id"])
        elif topic in ("Board.ProcessCompleted", "Board.Lost"):
            self.ended[data["board"]["id"]] += 1
            self.codes |= {code["code"] for code in data["board"]["barcodes"]}


class Visitors:
    """Keeps some clients of every kind at the agent, each for a while.

    Attributes:
        visits: how many came, by kind.
        delays_ms: how long a small question over an open connection took.
    """

    def __init__(self, http: str, address: tuple[str, int]) -> None:
        self._http = http
        self._lines = address
        self.visits: Counter[str] = Counter()
        self.delays_ms: list[float] = []

    async def crowd(self) -> None:
        """Come and go until cancelled; whatever an agent answers wrongly fails here."""
        kinds = (self._asks, self._reads_events, self._looks_up_boards, self._listens, self._listens, self._is_stuck)
        async with asyncio.TaskGroup() as group:
            for kind in kinds:
                group.create_task(self._again(kind))

    async def probe(self) -> None:
        """Ask for the status ten times a second until cancelled."""
        async with lines(self._lines) as client:
            while True:
                asked = time.perf_counter()
                await client.call("Status.Get")
                self.delays_ms.append((time.perf_counter() - asked) * 1000)
                await asyncio.sleep(0.1)

    async def _again(self, kind) -> None:
        while True:
            await kind()
            self.visits[kind.__name__.strip("_").replace("_", " ")] += 1
            await asyncio.sleep(CHANCE.uniform(0.1, 1.0))

    async def _asks(self) -> None:
        """Over HTTP, a connection for some questions."""
        async with aiohttp.ClientSession() as http:
            for method in ("Configuration.GetObjects", "Status.Get", "Status.GetValues", "Alarm.GetActive",
                           "Board.GetInProcess", "Event.Snapshot"):  # fmt: skip
                body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method})
                headers = {"Content-Type": "application/json"}
                async with http.post(self._http, data=body, headers=headers) as answer:
                    assert "result" in await answer.json(), method

    async def _reads_events(self) -> None:
        """Over lines, from the beginning by pages, then waiting for the next."""
        place: object = "beginning"
        async with lines(self._lines) as client:
            for _ in range(20):
                page = await client.call("Event.Read", limit=100, waitMs=500, **{"from": place})
                assert not page["gaps"], page["gaps"]
                place = {"stream": page["stream"], "sequence": page["nextSequence"]}

    async def _looks_up_boards(self) -> None:
        """Over lines: the newest boards, the first one's record and trace."""
        async with lines(self._lines) as client:
            found = await client.call("Board.Find", limit=CHANCE.randint(1, 100))
            for board in found["boards"][:1]:
                assert (await client.call("Board.Get", id=board["id"]))["id"] == board["id"]
                await client.call("Board.GetTrace", id=board["id"])

    async def _listens(self) -> None:
        """Over WebSocket, to everything for some seconds; some leave without a word."""
        async with aiohttp.ClientSession() as http:
            socket = await http.ws_connect(self._http)
            everything = {"jsonrpc": "2.0", "id": 1, "method": "Event.Subscribe", "params": {"topics": ["*"]}}
            await socket.send_json(everything)
            assert "result" in await socket.receive_json()
            with suppress(TimeoutError):
                async with asyncio.timeout(CHANCE.uniform(1, 10)):
                    while True:
                        assert "method" in await socket.receive_json()
            if CHANCE.random() < 0.5:
                await socket.close()

    async def _is_stuck(self) -> None:
        """Over lines: wants everything from the beginning and reads nothing of it."""
        async with lines(self._lines) as client:
            await client.call("Event.Subscribe", topics=["*"], **{"from": "beginning"})
            await asyncio.sleep(CHANCE.uniform(5, 15))


@asynccontextmanager
async def lines(address: tuple[str, int]) -> AsyncIterator[Client]:
    """A client over a connection of its own; it reads ahead no more than a few of the longest lines."""
    client = Client(*await asyncio.open_connection(*address, limit=1 << 22))
    try:
        yield client
    finally:
        client.close()
