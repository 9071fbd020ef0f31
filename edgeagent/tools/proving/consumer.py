"""A consumer that writes down what it was told and what it acknowledged, before anybody says whether that was right."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from edgeagent.errors import AgentUnreachable
from edgeagent.tools.proving.client import request
from edgeagent.tools.proving.ground import Agent, comes

CONNECTED, TOLD, ACKNOWLEDGED, GAP, ENDED = b"C ", b"T ", b"A ", b"G ", b"E "
"""How a line of the log begins: a connection (stream, next sequence), an event, what is done up to, a gap, an end."""

_SUBSCRIBED, _DONE = 1, 2
_PATIENCE_S = 60.0
_AGAIN_S = 1.0
_decode = msgspec.json.decode
_encode = msgspec.json.encode


class Consumer(asyncio.Protocol):
    """A durable consumer of everything; one connection at a time.

    Args:
        log: written before an event is acknowledged, and synced where `is_synced`.
        every: acknowledges when so many events are not; 0 never does.
        hears: called with each event's parameters and the moment (real s since 1970) at which it came.

    Attributes:
        stream, last: of the newest event that it was told. acknowledged: what the agent took.
    """

    def __init__(
        self, name: str, log: Path, every: int = 1, in_flight: int = 1000, is_synced: bool = True,
        hears: Callable[[str, dict[str, Any], float], object] = lambda *_: None,
    ) -> None:  # fmt: skip
        self.name = name
        self.log = log
        self.stream = ""
        self.last = self.acknowledged = self.told = 0
        self.refused = ""
        self._asked = self._taken = 0
        self._file: BinaryIO | None = None
        self._every = every
        self._in_flight = in_flight
        self._is_synced = is_synced
        self._hears = hears
        self._transport: asyncio.Transport | None = None

    async def attach(self, agent: Agent, begin: object = "cursor") -> None:
        """Connect and go on where it was; raises AgentUnreachable."""
        loop = asyncio.get_running_loop()
        self._held = b""
        self._file = self.log.open("ab")
        self._asked = self._taken = 0
        self._subscribed: asyncio.Future[None] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        try:
            await loop.create_connection(lambda: self, *agent.lines)
            assert self._transport
            wanted = {"topics": ["*"], "consumer": self.name, "maxInFlight": self._in_flight, "from": begin}
            self._transport.write(request(_SUBSCRIBED, "Event.Subscribe", wanted))
            await asyncio.wait_for(self._subscribed, _PATIENCE_S)
        except (OSError, TimeoutError) as error:
            raise AgentUnreachable(f"{self.name} cannot subscribe: {self.refused or error!r}") from None

    async def caught_up(self, sequence: int, patience_s: float = _PATIENCE_S) -> bool:
        """Wait until it was told up to a sequence, and acknowledged it if it does so one by one; False where not."""
        return await comes(lambda: self._place >= sequence, patience_s)

    @property
    def _place(self) -> int:
        return min(self.last, self._taken) if self._every == 1 else self.last

    async def detach(self) -> None:
        """Let the connection go, if it is not gone already, and what was heard be on disk."""
        if self._transport:
            self._transport.abort()
            await self._gone
        if self._file:
            self._sync()
            self._file.close()
            self._file = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A new connection."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self._transport = None
        if not self._subscribed.done():
            self._subscribed.set_exception(error or ConnectionResetError("the agent closed the connection"))
        self._gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Write down every whole line, then acknowledge."""
        now = time.time()
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            self._take(line, now)
        self._acknowledge()

    def _take(self, line: bytes, now: float) -> None:
        message = _decode(line)
        if "method" in message:
            self._hear(message["method"], message["params"], line, now)
        elif "error" in message:
            self.refused = message["error"]["message"]
            if message["id"] == _SUBSCRIBED:
                self._subscribed.set_exception(ConnectionRefusedError(self.refused))
            else:  # a disk that is full takes no place either: it stays to be acknowledged
                self._asked = 0
                asyncio.get_running_loop().call_later(_AGAIN_S, self._acknowledge)
        elif message["id"] == _SUBSCRIBED:
            self.stream = message["result"]["stream"]
            self._write(CONNECTED, f"{self.stream} {message['result']['nextSequence']}".encode())
            self._taken = message["result"]["nextSequence"] - 1
            self._subscribed.set_result(None)
        else:
            self._asked = 0
            self.acknowledged = self._taken = message["result"]["acknowledged"]
            self._write(ACKNOWLEDGED, b"%d" % self.acknowledged)

    def _hear(self, method: str, params: dict[str, Any], line: bytes, now: float) -> None:
        if "sequence" in params:
            self._write(TOLD, line)
            self.last = params["sequence"]
            self.told += 1
            self._hears(method, params, now)
        elif method == "Event.Gap":
            self._write(GAP, line)
            self.last = max([self.last, *(gap["to"] for gap in params["data"]["ranges"])])
        elif method == "Event.SubscriptionEnded":
            self._write(ENDED, line)

    def _acknowledge(self) -> None:
        if self._asked or not self._every or self.last - self._taken < self._every or not self._transport:
            return
        self._sync()
        self._asked = self.last
        done = {"consumer": self.name, "stream": self.stream, "sequence": self.last}
        self._transport.write(request(_DONE, "Event.Acknowledge", done))

    def _write(self, kind: bytes, text: bytes) -> None:
        assert self._file
        self._file.write(kind + text + b"\n")

    def _sync(self) -> None:
        assert self._file
        self._file.flush()
        if self._is_synced:
            os.fsync(self._file.fileno())
