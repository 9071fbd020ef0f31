"""`edgeagent` with little patience, of which one part hangs while a file is there: sabotaged.py PART FILE COMMAND..."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edgeagent import cli, pulse
from edgeagent.acquire.poller import Poller
from edgeagent.publish.transports.lines import LineServer
from edgeagent.store import Database, database

PAUSE_S = 0.02


def hang_poller(is_time: Callable[[], bool]) -> None:
    read = Poller._read

    async def hanging(self, group):
        while is_time():  # noqa: ASYNC110  another process tells
            await asyncio.sleep(PAUSE_S)
        await read(self, group)

    Poller._read = hanging


def hang_loop(is_time: Callable[[], bool]) -> None:
    read = Poller._read

    async def hanging(self, group):
        while is_time():
            time.sleep(PAUSE_S)  # noqa: ASYNC251  this is what is meant
        await read(self, group)

    Poller._read = hanging


def hang_store(is_time: Callable[[], bool]) -> None:
    commit = database.commit

    def hanging(connection, batch):
        while is_time():
            time.sleep(PAUSE_S)
        return commit(connection, batch)

    database.commit = hanging


def hang_opening(is_time: Callable[[], bool]) -> None:
    opening = Database.open

    def hanging(self, loop=None):
        while is_time():
            time.sleep(PAUSE_S)
        opening(self, loop)

    Database.open = hanging


def close_server(is_time: Callable[[], bool]) -> None:
    start = LineServer.start

    async def close(server):
        while not is_time():  # noqa: ASYNC110  another process tells
            await asyncio.sleep(PAUSE_S)
        server.close()

    async def closing(self, host, port):
        port = await start(self, host, port)
        self.closing = asyncio.create_task(close(self._listener))
        return port

    LineServer.start = closing


PARTS = {"poller": hang_poller, "store": hang_store, "server": close_server, "loop": hang_loop,
         "opening": hang_opening, "nothing": lambda _: None}  # fmt: skip

if __name__ == "__main__":
    part, flag, *command = sys.argv[1:]
    pulse.PATIENCE_S = 0.5
    PARTS[part](Path(flag).exists)
    sys.exit(cli.main(command))
