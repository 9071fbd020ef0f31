"""The parts of the OPC UA process, put together: a server, what it shows, and what can be called."""

from __future__ import annotations

from pathlib import Path

from edgeagent.publish.opcua.caller import calling, calling_session
from edgeagent.publish.opcua.information_model import InformationModel
from edgeagent.publish.opcua.node_ids import Contested
from edgeagent.publish.opcua.port import AgentPort, Load
from edgeagent.publish.opcua.server import UaServer

_PAGE_BYTES = 4096
"""What /proc counts in."""


class Serving:
    """A server that shows what the port tells."""

    def __init__(self, port: AgentPort) -> None:
        self._port = port
        self._begin(frozenset())

    def _begin(self, contested: frozenset[int]) -> None:
        self._server = UaServer(self._port)
        self._model = InformationModel(self._server, self._port, calling, _owns, contested)

    async def start(self) -> str:
        """Make everything and listen; return the endpoint.

        Raises:
            OSError: it cannot listen there.
            Unreadable: its certificate or its key cannot be read.
        """
        while True:
            await self._server.init()
            try:
                await self._model.start()
            except Contested as found:
                await self._server.stop()
                self._begin(found.numbers)
            else:
                break
        await self._server.start()
        return self._server.endpoint.geturl()

    async def stop(self) -> None:
        """End listening and every session."""
        await self._server.stop()
        await self._model.stop()

    def load(self) -> Load:
        """What it has to do now."""
        server = self._server.iserver
        subscriptions = len(server.subscription_service.subscriptions)
        return Load(self._server.connections, len(server.sessions), subscriptions, self._server.items,
                    resident_bytes())  # fmt: skip


def _owns(subscription: int) -> bool:
    """Whether a subscription belongs to whose request is being answered."""
    session = calling_session()
    return session is not None and session.own(subscription) is not None


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
