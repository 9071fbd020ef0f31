"""A server over the fake agent, with an oven that has something of each kind."""

from __future__ import annotations

import asyncio
import gc
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asyncua import Node, ua

from edgeagent.publish.opcua.caller import calling, calling_session
from edgeagent.publish.opcua.information_model import InformationModel
from edgeagent.publish.opcua.port import Bounds
from edgeagent.publish.opcua.server import UaServer
from tests.publish.opcua.clients import Application, Wire, der, secured, session, url
from tests.publish.opcua.fakes import FakePort, settings
from tests.publish.opcua.ovens import Oven, event


class Guarded:
    """A server that runs.

    Attributes:
        temperature: a Double. profile: an array of ten. writable: what anybody with a name may write. many: variables.
        who: a method that answers who called, as the agent knows it; `calls` counts them.
    """

    temperature: Node
    profile: Node
    writable: Node
    who: Node
    many: list[Node]

    def __init__(self, port: FakePort, application: Application) -> None:
        self.port = port
        self.application = application
        self.server = UaServer(port)
        self.calls = 0
        self.model: InformationModel | None = None

    @property
    def url(self) -> str:
        return url(self.server)

    @property
    def der(self) -> bytes:
        return der(self.server)

    @property
    def subscriptions(self) -> dict[int, Any]:
        return dict(self.server.iserver.subscription_service.subscriptions)

    async def begin(self, variables: int = 0, has_machines: bool = False) -> None:
        await self.server.init()
        index = await self.server.register_namespace("urn:test:oven")
        oven = await self.server.nodes.objects.add_object(ua.NodeId(1, index), "Oven")
        self.oven = oven
        self.temperature = await oven.add_variable(ua.NodeId(2, index), "Temperature", 240.5)
        self.profile = await oven.add_variable(ua.NodeId(3, index), "Profile", [float(each) for each in range(10)])
        self.writable = await oven.add_variable(ua.NodeId(4, index), "Remark", "")
        await self.writable.set_writable()
        self.who = await oven.add_method(ua.NodeId(5, index), "Who", self._who, [], [ua.VariantType.Int64])
        self.many = [
            await oven.add_variable(ua.NodeId(1000 + number, index), f"Value{number}", float(number))
            for number in range(variables)
        ]
        if has_machines:
            await oven.add_method(ua.NodeId(10_000, index), "Complete", self._complete, [], [])
            Oven(self.port)
            self.model = InformationModel(self.server, self.port, calling, self._owns)
            await self.model.start()
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()
        if self.model:
            await self.model.stop()

    def _owns(self, subscription: int) -> bool:
        session = calling_session()
        return session is not None and session.own(subscription) is not None

    async def _who(self, _: ua.NodeId) -> list[ua.Variant]:
        await asyncio.sleep(0)
        self.calls += 1
        return [ua.Variant(calling() or 0, ua.VariantType.Int64)]

    async def _complete(self, _: ua.NodeId) -> list[ua.Variant]:
        """Let a board be completed, and everybody be told."""
        assert self.model is not None
        self.port.tell("Board.ProcessCompleted", event("Board.ProcessCompleted"))
        await self.model.settled()
        return []

    async def wire(self, user: str = "mes", token: str = "operator-token") -> Wire:
        """A connection with a session, whose requests a test makes itself."""
        wire = await self.channel()
        activated = await session(wire, self.application, self.der, user, token)
        assert isinstance(activated, ua.ActivateSessionResponse), activated
        return wire

    async def channel(self, policy: str = "Basic256Sha256") -> Wire:
        """A connection with a channel, and no session."""
        wire = await Wire.to(self.url)
        await wire.greet()
        opened = await wire.open(secured(self.application, self.der, policy))
        assert isinstance(opened, ua.OpenSecureChannelResponse), opened
        return wire


@asynccontextmanager
async def guarded(
    folder: Path, application: Application, bounds: Bounds | None = None, anonymous_reading: bool = False,
    is_trusted: bool = True, variables: int = 0, has_machines: bool = False,
) -> AsyncIterator[Guarded]:  # fmt: skip
    """Run one, whose key is made once for all tests."""
    shutil.copytree(application.folder / "server" / "own", folder / "own", dirs_exist_ok=True)
    if is_trusted:
        application.is_trusted_by(folder)
    its = Guarded(FakePort(settings(folder, bounds, anonymous_reading)), application)
    await its.begin(variables, has_machines)
    try:
        yield its
    finally:
        await its.stop()


def read(node: Node, attribute: ua.AttributeIds = ua.AttributeIds.Value, part: str | None = None) -> ua.ReadRequest:
    request = ua.ReadRequest()
    request.Parameters.NodesToRead = [ua.ReadValueId(node.nodeid, attribute, part)]
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    return request


def subscribe(interval_ms: float = 100.0, keep_alive: int = 10, lifetime: int = 1000) -> ua.CreateSubscriptionRequest:
    request = ua.CreateSubscriptionRequest()
    asked = request.Parameters
    asked.RequestedPublishingInterval, asked.RequestedMaxKeepAliveCount = interval_ms, keep_alive
    asked.RequestedLifetimeCount, asked.PublishingEnabled = lifetime, True
    return request


def monitor(
    subscription: int, *nodes: Node, queue: int = 10, part: str | None = None
) -> ua.CreateMonitoredItemsRequest:
    request = ua.CreateMonitoredItemsRequest()
    request.Parameters.SubscriptionId = subscription
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    for handle, node in enumerate(nodes):
        item = ua.MonitoredItemCreateRequest()
        item.ItemToMonitor = ua.ReadValueId(node.nodeid, ua.AttributeIds.Value, part)
        item.MonitoringMode = ua.MonitoringMode.Reporting
        item.RequestedParameters.ClientHandle, item.RequestedParameters.QueueSize = handle, queue
        request.Parameters.ItemsToCreate.append(item)
    return request


def status(answer: Any) -> str:
    """Name of the status of a response, a fault or an error."""
    if isinstance(answer, ua.ErrorMessage):
        return answer.Error.name
    return str(answer.ResponseHeader.ServiceResult.name)


async def _alone(folder: Path, application: Path) -> None:
    """Serve in a process of its own, until its input ends; the first line says where."""
    loop = asyncio.get_running_loop()
    async with guarded(folder, Application(application), variables=200, has_machines=True) as its:
        await its.temperature.write_value(1.0)
        gc.collect()
        print(its.url, flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_alone(Path(sys.argv[1]), Path(sys.argv[2])))
