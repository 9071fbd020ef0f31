"""Clients that ask for far too much, each kind in a process of its own; for the measured runs against our server."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from tests.publish.opcua.clients import Application, Wire, secured, session
from tests.publish.opcua.guarded import monitor, read, subscribe
from tests.publish.opcua.test_bounds import deep_variant, pieces, plain
from tests.publish.opcua.test_services import event_item
from tests.publish.opcua.test_sessions import call

OPERATIONS = 1000


class Flood:
    """One process of them."""

    def __init__(self, url: str, application: Application, server_der: bytes) -> None:
        self.url, self.application, self.der = url, application, server_der
        self.oven, self.who, self.writable, self.temperature = (Numbered(number) for number in (1, 5, 4, 2))
        self.complete = Numbered(10_000)
        self.many = [Numbered(1000 + number) for number in range(200)]

    async def wire(self) -> Wire:
        wire = await Wire.to(self.url)
        await wire.greet()
        await wire.open(secured(self.application, self.der))
        await session(wire, self.application, self.der)
        return wire

    async def forever(self, request: Callable[[Wire], bytes | Any]) -> None:
        """Ask one thing again and again, without waiting for answers longer than the socket makes one wait."""
        while True:
            with suppress(OSError, AssertionError, TimeoutError):
                wire = await self.wire()
                reading = asyncio.create_task(drain(wire))
                while not reading.done():
                    asked = request(wire)
                    wire.message(asked) if isinstance(asked, bytes) else wire.request(asked)
                    await wire.writer.drain()
                    await asyncio.sleep(0)
            await asyncio.sleep(0.01)

    async def calls(self) -> None:
        request = ua.CallRequest()
        request.Parameters.MethodsToCall = [ua.CallMethodRequest(self.oven.nodeid, self.who.nodeid)] * OPERATIONS
        await self.forever(lambda _: request)

    async def reads(self) -> None:
        request = read(self.temperature)
        request.Parameters.NodesToRead *= OPERATIONS
        await self.forever(lambda _: request)

    async def browses(self) -> None:
        request = ua.BrowseRequest()
        wanted = ua.BrowseDescription(self.oven.nodeid, ua.BrowseDirection.Both)
        wanted.IncludeSubtypes = True
        wanted.ReferenceTypeId = ua.NodeId(ua.ObjectIds.References)
        request.Parameters.NodesToBrowse = [wanted] * OPERATIONS
        await self.forever(lambda _: request)

    async def refreshes(self) -> None:
        numbers: dict[int, int] = {}
        while True:
            with suppress(OSError, AssertionError, TimeoutError, AttributeError):
                wire = await self.wire()
                number = (await wire.ask(subscribe(50))).Parameters.SubscriptionId
                numbers[id(wire)] = number
                one = call(ua.ObjectIds.ConditionType, ua.ObjectIds.ConditionType_ConditionRefresh, number)
                one.Parameters.MethodsToCall *= OPERATIONS
                reading = asyncio.create_task(drain(wire))
                while not reading.done():
                    wire.request(one)
                    await wire.writer.drain()
                    await asyncio.sleep(0)
            await asyncio.sleep(0.01)

    async def nested(self) -> None:
        await self.forever(lambda wire: deep_variant(wire, self, 5000))

    async def malformed(self) -> None:
        good = struct_to_binary(read(self.temperature))
        await self.forever(lambda _: good[:30] + os.urandom(200))

    async def chunks(self) -> None:
        """Hold pieces before there is a session."""
        while True:
            with suppress(OSError, TimeoutError, AttributeError):
                wire = await plain(self.url)
                for _ in range(40):
                    wire.send(pieces(wire, bytes(60_000)))
                    await wire.writer.drain()
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.01)

    async def connections(self) -> None:
        """Come, and say nothing."""
        held: list[Wire] = []
        while True:
            with suppress(OSError):
                held.append(await Wire.to(self.url))
            if len(held) > 50:
                held.pop(0).writer.transport.abort()
            await asyncio.sleep(0.001)

    async def certificates(self) -> None:
        while True:
            with suppress(OSError, TimeoutError, AttributeError):
                wire = await Wire.to(self.url)
                await wire.greet()
                policy = secured(self.application, self.der)
                policy.host_certificate = self.application.own.der[:-64] + os.urandom(64)
                await wire.open(policy)
                wire.writer.transport.abort()
            await asyncio.sleep(0)

    async def orphans(self) -> None:
        """Subscribe to everything, and be cut off."""
        while True:
            with suppress(OSError, AssertionError, TimeoutError, AttributeError):
                wire = await self.wire()
                for _ in range(4):
                    number = (await wire.ask(subscribe(50))).Parameters.SubscriptionId
                    await wire.ask(monitor(number, *self.many, queue=100))
                wire.writer.transport.abort()


    async def listeners(self) -> None:
        """Let boards be completed, listen with many items, and take nothing."""
        while True:
            with suppress(OSError, AssertionError, TimeoutError, AttributeError):
                wire = await self.wire()
                for _ in range(4):
                    number = (await wire.ask(subscribe(50))).Parameters.SubscriptionId
                    items = event_item(number, [], 100)
                    items.Parameters.ItemsToCreate *= 25
                    await wire.ask(items)
                request = ua.CallRequest()
                request.Parameters.MethodsToCall = [ua.CallMethodRequest(self.oven.nodeid, self.complete.nodeid)]
                for _ in range(200):
                    await wire.ask(request)
                wire.writer.transport.abort()
            await asyncio.sleep(0.01)


class Numbered:
    """A node of the test's oven as a client knows it."""

    def __init__(self, number: int) -> None:
        self.nodeid = ua.NodeId(number, 2)


async def drain(wire: Wire) -> None:
    """Read and drop, until the server ends it."""
    with suppress(OSError):
        while await wire.reader.read(1 << 16):
            pass


KINDS: dict[str, tuple[Callable[[Flood], Coroutine[Any, Any, None]], int]] = {
    "calls": (Flood.calls, 8),
    "reads": (Flood.reads, 8),
    "browses": (Flood.browses, 4),
    "condition refreshes": (Flood.refreshes, 4),
    "nested messages": (Flood.nested, 4),
    "malformed messages": (Flood.malformed, 4),
    "chunks before login": (Flood.chunks, 40),
    "silent connections": (Flood.connections, 2),
    "wild certificates": (Flood.certificates, 4),
    "orphan subscriptions": (Flood.orphans, 2),
    "events that nobody takes": (Flood.listeners, 4),
}
"""Name → what one client of it does, and how many there are."""


async def main(kind: str, url: str, application: Path, server_der: bytes, seconds: float) -> None:
    """Flood for so long, then end the process as it is: a client may miss that it is told to end."""
    does, count = KINDS[kind]
    flood = Flood(url, Application(application), server_der)
    ended, _ = await asyncio.wait([asyncio.create_task(does(flood)) for _ in range(count)], timeout=seconds,
                                  return_when=asyncio.FIRST_EXCEPTION)
    for task in ended:
        traceback.print_exception(task.exception())
    os._exit(bool(ended))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]).read_bytes(), float(sys.argv[5])))
