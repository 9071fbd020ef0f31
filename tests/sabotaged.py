"""`edgeagent` with little patience, of which one part hangs while a file is there: sabotaged.py PART FILE COMMAND..."""

import asyncio
import sys
import time
from pathlib import Path

from edgeagent import cli, pulse
from edgeagent.acquire.poller import Poller
from edgeagent.publish.transports.lines import LineServer
from edgeagent.store import Database


def hang_poller(flag: Path) -> None:
    read = Poller._read

    async def hanging(self, group):
        while flag.exists():
            await asyncio.sleep(0.02)
        await read(self, group)

    Poller._read = hanging


def hang_store(flag: Path) -> None:
    commit = Database._commit

    def hanging(self, batch):
        while flag.exists():
            time.sleep(0.02)
        return commit(self, batch)

    Database._commit = hanging


def close_server(flag: Path) -> None:
    start = LineServer.start

    async def closing(self, host, port):
        async def close():
            while not flag.exists():
                await asyncio.sleep(0.02)
            self._server.close()

        port = await start(self, host, port)
        self.closing = asyncio.create_task(close())
        return port

    LineServer.start = closing


def hang_loop(flag: Path) -> None:
    read = Poller._read

    async def hanging(self, group):
        while flag.exists():
            time.sleep(0.02)
        await read(self, group)

    Poller._read = hanging


if __name__ == "__main__":
    part, flag, *command = sys.argv[1:]
    pulse.PATIENCE_S = 0.5
    if part != "nothing":
        {"poller": hang_poller, "store": hang_store, "server": close_server, "loop": hang_loop}[part](Path(flag))
    sys.exit(cli.main(command))
