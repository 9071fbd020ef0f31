from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeagent.publish import messagepack
from edgeagent.publish.messagepack import NotMessagePack, packed, packed_in_pieces, unpacked
from tests.publish.serving import Served, request, serving
from tests.publish.test_jsonrpc import CASES, DISPATCHER, VIEWER, essence


def sayable(case: dict[str, Any]) -> bool:
    """Whether MessagePack can say it: whole JSON, numbers of at most 64 bits."""
    try:
        msgpack.packb(json.loads(case["sent"], parse_constant=lambda _: 1 << 99))
    except (ValueError, OverflowError):
        return False
    return True


@pytest.mark.parametrize("case", list(filter(sayable, CASES)), ids=lambda case: case["name"])
def test_the_table_of_json_rpc_holds_in_messagepack(case: dict[str, Any]) -> None:
    async def answer() -> bytes | None:
        got = await DISPATCHER.answer(unpacked(msgpack.packb(json.loads(case["sent"]))), VIEWER)
        return None if got is None else await packed_in_pieces(got)

    got = asyncio.run(answer())
    assert (None if got is None else essence(msgpack.unpackb(got))) == case["received"]


def test_most_of_the_table_can_be_said_in_messagepack() -> None:
    assert sum(map(sayable, CASES)) >= 35


@pytest.mark.parametrize("ident", [1, 1.0, 1.5, -1, 0, (1 << 64) - 1, -(1 << 63), "", "é", "1", None])
def test_an_id_comes_back_with_its_type(ident: Any) -> None:
    async def answer() -> Any:
        call = {"jsonrpc": "2.0", "method": "nothing", "id": ident}
        return msgpack.unpackb(packed(await DISPATCHER.answer(unpacked(msgpack.packb(call)), VIEWER) or b""))

    got = asyncio.run(answer())["id"]
    assert (got, type(got)) == (ident, type(ident))


def test_a_whole_number_may_be_said_as_a_float() -> None:
    call = {"jsonrpc": "2.0", "method": "count", "params": {"number": 5.0}, "id": 1}
    got = asyncio.run(DISPATCHER.answer(unpacked(msgpack.packb(call)), VIEWER))
    assert json.loads(got or b"")["result"] == 5


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\xc1", b"\xc0\xc0", b"\x91", b"\x93\x01", b"\xa1\xff", b"\x81\x01\x02", b"\x81\xc4\x01a\x02",
        b"\xc4\x01a", b"\x92\xc4\x01a\x01", b"\xd4\x05\x00", b"\xd6\xff\x00\x00\x00\x00", msgpack.packb(math.nan),
        msgpack.packb(math.inf), msgpack.packb({"id": -math.inf}), b"\x91" * 2000 + b"\xc0", b"\x91" * 1000 + b"\xc0",
        b"\x81\xa1a" * 3000 + b"\xc0", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
        b"\xdd\x00\x00\xff\xff" * 13_000, b"\xdc\x20\x00" + b"\xc0" * 0x2000,
    ],
    ids=lambda it: it[:8].hex(),
)  # fmt: skip
def test_what_json_cannot_say_is_refused(message: bytes) -> None:
    with pytest.raises(NotMessagePack) as refused:
        unpacked(message)
    assert str(refused.value)


WORDS = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=9) | st.floats(
    allow_nan=False, allow_infinity=False
)
TREES = st.recursive(WORDS, lambda it: st.lists(it, max_size=5) | st.dictionaries(st.text(max_size=5), it, max_size=5))


@given(TREES)
def test_what_both_can_say_comes_through_unchanged(tree: Any) -> None:
    assert json.loads(unpacked(msgpack.packb(tree))) == tree
    text = json.dumps(tree).encode()
    assert msgpack.unpackb(packed(text)) == tree


