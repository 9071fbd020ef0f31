"""Where proofs are made: a fresh folder, an oven and agents as processes of their own, and nothing of the user's."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from edgeagent._core import kernel
from edgeagent.errors import EdgeAgentError
from edgeagent.tools.proving.client import Client

MACHINE = "PROOF"
BELT_MM_S = 700 / 60
"""What a belt of the shipped map makes."""

_PATIENCE_S = 60.0
_LOOK_S = 0.02
_FASTEST = 15.0
_HIDDEN_S = 8.0
"""So much of the oven's time a start may take: two of them are shorter than a board's way past a barrier."""


class ProofFailed(EdgeAgentError):
    """A proof could not be made: an agent or the oven did not do what every proof needs."""


class Oven:
    """The oven's process."""

    def __init__(self, truth: Path, speed: float, seed: int) -> None:
        self.truth = truth
        self.speed = speed
        self.port = 0
        self._seed = seed
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; it is warm and empty then."""
        self._process = await _begun(
            "edgeagent.tools.proving.oven", str(self.truth), str(self.speed), str(self._seed),
            stdin=asyncio.subprocess.PIPE)  # fmt: skip
        self.port = (await self._answer())["port"]

    async def order(self, **every_s: float) -> tuple[float, dict[str, float]]:
        """Set how often it makes what; the oven's time, and where each board's leading edge is, in mm by barcode."""
        assert self._process and self._process.stdin
        self._process.stdin.write(json.dumps(every_s).encode() + b"\n")
        answer = await self._answer()
        return answer["time"], dict(answer["boards"])

    async def kill(self) -> None:
        """End the process."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _answer(self) -> dict[str, Any]:
        assert self._process and self._process.stdout
        line = await asyncio.wait_for(self._process.stdout.readline(), _PATIENCE_S)
        if not line:
            raise ProofFailed("the simulated oven ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Agent:
    """An agent of a folder of its own, on free ports of this computer; it can be killed at any moment.

    Attributes:
        lines, http: where it listens, once it is up. folder: of its configuration, store and log.
    """

    def __init__(self, folder: Path, port: int, speed: float, settings: str = "") -> None:
        self.folder = folder
        self.store = folder / "store.sqlite3"
        self.lines = ("", 0)
        self.http = ""
        self.origin = datetime.now(UTC).replace(microsecond=0)
        self.speed = speed
        self._log = folder / "agent.log"
        self._file = folder / "agent.toml"
        self._process: asyncio.subprocess.Process | None = None
        self._file.write_text(f"""{settings}
[agent]
store = "store.sqlite3"
[openapps.http]
port = 0
[openapps.lines]
port = 0
[simulation]
speed = {speed}
origin = {self.origin.isoformat()}
[[machines]]
id = "{MACHINE}"
[[machines.sources]]
kind = "modbus-tcp"
map = "reflow10"
host = "127.0.0.1"
port = {port}
""", encoding="utf-8")

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it said to its log."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def replace(self, folder: Path) -> None:
        """Put a copy of another agent's store, with what stands beside it, in the place of its own."""
        for file in folder.glob(f"{self.store.name}*"):
            shutil.copy(file, self.folder / file.name)

    async def begin(self) -> None:
        """Begin a process; nobody knows yet whether it will be up."""
        with self._log.open("ab") as log:
            self._process = await _begun("edgeagent", "run", str(self._file), stderr=log)

    async def up(self, patience_s: float = _PATIENCE_S) -> None:
        """Wait until it has told its addresses.

        Raises:
            ProofFailed: it ended, or does not come up.
        """
        assert self._process and self._process.stdout
        self.lines = ("", 0)
        try:
            async with asyncio.timeout(patience_s):
                while not self.lines[1]:
                    line = (await self._process.stdout.readline()).decode()
                    if not line:
                        raise ProofFailed(f"the agent ended at its start: {self.log[-300:].strip()}")
                    name, _, address = line.strip().partition(": ")
                    if name == "HTTP":
                        self.http = address
                    if name == "TCP lines":
                        host, port = address.rsplit(":", 1)
                        self.lines = (host, int(port))
        except TimeoutError:
            raise ProofFailed(f"the agent is not up after {patience_s:g} s: {self.log[-300:].strip()}") from None

    async def start(self) -> None:
        """Begin a process and wait until it is up; raises ProofFailed."""
        await self.begin()
        await self.up()

    async def kill(self) -> None:
        """kill -9; nothing where it has ended already."""
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def end(self) -> int:
        """End it as a service is ended; its exit code."""
        assert self._process
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            return await asyncio.wait_for(self._process.wait(), _PATIENCE_S)
        except TimeoutError:
            raise ProofFailed("the agent did not end when it was asked to") from None

    def rss_mb(self) -> float:
        """Memory that it takes now, in MB; NaN where the system does not say it."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        except OSError:
            return float("nan")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    async def client(self) -> Client:
        """A new client of it."""
        return await Client.open(self.lines)

    def real_s(self, stamp: str) -> float:
        """Real time (s since 1970) of a time that it told."""
        told = datetime.fromisoformat(stamp).timestamp()
        begun = self.origin.timestamp()
        return begun + (told - begun) / self.speed


class Ground:
    """One scenario's folder, its chance, and the processes that it began; they end with it.

    Attributes:
        leaves: called once they have ended, each once, so that nothing else is left behind either.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = Random(seed)  # noqa: S311  it chooses moments
        self._seed = seed
        self.leaves: list[Callable[[], object]] = []
        self._processes: list[Oven | Agent] = []
        folder.mkdir(parents=True)

    async def oven(self, speed: float) -> Oven:
        """Start an oven."""
        oven = Oven(self.folder / "oven.truth", speed, self._seed)
        self._processes.append(oven)
        await oven.start()
        return oven

    def agent(self, oven: Oven | None, speed: float = 1.0, settings: str = "", place: str = "agent") -> Agent:
        """An agent in a folder of its own, not begun yet; without an oven it reaches none."""
        folder = self.folder / place
        folder.mkdir(exist_ok=True)
        agent = Agent(folder, oven.port if oven else 9, oven.speed if oven else speed, settings)
        self._processes.append(agent)
        return agent

    async def start_s(self) -> float:
        """How long a start takes here and now, the second of two; real seconds."""
        agent = self.agent(None, place="trial")
        took_s = 0.0
        for _ in range(2):
            begun = time.monotonic()
            await agent.start()
            took_s = time.monotonic() - begun
            await agent.end()
        return took_s

    async def close(self) -> None:
        """End every process that is left; where this is cancelled, all are struck and the next call does the rest."""
        await asyncio.gather(*(process.kill() for process in self._processes))
        while self.leaves:
            self.leaves.pop()()


async def _begun(module: str, *arguments: str, **streams: Any) -> asyncio.subprocess.Process:
    """Begin a process that ends with this one, also where this one is killed, on Linux."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        preexec_fn=kernel.end_with_parent, **streams)  # fmt: skip


async def comes(condition: Callable[[], bool], patience_s: float = _PATIENCE_S) -> bool:
    """Wait until something is so; False where it is not in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


def fitting(start_s: float) -> float:
    """The highest speed of the oven's time at which a restart of the agent hides no board."""
    return min(_FASTEST, max(1.0, _HIDDEN_S / start_s))
