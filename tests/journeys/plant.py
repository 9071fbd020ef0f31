"""A plant in small: a simulated oven on a real socket, the agent in a process of its own, an MES client."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from edgeagent.clock import Clock
from edgeagent.simulate import TcpServer
from firmware_iface import catalog
from firmware_iface.simulated.build import simulated

_WAITING = """
import sys
import edgeagent.agent, edgeagent.service
from edgeagent.cli import main
print("ready", flush=True)
sys.stdin.readline()
sys.exit(main())
"""


class Plant:
    """The oven lives in the test's process, so that the truth can be asked; the agent can be killed."""

    def __init__(self, folder: Path, speed: float, register_map: str, settings: str = "") -> None:
        self.folder = folder
        self.map = register_map
        self.settings = settings
        origin = datetime.now(UTC).replace(microsecond=0)
        self.clock = Clock(speed, round(origin.timestamp() * 1e9))
        self.speed = speed
        self.origin = origin
        is_file = register_map.startswith("./")
        described = catalog.load(folder / register_map) if is_file else catalog.builtin(register_map)
        self.machine = simulated(described, seed=7)
        self.server = TcpServer({described.device.unit: self.machine}, self.clock)
        self.agent: asyncio.subprocess.Process | None = None
        self._next: asyncio.subprocess.Process | None = None
        self.tcp = ("", 0)
        self.http = ""

    async def start_oven(self) -> None:
        port = await self.server.start()
        (self.folder / "agent.toml").write_text(f"""{self.settings}
[agent]
store = "store.sqlite3"
[openapps.http]
port = 0
[openapps.lines]
port = 0
[simulation]
speed = {self.speed}
origin = {self.origin.isoformat()}
[[machines]]
id = "RO0001"
[[machines.sources]]
kind = "modbus-tcp"
map = "{self.map}"
host = "127.0.0.1"
port = {port}
[machines.window]
peak = [240, 250]
time_above_liquidus = [40, 90]
soak = [60, 120]
max_rise = [0, 3]
max_fall = [-3, 0]
""")

    async def start_agent(self) -> None:
        """Start it as a user would, and wait until it tells its addresses."""
        if self._next:
            self.agent, self._next = self._next, None
            self.agent.stdin.write(b"go\n")
        else:
            self.agent = await self._process("-m", "edgeagent", "run")
        await self.hear_addresses()

    async def prepare_agent(self) -> None:
        """Let a process read the agent's code ahead and do nothing more, so that the next start takes no longer than on
        a computer that nobody else uses."""
        self._next = await self._process("-c", _WAITING, "run")
        await asyncio.wait_for(self._next.stdout.readline(), 60)

    async def _process(self, *arguments: str) -> asyncio.subprocess.Process:
        with (self.folder / "agent.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-P", *arguments, str(self.folder / "agent.toml"),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log)  # fmt: skip

    async def hear_addresses(self) -> None:
        """Wait until the agent tells its addresses, after its start and after each time that it begins anew."""
        self.tcp = ("", 0)
        while not self.tcp[1]:
            line = (await asyncio.wait_for(self.agent.stdout.readline(), 30)).decode()
            assert line, (self.folder / "agent.log").read_text()
            name, _, address = line.strip().partition(": ")
            if name == "HTTP":
                self.http = address
            if name == "TCP lines":
                host, port = address.rsplit(":", 1)
                self.tcp = (host, int(port))

    async def kill_agent(self) -> None:
        """kill -9."""
        self.agent.kill()
        await self.agent.wait()
        self.tcp = ("", 0)

    async def end_agent(self) -> int:
        self.agent.terminate()
        code = await asyncio.wait_for(self.agent.wait(), 20)
        self.tcp = ("", 0)
        return code

    async def client(self) -> "Client":
        reader, writer = await asyncio.open_connection(*self.tcp, limit=1 << 22)
        return Client(reader, writer)


class Client:
    """A JSON-RPC client over TCP lines that knows nothing of the agent's code."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._id = 0
        self.notifications: list[dict] = []

    async def call(self, method: str, **params):
        message = await self.answer(method, **params)
        assert "error" not in message, message
        return message["result"]

    async def answer(self, method: str, **params):
        """The whole answer, which may be an error."""
        self._id += 1
        request = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self._writer.write(json.dumps(request).encode() + b"\n")
        while True:
            message = await self._next()
            if message is None:
                raise ConnectionError("the agent closed the connection")
            if message.get("id") == self._id:
                return message
            self.notifications.append(message)

    async def notification(self) -> dict | None:
        """The next notification that has not been taken yet; None when the connection is gone."""
        return self.notifications.pop(0) if self.notifications else await self._next()

    async def _next(self) -> dict | None:
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        return json.loads(line) if line.endswith(b"\n") else None

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def plant(folder: Path, speed: float, register_map: str = "reflow10", settings: str = ""):
    """A plant whose oven answers; settings: tables that the agent's configuration begins with."""
    the_plant = Plant(folder, speed, register_map, settings)
    await the_plant.start_oven()
    try:
        yield the_plant
    finally:
        if the_plant.agent and the_plant.agent.returncode is None:
            await the_plant.end_agent()
        if the_plant._next:
            the_plant._next.kill()
            await the_plant._next.wait()
        await the_plant.server.stop()
