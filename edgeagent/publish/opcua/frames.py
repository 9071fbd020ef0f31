"""MessagePack frames over a socket pair: calls with answers and notices without, both ways, all of them bounded."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol, cast

import msgpack  # type: ignore[import-untyped]
import msgspec

from edgeagent.errors import CommandRefused

MOST_BYTES = 16 << 20
"""Of one frame, and of what is held of frames that are not complete."""

MOST_CALLS = 64
"""Calls of one end that wait for their answers; further ones wait for their turn."""

LEFT = "the other end is gone"
"""Why a channel ended whose other end closed it, or whose process ended."""

_CALL, _ANSWER, _REFUSAL, _NOTICE = range(4)

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode


class Gone(ConnectionError):
    """The other end is not there any more."""


class Receiver(Protocol):
    """What takes that the other end asks and tells."""

    def asked(self, name: str, arguments: list[Any]) -> Awaitable[Any]:
        """Answer a call with what msgspec can encode; raises CommandRefused."""

    def told(self, name: str, arguments: list[Any]) -> None:
        """Take a notice."""

    def gone(self, reason: str) -> None:
        """The other end is gone, or spoke what cannot be understood; called once."""


class Channel(asyncio.Protocol):
    """One end.

    A frame is an array: kind, then of a call its number, name and arguments; of an answer the number and the result; of
    a refusal the number, kind, reason, machine and further members; of a notice its name and arguments.
    """

    _transport: asyncio.Transport

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._unpacker = msgpack.Unpacker(max_buffer_size=MOST_BYTES, strict_map_key=False)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._turns = asyncio.Semaphore(MOST_CALLS)
        self._answering: set[asyncio.Task[None]] = set()
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_gone = False

    @classmethod
    async def over(cls, end: socket.socket, receiver: Receiver) -> Channel:
        """Take over one end of a socket pair."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(receiver), sock=end)
        return channel

    @property
    def is_gone(self) -> bool:
        """Whether there is no other end any more."""
        return self._is_gone

    @property
    def keeps_up(self) -> bool:
        """Whether the other end takes what it is sent."""
        return self._writable.is_set() and not self._is_gone

    async def drained(self) -> None:
        """Wait until the other end takes more, or is gone."""
        await self._writable.wait()

    async def call(self, name: str, *arguments: Any) -> Any:
        """Ask the other end.

        Raises:
            CommandRefused: as the other end raised it.
            Gone: there is no other end, or it went before it answered.
        """
        async with self._turns:
            number = next(self._numbers)
            answer = self._waiting[number] = asyncio.get_running_loop().create_future()
            try:
                self._send((_CALL, number, name, arguments))
                return await answer
            finally:
                del self._waiting[number]

    def tell(self, name: str, *arguments: Any) -> None:
        """Send a notice; nothing where the other end is gone."""
        if not self._is_gone:
            self._send((_NOTICE, name, arguments))

    def hold(self, is_held: bool) -> None:
        """Take nothing more from the other end for now, answers included, or go on."""
        if not self._is_gone:
            (self._transport.pause_reading if is_held else self._transport.resume_reading)()

    async def close(self) -> None:
        """End it, and wait until what was being answered has ended."""
        self.end("closed")
        await asyncio.gather(*self._answering, return_exceptions=True)

    def end(self, reason: str) -> None:
        """End it at once; what waits for an answer raises Gone."""
        if self._is_gone:
            return
        self._is_gone = True
        self._writable.set()
        self._transport.abort()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Gone(reason))
        for task in self._answering:
            task.cancel()
        self._receiver.gone(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        try:
            self._unpacker.feed(data)
            for frame in self._unpacker:
                self._take(frame)
        except Exception as error:  # noqa: BLE001  whatever it is, it ends this channel and nothing else
            self.end(f"a frame cannot be understood ({type(error).__name__}: {error})")

    def pause_writing(self) -> None:
        """The other end reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The other end has read."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end closed its socket, or its process ended."""
        self.end(LEFT)

    def _take(self, frame: list[Any]) -> None:
        kind, *rest = frame
        if kind == _CALL:
            number, name, arguments = rest
            if len(self._answering) > 2 * MOST_CALLS:
                raise ValueError("more calls at a time than were agreed on")
            self._begin(self._answer(number, name, arguments))
        elif kind == _NOTICE:
            name, arguments = rest
            self._receiver.told(name, arguments)
        elif kind == _ANSWER:
            number, result = rest
            if (waiting := self._waiting.get(number)) and not waiting.done():
                waiting.set_result(result)
        elif kind == _REFUSAL:
            number, word, reason, machine, more = rest
            if (waiting := self._waiting.get(number)) and not waiting.done():
                waiting.set_exception(CommandRefused(word, reason, machine, **more))
        else:
            raise ValueError(f"there is no kind {kind!r} of frames")

    def _begin(self, answering: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(answering)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, number: int, name: str, arguments: list[Any]) -> None:
        await self._writable.wait()  # who asks and does not read what was answered before is not answered yet
        try:
            self._send((_ANSWER, number, await self._receiver.asked(name, arguments)))
        except CommandRefused as refused:
            self._send((_REFUSAL, number, refused.kind, refused.reason, refused.machine, refused.more))
        except Gone:
            return
        except Exception:  # noqa: BLE001  one call must not end what others wait for
            _log.exception("%s could not be answered", name)
            self._send((_REFUSAL, number, "internal", f"{name} could not be answered.", None, {}))

    def _send(self, frame: tuple[Any, ...]) -> None:
        if self._is_gone:
            raise Gone(LEFT)
        self._transport.write(_encode(frame))
