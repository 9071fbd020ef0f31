"""How the machines stand: state, recipes and boards, asked for anew whenever an event says that they changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from edgeagent.errors import CommandRefused
from edgeagent.model.functions.machines import MachineDescription
from edgeagent.publish.opcua.machines import MachineNodes
from edgeagent.publish.opcua.port import AgentPort

_RESULTS = 20
"""Boards that left, of which each machine shows the records."""

_LOOK_S = 1.0
"""How often boards inside are asked for while there are any: they move without an event."""

_PATIENCE_S = 5.0
"""The agent answers within this time, or nobody knows how anything stands."""

_LOOK_AT_ALL = 10
"""Of so many looks one is at all that may change without an event."""

STATUS, INSIDE, RESULTS, RUNNING, KEPT, IDENTITY = "status", "inside", "results", "running", "kept", "identity"
_ALL = frozenset((STATUS, INSIDE, RESULTS, RUNNING, KEPT, IDENTITY))
_BY_TIME = frozenset((INSIDE, RUNNING, IDENTITY))
"""What may change without an event, beside the status, which is asked for at every look."""

_CHANGED_BY = {
    "Configuration": {IDENTITY, STATUS},
    "Alarm": {STATUS},
    "Board": {STATUS, INSIDE, RESULTS},
    "Status": {STATUS, IDENTITY},
    "Recipe": {STATUS, RUNNING, KEPT},
}
"""First word of an event → what may be another after it."""

_log = logging.getLogger(__name__)


class Standing:
    """Shows how all machines stand.

    Args:
        doubt: told whether the agent does not answer: nobody knows then whether it tells what changes.
    """

    def __init__(self, port: AgentPort, doubt: Callable[[bool], None]) -> None:
        self._port = port
        self._doubt = doubt
        self._machines: dict[str, MachineNodes] = {}
        self._due: dict[str, set[str]] = {}
        self._busy: set[str] = set()
        self._refused: dict[str, str] = {}
        self._is_in_doubt = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def add(self, nodes: MachineNodes) -> None:
        """Show a machine for the first time."""
        self._machines[nodes.id] = nodes
        self._due[nodes.id] = set()
        await self._show(nodes, _ALL)

    def take(self, event: Mapping[str, Any]) -> None:
        """Take notice of an event."""
        if event["machine"] in self._due:
            self._due[event["machine"]] |= _CHANGED_BY.get(event["method"].partition(".")[0], set())
            self._news.set()

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look(), name="OPC UA: how machines stand")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _look(self) -> None:
        looks = 0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LOOK_S)
            if not self._news.is_set():
                looks += 1
                self._look_by_time(is_at_all=looks % _LOOK_AT_ALL == 0)
            self._news.clear()
            for nodes in self._machines.values():
                await self._show_due(nodes)

    async def _show_due(self, nodes: MachineNodes) -> None:
        due, self._due[nodes.id] = self._due[nodes.id] | {STATUS}, set()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._show(nodes, due)
            await self._know(True)
        except TimeoutError:
            self._due[nodes.id] |= due
            await self._know(False)
        except CommandRefused as refused:
            self._due[nodes.id] |= due
            if self._refused.get(nodes.id) != refused.reason:
                self._refused[nodes.id] = refused.reason
                _log.warning("OPC UA: %s cannot be asked how it stands: %s", nodes.id, refused.reason)
        except Exception:  # noqa: BLE001  supervised: logged, and looked at again
            _log.exception("OPC UA: how %s stands could not be shown", nodes.id)

    async def _know(self, is_known: bool) -> None:
        """Let everything that is shown say whether the agent answers."""
        self._doubt(not is_known)
        if self._is_in_doubt == (not is_known):
            return
        self._is_in_doubt = not is_known
        for nodes in self._machines.values():
            for record in nodes.records:
                await record.doubt(not is_known)
            if not is_known:
                await nodes.state.show("unknown")

    def _look_by_time(self, is_at_all: bool) -> None:
        for machine in self._machines:
            if is_at_all:
                self._due[machine] |= _BY_TIME
            elif machine in self._busy:
                self._due[machine].add(INSIDE)

    async def _show(self, nodes: MachineNodes, due: frozenset[str] | set[str]) -> None:
        for what in sorted(due):
            await getattr(self, f"_show_{what}")(nodes)

    async def _ask(self, function: str, nodes: MachineNodes, **more: Any) -> Any:
        return await self._port.call(function, {"machine": nodes.id, **more}, None)

    async def _show_status(self, nodes: MachineNodes) -> None:
        [status] = (await self._ask("Status.Get", nodes))["machines"]
        await nodes.state.show(status["state"])
        await nodes.status.show(status)
        for lane in status["lanes"]:
            if lane["lane"] in nodes.lanes:
                await nodes.lanes[lane["lane"]].show(lane)

    async def _show_inside(self, nodes: MachineNodes) -> None:
        [answer] = (await self._ask("Board.GetInProcess", nodes))["machines"]
        boards: Sequence[Mapping[str, Any]] = answer["boards"]
        (self._busy.add if boards else self._busy.discard)(nodes.id)
        await nodes.inside.show(boards)

    async def _show_results(self, nodes: MachineNodes) -> None:
        boards = (await self._ask("Board.Find", nodes, limit=_RESULTS))["boards"]
        await nodes.results.show(boards)
        await nodes.last.show(boards[0] if boards else {})

    async def _show_running(self, nodes: MachineNodes) -> None:
        await nodes.running.show(await self._ask("Recipe.GetCurrentName", nodes))

    async def _show_kept(self, nodes: MachineNodes) -> None:
        await nodes.kept.show((await self._ask("Recipe.List", nodes))["recipes"])

    async def _show_identity(self, nodes: MachineNodes) -> None:
        told = msgspec.convert(await self._ask("Configuration.GetMachine", nodes), MachineDescription)
        versions = (await self._port.call("Configuration.GetSoftwareVersion", {}, None))["machines"]
        firmware = next((each["firmware"] for each in versions if each["machine"] == nodes.id), None)
        await nodes.identification.show(told, firmware)
