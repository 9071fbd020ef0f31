"""Refusals that matter for security are logged, once for all peers, and never as the peer wrote them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import aiohttp
import pytest

from edgeagent.errors import CommandRefused
from edgeagent.logs import OncePerMinute, TextFormatter
from edgeagent.model.callers import Caller
from edgeagent.publish.jsonrpc import Dispatcher
from tests.publish.serving import request, serving


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines that are written, counts last."""
    once = OncePerMinute()
    written = [each for record in caplog.records for each in once.due(record)] + once.rest()
    return [TextFormatter().format(each).partition(": ")[2] for each in written if each.levelno >= logging.WARNING]


def test_strange_hosts_and_pages_are_logged_once_with_their_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served, aiohttp.ClientSession() as client:
            for number in range(5):
                headers = {"Host": f"evil{number}.example", "Content-Type": "application/json"}
                url = f"http://127.0.0.1:{served.http_port}/rpc"
                async with client.post(url, data=request("Status.Get"), headers=headers) as answer:
                    assert answer.status == 403

    asyncio.run(main())
    first, count = told(caplog)
    assert first.startswith("a request over HTTP is refused: This server is not evil0.example")
    assert "came 4 times more" in count


def test_control_characters_of_a_header_are_shown_and_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.http_port)
            writer.write(b"GET /rpc HTTP/1.1\r\nHost: \xc2\x9b31mred\r\n\r\n")
            assert await reader.readline()
            writer.close()

    asyncio.run(main())
    (line,) = told(caplog)
    assert line.isprintable(), line


def test_connections_beyond_the_bound_are_logged_and_counted_on_both_ports(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(tmp_path, most=2) as served:
            kept = [await asyncio.open_connection("127.0.0.1", port) for port in (served.lines_port, served.http_port)]
            for port in (served.lines_port, served.http_port) * 2:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert await reader.readline()
                writer.close()
            assert served.delivery.notices.tally.refused == {"lines": 2, "http": 2}
            assert served.lines.load() == (1, 0)
            for _, writer in kept:
                writer.close()

    asyncio.run(main())
    lines = told(caplog)
    assert len(lines) == 4
    assert sum("is refused: There are 2 connections already" in line for line in lines) == 4
    assert sum("came 1 times more" in line for line in lines) == 2


def test_a_call_without_the_right_is_logged_with_who_called(caplog: pytest.LogCaptureFixture) -> None:
    class Closed:
        async def call(self, function: str, parameters: object, caller: Caller) -> None:
            kind = "notFound" if function == "Board.Get" else "forbidden"
            raise CommandRefused(kind, f"{function} needs the role operator.")

    async def main() -> None:
        for peer in ("10.0.0.1:1", "10.0.0.2:1"):
            for function in ("Board.Get", "Recipe.Start"):
                await Dispatcher(Closed()).answer(request(function), Caller(peer, "viewer", "lines", peer))

    asyncio.run(main())
    assert told(caplog)[0] == ("Recipe.Start: refused over lines to 10.0.0.1:1: Recipe.Start needs the role operator.")
    assert len(told(caplog)) == 2