@given(st.lists(TREES, max_size=8), st.integers(1, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_an_answer_is_cut_into_pieces_it_is_the_same(
    monkeypatch: pytest.MonkeyPatch, trees: list[Any], piece: int
) -> None:
    monkeypatch.setattr(messagepack, "_PIECE", piece)
    text = json.dumps({"result": trees}).encode()
    assert msgpack.unpackb(asyncio.run(packed_in_pieces(text))) == {"result": trees}


async def no_raise(message: bytes) -> None:
    try:
        text = unpacked(message)
    except NotMessagePack:
        return
    answer = await DISPATCHER.answer(text, VIEWER)
    assert answer is None or "jsonrpc" in repr(msgpack.unpackb(await packed_in_pieces(answer)))


@given(st.binary(max_size=200) | TREES.map(msgpack.packb))
def test_no_bytes_raise(message: bytes) -> None:
    asyncio.run(no_raise(message))


@pytest.mark.slow
@given(st.binary(max_size=5000) | TREES.map(msgpack.packb))
@settings(max_examples=5000, deadline=None)
def test_no_bytes_raise_of_very_many(message: bytes) -> None:
    asyncio.run(no_raise(message))


def test_a_notification_is_turned_once_for_all_who_want_it() -> None:
    message = json.dumps({"x": list(range(50))}).encode()
    assert packed(message) is packed(message)


@asynccontextmanager
async def connected(
    folder: Path, protocols: tuple[str, ...] = ("msgpack",), **more: Any
) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Served]]:
    async with (
        serving(folder, **more) as served,
        aiohttp.ClientSession() as client,
        client.ws_connect(f"http://127.0.0.1:{served.http_port}/rpc", protocols=protocols) as socket,
    ):
        yield socket, served


async def ask(socket: aiohttp.ClientWebSocketResponse, method: str, **params: Any) -> Any:
    await socket.send_bytes(msgpack.packb({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return msgpack.unpackb(await socket.receive_bytes())


def test_a_messagepack_socket_converses_and_is_pushed_to(tmp_path: Path) -> None:
    async def main() -> None:
        async with connected(tmp_path) as (socket, served):
            assert socket.protocol == "msgpack"
            made = (await ask(socket, "Event.Subscribe", topics=["*"], consumer="mes"))["result"]
            assert made["nextSequence"] == 1
            served.happen(3)
            got = [msgpack.unpackb(await socket.receive_bytes())["params"] for _ in range(3)]
            assert [it["sequence"] for it in got] == [1, 2, 3]
            assert got[0]["data"] == {"from": "ready", "to": "running", "reason": "boards inside"}
            done = await ask(socket, "Event.Acknowledge", consumer="mes", stream=served.journal.stream, sequence=3)
            assert done["result"]["acknowledged"] == 3
            page = (await ask(socket, "Event.Read", **{"from": "beginning"}))["result"]
            assert [it["sequence"] for it in page["events"]] == [1, 2, 3]
            assert (await ask(socket, "rpc.discover"))["result"]["openrpc"]

    asyncio.run(main())


def test_a_frame_of_the_other_kind_is_a_parse_error_and_the_connection_lives(tmp_path: Path) -> None:
    async def main() -> None:
        async with connected(tmp_path) as (socket, _):
            await socket.send_str(request("Status.Get").decode())
            error = msgpack.unpackb(await socket.receive_bytes())["error"]
            assert (error["code"], "binary frame" in error["message"]) == (-32700, True)
            for broken in (b"\xc1", msgpack.packb(1) * 2, msgpack.packb({"id": math.nan}), b""):
                await socket.send_bytes(broken)
                assert msgpack.unpackb(await socket.receive_bytes())["error"]["code"] == -32700
            await socket.send_bytes(b"\xc0" * (messagepack.MOST_BYTES + 1))
            assert msgpack.unpackb(await socket.receive_bytes())["error"]["code"] == -32011
            assert "result" in await ask(socket, "Status.Get")
        async with connected(tmp_path, ()) as (socket, _):
            assert socket.protocol is None
            await socket.send_bytes(msgpack.packb({}))
            assert (await socket.receive_json())["error"]["code"] == -32700

    asyncio.run(main())
