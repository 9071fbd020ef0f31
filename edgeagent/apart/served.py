"""What the OPC UA process is told as it begins: its settings, and the machines as they do not change."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgeagent import __version__
from edgeagent.config import OpcuaTable, is_loopback
from edgeagent.model.callers import NO_ROLE, Caller
from edgeagent.model.functions.machines import MachineDescription, Objects
from edgeagent.publish.opcua.port import Bounds, OpcuaSettings, ServedMachine

if TYPE_CHECKING:
    from edgeagent.apart.feed import Feed
    from edgeagent.model.machine import Machine
    from edgeagent.publish.outlet import Outlet

ITSELF = Caller("opcua:", "viewer", "opcua", "the OPC UA process")
"""The OPC UA process, where no client asks."""


def role_of_anybody(table: OpcuaTable) -> str:
    """What who did not say who it is may: a role, or NO_ROLE."""
    return "viewer" if table.anonymous_reading and is_loopback(table.host) else NO_ROLE


def settings(table: OpcuaTable, store: Path, folder: Path) -> OpcuaSettings:
    """What the configuration says.

    Args:
        store: the database file. folder: where relative paths of the configuration begin.
    """
    pki = store.absolute().parent / "pki" if table.folder is None else (folder / table.folder).absolute()
    return OpcuaSettings(
        host=table.host, port=table.port, names=table.names, policies=table.policies, folder=str(pki),
        application_uri=table.application_uri or f"urn:edgeagent:{socket.gethostname()}", version=__version__,
        anonymous_reading=role_of_anybody(table) != NO_ROLE, bounds=Bounds(sessions=table.sessions),
    )  # fmt: skip


async def served(outlet: Outlet, machines: Iterable[tuple[Machine, Feed]]) -> tuple[ServedMachine, ...]:
    """Describe the machines as JSON-RPC does."""
    found = []
    for machine, feed in machines:
        of_machine = msgspec.json.encode({"machine": machine.id})
        description: MachineDescription = await outlet.call("Configuration.GetMachine", of_machine, ITSELF)
        objects: Objects = await outlet.call("Configuration.GetObjects", of_machine, ITSELF)
        found.append(ServedMachine(description, objects.objects, machine.points, machine.groups, feed.historic))
    return tuple(found)
