"""Everything that clients see of the machines: types, nodes, values, events, alarms and history, in one server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from asyncua import Node, ua

from edgeagent.model.events import TOPICS, AlarmTold
from edgeagent.publish.opcua import companion, history_capabilities, own_types
from edgeagent.publish.opcua.alarms import Alarms
from edgeagent.publish.opcua.companion import Companions
from edgeagent.publish.opcua.conditions import condition_happening, told
from edgeagent.publish.opcua.event_history import EventHistory
from edgeagent.publish.opcua.events import Events
from edgeagent.publish.opcua.happenings import SERVER, Happening, happening
from edgeagent.publish.opcua.history import MOST_VALUES, History, Point
from edgeagent.publish.opcua.machines import MachineNodes, add_machine
from edgeagent.publish.opcua.methods import Methods
from edgeagent.publish.opcua.node_ids import MACHINES_URI, TYPES_URI, NodeIds
from edgeagent.publish.opcua.nodes import EVENT_HISTORY, EVENTS, Builder, good
from edgeagent.publish.opcua.port import AgentPort
from edgeagent.publish.opcua.server import UaServer
from edgeagent.publish.opcua.standing import Standing
from edgeagent.publish.opcua.values import Values

_MOST_WAITING = 200
"""Events that were not told yet."""

_log = logging.getLogger(__name__)


class InformationModel:
    """The machines of a port in a server that was initialised and does not serve yet.

    Args:
        session: the session that calls at this moment, as the agent knows it; None where there is none.
        owns: whether a subscription belongs to who calls at this moment.
        contested: numbers that no node gets.
    """

    node_ids: NodeIds
    alarms: Alarms

    def __init__(
        self, server: UaServer, port: AgentPort, session: Callable[[], int | None], owns: Callable[[int], bool],
        contested: frozenset[int] = frozenset(),
    ) -> None:  # fmt: skip
        self._contested = contested
        self._server = server
        self._port = port
        self._session = session
        self._owns = owns
        self._machines: dict[str, MachineNodes] = {}
        self._notifiers: dict[ua.NodeId, tuple[str, ...]] = {}
        self._historic: dict[ua.NodeId, Point] = {}
        self._events = Events(server.iserver.subscription_service)
        self._values = Values()
        self._standing = Standing(port, self._values.doubt)
        self._methods = Methods(port, session)
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._last = "", 0
        self._is_held = False

    async def start(self) -> None:
        """Make everything, and follow what the agent tells from now on; raises Contested."""
        companions = await self._add_types()
        snapshot = await self._port.call("Event.Snapshot", {}, None)
        self._last = snapshot["stream"], snapshot["sequence"]
        standing = {machine["status"]["machine"]: machine for machine in snapshot["machines"]}
        for machine in self._port.machines:
            nodes = self._machines[machine.id] = add_machine(
                self._server.iserver.aspace, machine, self.node_ids, companions
            )
            self._values.add(machine.id, machine.points, nodes.places)
            self._notifiers[nodes.node] = (machine.id,)
            for column in machine.historic:
                key = f"{machine.id}/{machine.points[column].path}"
                self._historic[self.node_ids.of_node(key)] = Point(machine, column)
            await self._methods.add_to(self._node(nodes.node), machine.id, self.node_ids.of_node)
            await self._standing.add(nodes)
        self.node_ids.require_order_is_nothing()
        for machine_id, nodes in self._machines.items():  # conditions come and go: they give way to what stays
            await self.alarms.add(nodes, standing[machine_id]["alarms"])
        self._notify_at_the_server()
        history_capabilities.describe(self._server.iserver.aspace, MOST_VALUES)
        self._server.iserver.history_manager = History(  # type: ignore[assignment]
            self._port, self._historic.get, self._notifiers.get, self._session,
            EventHistory(self._port, self._server.iserver.aspace, self._made, lambda: self._last),
        )  # fmt: skip
        self._follow()

    async def stop(self) -> None:
        """Let nothing change any more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._methods.stop()
        await self._standing.stop()
        await self._values.stop()

    async def settled(self) -> None:
        """Wait until all that was told so far is shown."""
        await self._waiting.join()
        await self._values.written()

    async def _add_types(self) -> Companions:
        space = self._server.iserver.aspace
        uris = (companion.DI_URI, companion.MACHINERY_URI, TYPES_URI, MACHINES_URI)
        indexes = [await self._server.register_namespace(uri) for uri in uris]
        companions = Companions(*indexes[:2])
        companion.add_types(space, companions)
        self.node_ids = NodeIds(indexes[2], indexes[3], self._contested)
        own_types.add_types(space, self.node_ids)
        self.alarms = Alarms(self._port, space, self.node_ids, self._events, self._session, self._owns)
        self.alarms.offer_methods()
        return companions

    def _notify_at_the_server(self) -> None:
        """Let the Server object tell the events of all machines."""
        space = self._server.iserver.aspace
        self._notifiers[SERVER] = tuple(self._machines)
        value = good(EVENTS | EVENT_HISTORY, ua.VariantType.Byte)
        space[SERVER].attributes[ua.AttributeIds.EventNotifier].value = value
        builder = Builder(space)
        for nodes in self._machines.values():
            builder.refer(SERVER, ua.ObjectIds.HasNotifier, nodes.node)

    def _follow(self) -> None:
        self._values.start()
        self._standing.start()
        self._task = asyncio.create_task(self._tell(), name="OPC UA events")
        self._port.on_values = self._values.take
        self._port.on_event = self._hear
        self._port.follow(self._last[1])

    def _hear(self, event: dict[str, Any]) -> None:
        """Let an event wait until those before it are told; the agent keeps what is too much, in its journal."""
        self._waiting.put_nowait(event)
        if self._waiting.qsize() >= _MOST_WAITING and not self._is_held:
            self._is_held = True
            self._port.hold(True)

    async def _tell(self) -> None:
        """Tell events one after another, in order."""
        while True:
            event = await self._waiting.get()
            if self._is_held and self._waiting.qsize() <= _MOST_WAITING // 2:
                self._is_held = False
                self._port.hold(False)
            try:
                await self._take(event)
            except Exception:  # noqa: BLE001  supervised: logged, and the next event is told
                _log.exception("OPC UA: the event %s %s could not be told", event.get("method"), event.get("sequence"))
            finally:
                self._waiting.task_done()

    async def _take(self, event: Mapping[str, Any]) -> None:
        self._last = event["stream"], event["sequence"]
        self._standing.take(event)
        if TOPICS[event["method"]].data is AlarmTold:
            await self.alarms.take(event)
        elif event["machine"] in self._machines:
            await self._events.tell(self._made(event))

    def _made(self, event: Mapping[str, Any]) -> Happening:
        """The event that OPC UA tells of one of the journal."""
        nodes = self._machines[event["machine"]]
        notifiers: Sequence[ua.NodeId] = (SERVER, nodes.node)
        if TOPICS[event["method"]].data is not AlarmTold:
            return happening(event, self.node_ids, notifiers)
        condition = told(event)
        source = nodes.parts.get(condition.alarm.object, nodes.node)
        return condition_happening(condition, self.node_ids, source, notifiers)

    def _node(self, node_id: ua.NodeId) -> Node:
        return Node(self._server.iserver.isession, node_id)
