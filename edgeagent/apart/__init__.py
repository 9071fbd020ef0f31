"""The OPC UA process: starts, feeds and answers it; where none is wanted, nothing of it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeagent.apart.process import OpcuaProcess
    from edgeagent.apart.trusted import TrustedClients
    from edgeagent.clock import Clock
    from edgeagent.config import OpcuaTable
    from edgeagent.publish.access import Access
    from edgeagent.publish.authentication import Authentication
    from edgeagent.publish.delivery import Delivery
    from edgeagent.publish.jsonrpc import Dispatcher
    from edgeagent.store import Audit, Checkpoints
    from edgeagent.unit import Unit


def opcua_outlet(
    table: OpcuaTable | None, store: Path, folder: Path, access: Access, dispatcher: Dispatcher, delivery: Delivery,
    authentication: Authentication, units: Sequence[Unit], clock: Clock,
) -> OpcuaProcess | None:  # fmt: skip
    """The outlet, if it is wanted; it has not begun.

    Args:
        store: the database file. folder: where relative paths of the configuration begin.
    """
    if table is None:
        return None
    from edgeagent.apart.process import OpcuaProcess  # noqa: PLC0415  only where it is served
    from edgeagent.apart.served import role_of_anybody, settings  # noqa: PLC0415

    return OpcuaProcess(settings(table, store, folder), role_of_anybody(table), access, dispatcher, delivery,
                        authentication, units, clock)  # fmt: skip


def opcua_clients(opcua: OpcuaProcess, checkpoints: Checkpoints, audit: Audit, clock: Clock) -> TrustedClients:
    """The watch over whom an outlet trusts."""
    from edgeagent.apart.trusted import TrustedClients  # noqa: PLC0415  only where it is served

    return TrustedClients(opcua.folder, checkpoints, audit, clock)
