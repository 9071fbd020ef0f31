"""A server with the machines of a fake agent, and a client connected to it; what it tells was told by an agent once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from asyncua import Client, Node

from edgeagent.errors import CommandRefused
from edgeagent.publish.opcua.information_model import InformationModel
from edgeagent.publish.opcua.port import ServedMachine
from edgeagent.publish.opcua.server import UaServer
from tests.publish.opcua.clients import Application, connected
from tests.publish.opcua.fakes import FakePort, settings

EXAMPLES = msgspec.json.decode(resources.files("edgeagent.publish.openapps").joinpath("examples.json").read_bytes())

_ASKED = (
    "Event.Snapshot", "Configuration.GetMachine", "Configuration.GetSoftwareVersion", "Status.Get", "Board.Find",
    "Board.GetInProcess", "Recipe.GetCurrentName", "Recipe.List", "Alarm.GetHistory",
)  # fmt: skip


def said(function: str) -> Any:
    """What an agent answered."""
    return msgspec.json.decode(msgspec.json.encode(EXAMPLES["functions"][function]["result"]))


def event(topic: str) -> Any:
    """The data of an event that an agent told."""
    return EXAMPLES["events"][topic]["data"]


def _renamed(answer: Any, machine: str) -> Any:
    return msgspec.json.decode(msgspec.json.encode(answer).replace(b"RO0001", machine.encode()))


class Oven:
    """The fake agent's oven as a client sees it.

    Attributes:
        session: who calls. foreign: subscriptions that are not the caller's.
        journal: every event that was told.
    """

    client: Client
    model: InformationModel

    def __init__(self, port: FakePort) -> None:
        self.port = port
        self.session: int | None = None
        self.foreign: set[int] = set()
        self.journal: list[dict[str, Any]] = []
        for function in _ASKED:
            port.answers[function] = self._of_its_machine(said(function))
        ids = [machine.id for machine in port.machines]
        each_one = [said("Event.Snapshot")["machines"][0] for _ in ids]
        snapshot = said("Event.Snapshot") | {"stream": port.stream, "sequence": 0}
        snapshot["machines"] = [_renamed(its, name) for its, name in zip(each_one, ids, strict=True)]
        port.answers["Event.Snapshot"] = snapshot
        versions = said("Configuration.GetSoftwareVersion")
        versions["machines"] = [versions["machines"][0] | {"machine": name} for name in ids]
        port.answers["Configuration.GetSoftwareVersion"] = versions
        port.answers["Event.Read"] = self._read

    def _of_its_machine(self, answer: Any) -> Callable[[dict[str, Any], int | None], Any]:
        """What an agent would say of the machine that it is asked about, in place of the one that it had then."""
        return lambda asked, _: _renamed(answer, asked["machine"])

    def node(self, key: str) -> Node:
        """A node of a machine by the name that its number is made from."""
        return self.client.get_node(self.model.node_ids.of_node(key))

    def type(self, name: str) -> Node:
        """A type of ours."""
        return self.client.get_node(self.model.node_ids.of_type(name))

    async def tell(
        self, topic: str, data: Any = None, time: str = "2026-11-21T22:50:00.000Z", machine: str = "RO0001"
    ) -> None:  # fmt: skip
        """Let an event happen, and wait until it is told."""
        its = {
            "method": topic, "stream": self.port.stream, "sequence": self.port.sequence + 1,
            "previous": self.port.sequence, "time": time, "clock": "trusted", "machine": machine,
            "data": event(topic) if data is None else data,
        }  # fmt: skip
        self.journal.append(its)
        self.port.tell(topic, its["data"], machine, time)
        await self.model.settled()

    def _read(self, asked: dict[str, Any], _: int | None) -> Any:
        place = asked["from"]
        first = 1 if place == "beginning" else place["sequence"]
        limit = asked.get("limit", 100)
        wanted = [
            each for each in self.journal[first - 1 :]
            if "machines" not in asked or each["machine"] in asked["machines"]
        ]
        following = wanted[limit - 1]["sequence"] + 1 if len(wanted) >= limit else len(self.journal) + 1
        return {"stream": self.port.stream, "firstSequence": 1, "nextSequence": following, "events": wanted[:limit],
                "gaps": []}  # fmt: skip


@asynccontextmanager
async def serving(
    folder: Path, application: Application, machines: Sequence[ServedMachine] | None = None
) -> AsyncIterator[Oven]:  # fmt: skip
    """Serve, and connect."""
    shutil.copytree(application.folder / "server" / "own", folder / "own")
    application.is_trusted_by(folder)
    oven = Oven(FakePort(settings(folder), machines))
    server = UaServer(oven.port)
    await server.init()
    oven.model = InformationModel(server, oven.port, lambda: oven.session, lambda number: number not in oven.foreign)
    await oven.model.start()
    await server.start()
    async with connected(server, application) as oven.client:
        yield oven
    await server.stop()
    await oven.model.stop()


Body = Callable[[Oven], Coroutine[Any, Any, None]]


async def until(node: Node, wanted: Any) -> None:
    """Wait until a node has a value, or one of which a callable says that it is wanted."""
    is_wanted = wanted if callable(wanted) else lambda value: value == wanted
    async with asyncio.timeout(30):
        while not is_wanted((await node.read_data_value(raise_on_bad_status=False)).Value.Value):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def refuse(kind: str) -> Callable[[dict[str, Any], int | None], Any]:
    """An answer of the fake agent that refuses."""

    def refused(_: dict[str, Any], __: int | None) -> Any:
        raise CommandRefused(kind, "It may not.", "RO0001")

    return refused
