"""An MES that follows everything, and goes on after each restart of the agent from where it stood."""

import asyncio

from tests.journeys.plant import Client, Plant


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
