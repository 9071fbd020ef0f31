"""The parts of the OPC UA process, put together: a server, what it shows, and what can be called."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from asyncua import ua
from asyncua.server.server import Server

from edgeagent.publish.opcua.port import AgentPort, Load

_PAGE_BYTES = 4096
"""What /proc counts in."""


class Serving:
    """A server that shows what the port tells."""

    def __init__(self, port: AgentPort) -> None:
        self._port = port
        self._server = Server(user_manager=_Nobody())  # type: ignore[arg-type]

    async def start(self) -> str:
        """Make everything and listen; return the endpoint.

        Raises:
            OSError: it cannot listen there.
        """
        settings, server = self._port.settings, self._server
        await server.init()
        await server.set_application_uri(settings.application_uri)
        server.set_endpoint(f"opc.tcp://{settings.host}:{settings.port}")
        server.set_security_policy([])
        server.set_identity_tokens([ua.UserNameIdentityToken])
        await server.start()
        assert server.bserver is not None
        port = cast("asyncio.Server", server.bserver._server).sockets[0].getsockname()[1]
        return f"opc.tcp://{settings.host}:{port}"

    async def stop(self) -> None:
        """End listening and every session."""
        await self._server.stop()

    def load(self) -> Load:
        """What it has to do now."""
        return Load(resident_bytes=resident_bytes())


class _Nobody:
    """Lets nobody in."""

    def get_user(self, *_: object, **__: object) -> None:
        """No user."""


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
