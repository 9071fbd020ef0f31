"""The WebSocket of the commands against a server that sends frame by frame what RFC 6455 allows."""

import asyncio
import base64
import hashlib
import os
from collections.abc import Awaitable, Callable

import pytest

from edgeagent.errors import AgentUnreachable
from edgeagent.tools.asking import Address
from edgeagent.tools.websocket import WebSocket

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def frame(kind: int, payload: bytes, final: bool = True) -> bytes:
    size = len(payload)
    longer = b"\x7e" + size.to_bytes(2) if size < 1 << 16 else b"\x7f" + size.to_bytes(8)
    return bytes([0x80 * final | kind]) + (bytes([size]) if size < 126 else longer) + payload


async def sent(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame of a client; its payload unmasked."""
    kind, size = await reader.readexactly(2)
    assert size & 0x80
    assert kind & 0x80
    length = int.from_bytes(await reader.readexactly(2)) if size & 0x7F == 126 else size & 0x7F
    mask, masked = await reader.readexactly(4), await reader.readexactly(length)
    return kind & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))


def with_peer(peer: Peer, use: Callable[[WebSocket], None], silence_s: float = 5.0) -> None:
    """Use a connection to a peer that has accepted it; an error of the peer's is raised."""
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        accept = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n")
        try:
            await peer(reader, writer)
            served.set_result(None)
        except Exception as error:  # noqa: BLE001
            served.set_exception(error)
        writer.close()

    def used(port: int, output: int) -> None:
        connection = WebSocket(Address("127.0.0.1", port), silence_s, output)
        try:
            use(connection)
        finally:
            connection.close()

    async def main() -> None:
        nonlocal served
        served = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reading, writing = os.pipe()
        try:
            await asyncio.to_thread(used, server.sockets[0].getsockname()[1], writing)
            await asyncio.wait_for(served, 5)
        finally:
            os.close(reading)
            os.close(writing)
            server.close()

    served: asyncio.Future[None]
    asyncio.run(main())


def test_messages_of_any_length_come_whole_also_in_pieces_with_pings_between():
    texts = [b"", b"x" * 125, b"y" * 126, b"z" * 70_000, b"in pieces"]

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for text in texts[:-1]:
            writer.write(frame(1, text))
        writer.write(frame(1, b"in ", final=False) + frame(9, b"are you there?") + frame(0, b"pieces"))
        assert await sent(reader) == (0xA, b"are you there?")

    def use(connection: WebSocket) -> None:
        assert [connection.receive() for _ in texts] == texts

    with_peer(peer, use)


def test_what_is_sent_is_masked_and_comes_whole():
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await sent(reader) == (1, b"short")
        assert await sent(reader) == (1, b"l" * 300)

    def use(connection: WebSocket) -> None:
        connection.send(b"short")
        connection.send(b"l" * 300)
        with pytest.raises(AgentUnreachable, match="is gone"):
            connection.receive()

    with_peer(peer, use)


@pytest.mark.parametrize(("told", "reason"), [
    (frame(8, b"\x03\xe9the agent stops"), "ended the connection: the agent stops"),
    (frame(8, b""), "ended the connection$"),
    (b"\x81\x7f" + (1 << 40).to_bytes(8), "its frames are not those of a server"),
    (b"\x81\x81", "its frames are not those of a server"),
])  # fmt: skip
def test_an_end_is_told_with_its_reason(told, reason):
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(told)

    def use(connection: WebSocket) -> None:
        with pytest.raises(AgentUnreachable, match=reason):
            connection.receive()

    with_peer(peer, use)


def test_a_peer_that_is_silent_for_too_long_is_not_waited_for():
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""

    def use(connection: WebSocket) -> None:
        with pytest.raises(AgentUnreachable, match="has said nothing for"):
            connection.receive()

    with_peer(peer, use, silence_s=0.05)
