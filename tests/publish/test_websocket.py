"""Frames as a server sends them, held against RFC 6455."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeagent.publish.transports.frames import framed
from tests.publish.serving import Served, event, request, serving

Run = Callable[..., None]

_TEXT, _CLOSE = 1, 8

_SUBSCRIBE = request("Event.Subscribe", topics=["*"], **{"from": "beginning"})


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "81 00"), (125, "81 7d"), (126, "81 7e 00 7e"), (256, "81 7e 01 00"), (65535, "81 7e ff ff"),
        (65536, "81 7f 00 00 00 00 00 01 00 00"),
    ],
)  # fmt: skip
def test_a_frame_tells_its_length_in_the_fewest_bytes_and_is_not_masked(
    size: int, head: str
) -> None:
    message = b"x" * size
    assert framed(message) == bytes.fromhex(head) + message


def sent(kind: int, payload: bytes) -> bytes:
    """A frame as a client sends it, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    return bytes([0x80 | kind]) + length + bytes(4) + payload


async def connected(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.http_port)
    writer.write(
        b"GET /rpc HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % served.http_port
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def one_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head, size = await reader.readexactly(2)
    assert size < 128, "a server does not mask"
    if size > 125:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return head & 15, await reader.readexactly(size)


async def told_until_the_end(reader: asyncio.StreamReader) -> tuple[list[int], bytes]:
    """Sequences of the events that come before the close frame, and what it holds; nothing comes after it."""
    sequences = []
    while (frame := await asyncio.wait_for(one_frame(reader), 10))[0] == _TEXT:
        message = json.loads(frame[1])
        if "params" in message:
            sequences.append(message["params"]["sequence"])
    assert frame[0] == _CLOSE
    assert not await asyncio.wait_for(reader.read(), 10)
    return sequences, frame[1]


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (sent(_CLOSE, b"\x03\xe8"), 1000), (sent(_TEXT, b" " * 5000), 1009), (sent(3, b""), 1002),
        (sent(_TEXT, b"\xff"), 1007),
    ],
    ids=["closed", "too large", "not a frame", "not text"],
)  # fmt: skip
def test_nothing_follows_the_close_frame_while_events_pour(tmp_path: Path, run: Run, last: bytes, code: int) -> None:
    async def main() -> None:
        async with serving(tmp_path, limit=1000) as served:
            served.happen(300)
            reader, writer = await connected(served)
            writer.write(sent(_TEXT, _SUBSCRIBE))
            assert (await one_frame(reader))[0] == _TEXT
            served.happen(300)
            writer.write(last)
            sequences, end = await told_until_the_end(reader)
            assert sequences == list(range(1, len(sequences) + 1))
            assert int.from_bytes(end[:2], "big") == code
            writer.close()

    run(main())


def test_a_websocket_that_reads_on_after_it_was_cut_off_finds_the_reason_behind_whole_events(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        async with serving(tmp_path, patience_s=0.2, farewell_s=5.0) as served:
            served.journal.append([event("Status.MachineStatusChanged", reason="x" * 20_000) for _ in range(500)])
            reader, writer = await connected(served)
            writer.write(sent(_TEXT, _SUBSCRIBE))
            while not served.delivery.notices.tally.cut["websocket"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            sequences, end = await told_until_the_end(reader)
            assert sequences == list(range(1, len(sequences) + 1))
            assert (int.from_bytes(end[:2], "big"), end[2:]) == (1013, b"the peer has read nothing for 0.2 s")
            writer.close()

    run(main())
