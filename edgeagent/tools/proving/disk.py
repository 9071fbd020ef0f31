"""A disk that is full, and has room again: a small file system where that may be mounted, else a limit on files."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edgeagent.errors import EdgeAgentError
from edgeagent.tools.proving import oracle
from edgeagent.tools.proving.consumer import Consumer
from edgeagent.tools.proving.ground import Agent, Ground, ProofFailed
from edgeagent.tools.proving.verdict import Seen

_SPEED, _SCAN_S = 15.0, 0.4
_MEGABYTES = 24
_SOME = 60
_FULL_S = 3.0
"""Real seconds for which the disk stays full once the agent has said so."""

_PATIENCE_S = 60.0
_START_S = 15.0
_CHUNK = 1 << 16


class Disk(Protocol):
    """A disk that can be full.

    Attributes:
        how: what makes it full, in words.
    """

    how: str

    def fill(self, agent: Agent) -> None:
        """Leave no room."""

    def free(self, agent: Agent) -> None:
        """Make room."""

    def close(self) -> None:
        """Leave nothing behind."""


class Mounted(Disk):
    """A small file system in memory."""

    how = f"a file system of {_MEGABYTES} MB"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={_MEGABYTES}m", "edgeagent-prove", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603
            raise OSError("a file system cannot be mounted here")
        self._folder = folder
        self._filler = folder / "filler"

    def fill(self, agent: Agent) -> None:
        """See Disk."""
        with suppress(OSError), self._filler.open("ab", buffering=0) as filler:
            while True:
                filler.write(b"\0" * _CHUNK)

    def free(self, agent: Agent) -> None:
        """See Disk."""
        self._filler.unlink()

    def close(self) -> None:
        """See Disk."""
        subprocess.run(["umount", str(self._folder)], capture_output=True, check=False)  # noqa: S603, S607


class Limited(Disk):
    """A process whose files may not be written: the limit counts from the first byte on."""

    how = "RLIMIT_FSIZE"

    def fill(self, agent: Agent) -> None:
        """See Disk."""
        resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def free(self, agent: Agent) -> None:
        """See Disk."""
        resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def close(self) -> None:
        """See Disk."""


async def prove(ground: Ground, mount: Callable[[Path], Disk] = Mounted) -> list[Seen]:
    """Let the disk be full under a running agent, twice: it has room again, or the agent is killed before it has."""
    oven = await ground.oven(_SPEED)
    folder = ground.folder / "agent"
    try:
        disk = mount(folder)
    except OSError:
        disk = Limited()
    ground.leaves.append(disk.close)
    agent = ground.agent(oven)
    await oven.order(scans=_SCAN_S)
    return await _full_twice(ground, agent, disk)


async def _full_twice(ground: Ground, agent: Agent, disk: Disk) -> list[Seen]:
    consumer = Consumer("mes", ground.folder / "mes.log")
    await agent.start()
    await consumer.attach(agent)
    faults = await _goes_on(consumer, "before")
    faults += await _full(agent, disk)
    disk.free(agent)
    faults += await _goes_on(consumer, "after")
    before, behind = len(faults), consumer.last
    killed = await _full(agent, disk)
    await agent.kill()
    await consumer.detach()
    began_full = await _starts(agent)
    if isinstance(disk, Mounted):
        disk.free(agent)
    if not began_full:
        await agent.kill()
        await agent.start()
    await consumer.attach(agent)
    killed += await _goes_on(consumer, "after the kill")
    await consumer.detach()
    client = await agent.client()
    _, stored, gaps = await client.journal()
    client.close()
    findings, known = oracle.read(consumer.log), consumer.last
    faults += findings.faults + oracle.complete(findings, "mes", known) + oracle.same(findings, "mes", stored, gaps)
    seen = f"{behind} events in order; the agent says that the disk is full"
    after = "started on the full disk" if began_full else "started when there was room"
    return [
        Seen("disk", f"disk full under a running agent, then room again ({disk.how})", 1, seen, tuple(faults[:before])),
        Seen("disk", f"kill -9 while the disk is full ({disk.how})", 1,
             f"{after}; {known} events in order, no number used twice", tuple(killed + faults[before:])),
    ]  # fmt: skip


async def _full(agent: Agent, disk: Disk) -> list[str]:
    """Fill the disk until the agent says so, and a while longer."""
    disk.fill(agent)
    deadline = time.monotonic() + _PATIENCE_S
    while not (fault := await asyncio.to_thread(_store_fault, agent)) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        disk.fill(agent)
    if not fault:
        return ["the disk is full, and /readyz does not say it"]
    until_s = time.monotonic() + _FULL_S
    while time.monotonic() < until_s:
        disk.fill(agent)  # also what the agent makes room for itself with
        await asyncio.sleep(0.2)
    return []


async def _goes_on(consumer: Consumer, when: str) -> list[str]:
    """Wait until some more events were told."""
    wanted = consumer.last + _SOME
    return [] if await consumer.caught_up(wanted, _PATIENCE_S) else [f"no event comes {when}"]


async def _starts(agent: Agent) -> bool:
    """Begin the agent and say whether it is up."""
    await agent.begin()
    try:
        await agent.up(_START_S)
    except ProofFailed:
        return False
    return True


def _store_fault(agent: Agent) -> str:
    """What /readyz says of the store; nothing where it is well."""
    address = agent.http.removesuffix("/rpc") + "/readyz"
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310  an agent of our own
            return ""
    except urllib.error.HTTPError as error:
        parts: dict[str, str] = json.load(error)["parts"]
        return next((fault for part, fault in parts.items() if part == "store" and fault != "ok"), "")
    except OSError as error:
        raise EdgeAgentError(f"the agent does not answer: {error}") from None
