from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import pytest

from edgeagent.publish.transports.http import MOST_UNSENT
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
            assert error["code"] == -32600
            assert "WebSocket" in error["message"]

    asyncio.run(main())


def test_get_without_upgrade_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with asking(tmp_path) as (client, url, _), client.get(url) as answer:
            assert answer.status == 426

    asyncio.run(main())


def test_what_is_not_here_says_what_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with asking(tmp_path) as (client, url, _):
            async with client.put(url, data=b"{}", headers=JSON) as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "POST, GET")
            async with client.post(f"{url}/more", data=b"{}", headers=JSON) as answer:
                assert answer.status == 404
                assert "/rpc" in (await answer.json())["error"]["message"]

    asyncio.run(main())


def test_a_client_that_asks_before_it_sends_a_body_is_told_to_go_on_or_not_to(tmp_path: Path) -> None:
    async def main() -> None:
        async with asking(tmp_path, limit=1000) as (client, url, _):
            async with client.post(url, data=request("Status.Get"), headers=JSON, expect100=True) as answer:
                assert answer.status == 200
            headers = JSON | {"Content-Length": "1001"}
            async with client.post(url, data=b" " * 1001, headers=headers, expect100=True) as answer:
                assert answer.status == 413

    asyncio.run(main())


@pytest.mark.parametrize(
    ("version", "header", "stays"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: close", False),
        ("1.0", "", False),
        ("1.0", "Connection: keep-alive", True),
    ],
)
def test_a_connection_stays_as_its_peer_asked(tmp_path: Path, version: str, header: str, stays: bool) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.http_port)
            body = request("Status.Get")
            head = (f"POST /rpc HTTP/{version}\r\nHost: localhost:{served.http_port}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")  # fmt: skip
            question = (head + (f"{header}\r\n\r\n" if header else "\r\n")).encode() + body
            for _ in range(2 if stays else 1):
                writer.write(question)
                answer = (await reader.readuntil(b"\r\n\r\n")).decode()
                assert answer.startswith(f"HTTP/{version} 200 OK\r\n")
                headers = dict(line.split(": ", 1) for line in answer.splitlines()[1:-1])
                assert abs(parsedate_to_datetime(headers["Date"]).timestamp() - time.time()) < 60
                assert json.loads(await reader.readexactly(int(headers["Content-Length"])))["id"] == 1
            assert stays or await reader.read() == b""
            writer.close()
            await writer.wait_closed()

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


BATCH = b"[" + b",".join([request("Event.Read", limit=1000, **{"from": "beginning"})] * 100) + b"]"


def head(served: Served, body: bytes) -> bytes:
    host = f"Host: localhost:{served.http_port}\r\nContent-Type: application/json\r\n"
    return f"POST /rpc HTTP/1.1\r\n{host}Content-Length: {len(body)}\r\n\r\n".encode()


async def deaf(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that takes next to nothing until it is read from, neither here nor in the kernel."""
    with socket.socket(fileno=os.dup(served.http._listener._server.sockets[0].fileno())) as listening:  # type: ignore[union-attr]
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    its = socket.socket()
    its.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    its.setblocking(False)
    await asyncio.get_running_loop().sock_connect(its, ("127.0.0.1", served.http_port))
    return await asyncio.open_connection(sock=its, limit=1024)


async def fill(served: Served) -> None:
    served.journal.append([event("Status.MachineStatusChanged", reason="x" * 20_000) for _ in range(60)])
    await served.journal.settled(served.journal.last_sequence)


def test_clients_that_ask_for_much_and_do_not_read_cost_bounded_memory_and_are_cut_off(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), serving(tmp_path, patience_s=0.3) as served:
            await fill(served)
            clients = [await deaf(served) for _ in range(40)]
            for _, writer in clients:
                writer.write(head(served, BATCH) + BATCH)
            most = 0
            while not most or served.http._unsent:
                most = max(most, served.http._unsent)
                await asyncio.sleep(0)
            assert most < MOST_UNSENT + (2 << 20)
            assert "did not take its answer" in caplog.text
            for _, writer in clients:
                writer.transport.abort()

    run(main())


def test_while_too_much_is_unsent_further_requests_may_try_again(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), asking(tmp_path) as (client, url, served):
            await fill(served)
            clients = [await deaf(served) for _ in range(20)]
            for _, writer in clients:
                writer.write(head(served, BATCH) + BATCH)
            status = 200
            while status == 200:
                async with client.post(url, data=BATCH, headers=JSON) as answer:
                    status, told = answer.status, await answer.json()
            assert (status, told["error"]["code"], told["error"]["data"]["retry"]) == (503, -32009, True)
            async with client.post(url, data=request("Status.Get"), headers=JSON) as answer:
                assert "result" in await answer.json()
            for _, writer in clients:
                writer.transport.abort()
            while served.http._unsent:  # noqa: ASYNC110
                await asyncio.sleep(0)
            async with client.post(url, data=BATCH, headers=JSON) as answer:
                assert len(await answer.json()) == 100

    run(main())


def test_a_connection_that_sends_no_whole_header_gives_its_place_back(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, most=2, header_s=0.2) as served:
            silent = [await asyncio.open_connection("127.0.0.1", served.http_port) for _ in range(2)]
            silent[1][1].write(b"POST /rpc HTTP/1.1\r\nHost: loc")
            for reader, writer in silent:
                assert await asyncio.wait_for(reader.read(), 10) == b""
                writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", served.http_port)
            body = request("Status.Get")
            writer.write(head(served, body) + body)
            assert b"200 OK" in await reader.readline()
            writer.close()

    run(main())


def test_a_connection_that_has_asked_may_be_silent(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, header_s=0.05) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.http_port)
            body = request("Event.Read", waitMs=200, **{"from": "now"})
            for _ in range(2):
                writer.write(head(served, body) + body)
                assert b"200 OK" in await reader.readline()
                length = int((await reader.readuntil(b"\r\n\r\n")).lower().split(b"content-length: ")[1].split()[0])
                await reader.readexactly(length)
            writer.close()

    run(main())


@pytest.mark.parametrize("sent", [
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET\r\n\r\n", b"GET /rpc HTTP/1.1\r\nA B\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
])  # fmt: skip
def test_what_is_not_http_is_refused_without_an_error_in_the_log(
    tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.http_port)
            writer.write(sent.replace(b"HOST", b"localhost:%d" % served.http_port))
            assert b" 400 " in await asyncio.wait_for(reader.readline(), 10)
            writer.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info]
    assert len(caplog.records) <= 1


@pytest.mark.parametrize("header", [b"Host: \xc5\xff", b"Host: HOST\r\nOrigin: http://\xff\xc5"])
def test_a_header_that_is_no_utf8_is_refused_like_any_other_without_an_error_in_the_log(
    tmp_path: Path, header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.http_port)
            head = header.replace(b"HOST", b"localhost:%d" % served.http_port)
            writer.write(b"POST /rpc HTTP/1.1\r\n%b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % head)
            told = await asyncio.wait_for(reader.read(), 10)
            assert b" 403 " in told.splitlines()[0]
            assert b"forbidden" in told
            writer.close()

    asyncio.run(main())
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info]
