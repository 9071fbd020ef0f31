from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.errors import ConfigError
from edgeagent.publish.transports import require_secure
from edgeagent.publish.transports.splitting import LineSplitter, LineTooLong
from tests.publish.serving import event, request, serving

Run = Callable[..., None]


def split(pieces: list[bytes], limit: int) -> list[bytes | None]:
    """All lines of the pieces; None for each one that was too long."""
    splitter = LineSplitter(limit)
    lines: list[bytes | None] = []
    for piece in pieces:
        splitter.feed(piece)
        while True:
            try:
                line = splitter.take()
            except LineTooLong:
                lines.append(None)
                continue
            if line is None:
                break
            lines.append(line)
    return lines


@given(st.lists(st.binary(max_size=30).map(lambda it: b"x" + it.replace(b"\n", b"")), max_size=10), st.data())
def test_however_a_stream_is_cut_the_lines_are_the_same(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected = [line if len(line) <= 20 else None for line in lines]
    assert split(pieces, 20) == expected


def test_a_line_that_never_ends_is_not_kept() -> None:
    splitter = LineSplitter(1000)
    splitter.feed(b"x" * 1001)
    with pytest.raises(LineTooLong):
        splitter.take()
    for _ in range(100):
        splitter.feed(b"x" * 1000)
        assert splitter.take() is None
        assert not splitter.full
    splitter.feed(b"x\n{}\n")
    assert splitter.take() == b"{}"


def test_requests_in_one_write_are_answered_in_order(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            client.write(b"".join(request("Status.Get", n) + b"\n" for n in range(500)))
            assert [(await client.message())["id"] for _ in range(500)] == list(range(500))
            await client.close()

    run(main())


def test_a_request_in_single_bytes_and_with_a_carriage_return_is_one_request(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            for byte in b"\r\n\n" + request("Status.Get") + b"\r\n":
                client.write(bytes([byte]))
                await client.writer.drain()
                await asyncio.sleep(0)
            assert (await client.message())["result"]["machines"][0]["state"] == "running"
            await client.close()

    run(main())


def test_garbage_is_refused_and_the_next_line_is_answered(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            client.write(b"hello\n\xff\xfe\n" + bytes(range(11, 256)) + b"\n" + request("Status.Get") + b"\n")
            assert [(await client.message())["error"]["code"] for _ in range(3)] == [-32700] * 3
            assert "result" in await client.message()
            await client.close()

    run(main())


def test_a_web_page_that_posts_here_is_cut_off_before_its_body_is_run(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            client.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + request("Status.Get") + b"\n")
            with suppress(ConnectionResetError):
                assert await client.message() is None
            await client.close()

    run(main())


def test_a_web_page_that_posts_to_a_path_over_the_limit_is_cut_off_too(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, limit=1000) as served:
            client = await served.connect()
            client.write(b"POST /" + b"x" * 2000 + b" HTTP/1.1\r\n\r\n" + request("Status.Get") + b"\n")
            with suppress(ConnectionResetError):
                assert await client.message() is None
            await client.close()

    run(main())


def test_a_request_whose_last_string_looks_like_http_is_answered(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            for line in (b'" HTTP/1.1"', b'{"jsonrpc":"2.0","method":"Status.Get","id":"GET / HTTP/1.1"}'):
                client.write(line + b"\n")
                assert (await client.message())["jsonrpc"] == "2.0"
            await client.close()

    run(main())


def test_a_line_of_two_mebibytes_is_refused_before_it_ends_and_the_connection_lives(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            client.write(b"x" * (2 << 20))
            assert (await client.message())["error"]["code"] == -32011
            client.write(b"x" * (2 << 20) + b"\n" + request("Status.Get") + b"\n")
            assert "result" in await client.message()
            await client.close()

    run(main())


def test_a_batch_of_101_calls_is_refused_whole(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            client.write(b"[" + b",".join([request("Status.Get")] * 101) + b"]\n")
            assert (await client.message())["error"]["code"] == -32011
            client.write(b"[" + b",".join([request("Status.Get")] * 100) + b"]\n")
            assert len(await client.message()) == 100
            await client.close()

    run(main())


def test_a_half_closed_peer_gets_its_answers_and_a_line_without_end_is_not_run(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            client.write((request("Status.Get") + b"\n") * 3 + request("Status.Get"))
            client.writer.write_eof()
            got = (await asyncio.wait_for(client.reader.read(), 10)).splitlines()
            assert [json.loads(line)["id"] for line in got] == [1, 1, 1]
            await client.close()

    run(main())


def test_one_connection_too_many_is_told_so_and_a_free_place_is_given_again(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, most=2) as served:
            clients = [await served.connect() for _ in range(2)]
            for client in clients:
                await client.ask("Status.Get")
            refused = await served.connect()
            refused.write(request("Status.Get") + b"\n")
            assert (await refused.message())["error"]["code"] == -32009
            assert await refused.message() is None
            await clients[0].close()
            await served.left(1)
            again = await served.connect()
            await again.ask("Status.Get")
            for client in (again, refused, clients[1]):
                await client.close()

    run(main())


def test_a_peer_that_asks_and_never_reads_costs_bounded_memory_and_is_cut_off(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, patience_s=0.3) as served:
            client = await served.connect()
            await client.ask("Status.Get")
            (connection,) = served.lines.connections
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            client.write((request("rpc.discover") + b"\n") * 5000)
            most = 0
            while served.lines.connections:
                most = max(most, connection._transport.get_write_buffer_size())
                assert len(connection._lines._buffer) < 2 << 20
                await asyncio.sleep(0)
            assert most < 1 << 20
            await client.close()

    run(main())


def test_lines_and_http_share_the_number_of_connections(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path, most=3) as served:
            url = f"http://127.0.0.1:{served.http_port}/rpc"
            client = await served.connect()
            await client.ask("Status.Get")
            async with aiohttp.ClientSession() as http, http.ws_connect(url) as first, http.ws_connect(url) as second:
                refused = await served.connect()
                assert (await refused.message())["error"]["code"] == -32009
                with pytest.raises(aiohttp.WSServerHandshakeError) as full:
                    await http.ws_connect(url)
                assert full.value.status == 503
                for socket in (first, second):
                    await socket.send_str(request("Status.Get").decode())
                    assert "result" in await socket.receive_json()
                await client.close()
                await served.left(0)
                async with http.ws_connect(url):
                    pass
            await refused.close()

    run(main())


@pytest.mark.parametrize("sends", [False, True])
def test_a_peer_that_reads_on_after_it_was_cut_off_finds_the_reason_as_the_last_line(
    tmp_path: Path, run: Run, sends: bool
) -> None:
    async def main() -> None:
        async with serving(tmp_path, patience_s=0.2, farewell_s=20) as served:
            served.journal.append([event("Status.MachineStatusChanged", reason="x" * 20_000) for _ in range(300)])
            client = await served.connect()
            await client.ask("Event.Subscribe", topics=["*"], **{"from": "beginning"})
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            if sends:
                client.write((request("Status.Get") + b"\n") * 30_000)
            while served.delivery._sessions:  # noqa: ASYNC110
                await asyncio.sleep(0)
            client.reader._transport.resume_reading()  # type: ignore[attr-defined]
            lines = []
            while (message := await client.message()) is not None:
                lines.append(message)
            told = [it["params"]["sequence"] for it in lines if "params" in it]
            assert told == list(range(1, len(told) + 1))
            assert (lines[-1]["id"], lines[-1]["error"]["data"]["retry"]) == (None, True)
            assert lines[-1]["error"]["message"] == "the peer has read nothing for 0.2 s"
            await client.close()
            await served.left(0)

    run(main())


def test_a_port_in_use_is_told_in_a_sentence(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            with pytest.raises(OSError, match="is in use") as refused:
                await served.lines.start("127.0.0.1", served.http_port)
            assert str(refused.value) == (
                f"port {served.http_port} on 127.0.0.1 is in use: "
                "end the program that has it, or choose another port"
            )

    asyncio.run(main())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "", "oven.example", "127.0.0.1.example"])
def test_an_address_beyond_this_computer_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="loca"):
        require_secure(host, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_an_address_of_this_computer_is_taken(host: str) -> None:
    require_secure(host, None)


def test_a_reset_connection_leaves_nothing_behind(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            client = await served.connect()
            await client.ask("Event.Subscribe", topics=["*"])
            linger = client.writer.get_extra_info("socket")
            linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.writer.transport.abort()
            await served.left(0)
            served.happen(3)

    run(main())
