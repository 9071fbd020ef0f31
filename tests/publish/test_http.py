from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.publish.serving import Served, event, request, serving

Run = Callable[..., None]
JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def asking(folder: Path, **more: int) -> AsyncIterator[tuple[aiohttp.ClientSession, str, Served]]:
    async with serving(folder, **more) as served, aiohttp.ClientSession() as client:  # type: ignore[arg-type]
        yield client, f"http://127.0.0.1:{served.http_port}/rpc", served


def test_a_request_is_answered_and_a_notification_is_not(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with asking(tmp_path) as (client, url, _):
            async with client.post(url, data=request("Status.Get"), headers=JSON) as answer:
                assert answer.status == 200
                assert answer.content_type == "application/json"
                assert (await answer.json())["result"]["machines"][0]["machine"] == "RO0001"
            notification = b'{"jsonrpc":"2.0","method":"Status.Get"}'
            async with client.post(url, data=notification, headers=JSON) as answer:
                assert (answer.status, await answer.read()) == (204, b"")

    run(main())


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, 415, -32600),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, -32600),
        (JSON | {"Host": "oven.example:8480"}, 403, -32002),
        (JSON | {"Host": "127.0.0.1:1"}, 403, -32002),
        (JSON | {"Origin": "http://evil.example"}, 403, -32002),
        (JSON | {"Origin": "null"}, 403, -32002),
        (JSON | {"Origin": "http://panel:8080"}, 200, None),
        (JSON | {"Content-Type": "application/json; charset=utf-8"}, 200, None),
    ],
)
def test_the_headers_decide_who_may_ask(tmp_path: Path, headers: dict[str, str], status: int, code: int | None) -> None:
    async def main() -> None:
        async with (
            asking(tmp_path) as (client, url, _),
            client.post(url, data=request("Status.Get"), headers=headers) as answer,
        ):
            assert answer.status == status
            assert (await answer.json()).get("error", {}).get("code") == code

    asyncio.run(main())


def test_a_page_of_this_server_may_ask_under_each_of_its_names(tmp_path: Path) -> None:
    async def main() -> None:
        async with asking(tmp_path) as (client, url, served):
            for name in ("localhost", "127.0.0.1"):
                host = f"{name}:{served.http_port}"
                headers = JSON | {"Host": host, "Origin": f"http://{host}"}
                async with client.post(url, data=request("Status.Get"), headers=headers) as answer:
                    assert answer.status == 200

    asyncio.run(main())


def test_a_body_over_the_limit_is_refused_announced_or_not(tmp_path: Path, run: Run) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 100

    async def main() -> None:
        async with asking(tmp_path, limit=1000) as (client, url, _):
            for body in (b" " * 1001, pieces()):
                async with client.post(url, data=body, headers=JSON) as answer:
                    assert answer.status == 413
                    assert (await answer.json())["error"]["code"] == -32011
            exact = request("Status.Get").ljust(1000)
            async with client.post(url, data=exact, headers=JSON) as answer:
                assert answer.status == 200

    run(main())


def test_subscribing_over_http_says_where_to_go(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            asking(tmp_path) as (client, url, _),
            client.post(url, data=request("Event.Subscribe", topics=["*"]), headers=JSON) as answer,
        ):
            error = (await answer.json())["error"]
            assert error["code"] == -32601
            assert "WebSocket" in error["message"]

    asyncio.run(main())


def test_get_without_upgrade_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with asking(tmp_path) as (client, url, _), client.get(url) as answer:
            assert answer.status == 426

    asyncio.run(main())


def test_one_connection_too_many_gets_503(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, most=1) as served:
            first = await asyncio.open_connection("127.0.0.1", served.http_port)
            head = f"POST /rpc HTTP/1.1\r\nHost: localhost:{served.http_port}\r\nContent-Type: application/json\r\n"
            body = request("Status.Get")
            first[1].write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert b"200 OK" in await first[0].readline()
            reader, writer = await asyncio.open_connection("127.0.0.1", served.http_port)
            assert b"503" in await reader.readline()
            for each in (first[1], writer):
                each.close()
                await each.wait_closed()

    asyncio.run(main())


def test_a_websocket_converses_and_is_pushed_to(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with asking(tmp_path) as (client, url, served), client.ws_connect(url) as socket:
            await socket.send_str(request("Event.Subscribe", topics=["Status.*"]).decode())
            assert (await socket.receive_json())["result"]["nextSequence"] == 1
            served.happen(3)
            assert [(await socket.receive_json())["params"]["sequence"] for _ in range(3)] == [1, 2, 3]
            await socket.send_str("{")
            assert (await socket.receive_json())["error"]["code"] == -32700
            await socket.send_bytes(request("Status.Get"))
            assert "text frame" in (await socket.receive_json())["error"]["message"]
            await socket.send_str(request("Status.Get", "é").decode())
            assert (await socket.receive_json())["id"] == "é"

    run(main())


def test_a_websocket_frame_over_the_limit_ends_the_connection_with_1009(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with asking(tmp_path, limit=1000) as (client, url, _), client.ws_connect(url) as socket:
            await socket.send_str(" " * 1001)
            message = await socket.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)

    run(main())


def test_a_websocket_that_stops_reading_is_cut_off(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, patience_s=0.2) as served, aiohttp.ClientSession() as client:
            served.journal.append([event("Status.MachineStatusChanged", reason="x" * 20_000) for _ in range(1000)])
            socket = await client.ws_connect(f"http://127.0.0.1:{served.http_port}/rpc")
            transport = socket._response.connection.transport  # type: ignore[union-attr]
            transport.pause_reading()  # type: ignore[union-attr]
            await socket.send_str(request("Event.Subscribe", topics=["*"], **{"from": "beginning"}).decode())
            while not served.delivery._sessions:  # noqa: ASYNC110
                await asyncio.sleep(0)
            while served.delivery._sessions:  # noqa: ASYNC110
                await asyncio.sleep(0)
            transport.abort()  # type: ignore[union-attr]

    run(main())


def test_a_foreign_page_gets_no_websocket(tmp_path: Path) -> None:
    async def main() -> None:
        async with asking(tmp_path) as (client, url, _):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(url, origin="http://evil.example")
            assert refused.value.status == 403

    asyncio.run(main())


def test_stopping_tells_websockets_that_the_agent_goes_away(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as client:
            async with serving(tmp_path) as served:
                socket = await client.ws_connect(f"http://127.0.0.1:{served.http_port}/rpc")
                await socket.send_str(request("Event.Subscribe", topics=["*"]).decode())
                assert json.loads((await socket.receive()).data)["result"]
                farewell = asyncio.ensure_future(socket.receive())
            assert (await farewell).data == 1001

    run(main())
