"""Consumers that never read, or never acknowledge: they cost the others nothing, and their place is kept."""

from __future__ import annotations

import asyncio
import socket
import time

from edgeagent.tools.proving import oracle
from edgeagent.tools.proving.client import request
from edgeagent.tools.proving.consumer import Consumer
from edgeagent.tools.proving.filling import fill
from edgeagent.tools.proving.ground import Agent, Ground
from edgeagent.tools.proving.live import Delays
from edgeagent.tools.proving.verdict import Seen

_SPEED, _SCAN_S = 15.0, 0.4
_EVENTS = 30_000
"""More than sockets hold."""

_PATIENCE_S = 4.0
_MOST_MB = 8.0
_WATCHED_S = 8.0
_DEAF = 5
_IN_FLIGHT = 50


async def prove(ground: Ground) -> list[Seen]:
    """Let some listen without reading, one read without acknowledging, one do both."""
    oven = await ground.oven(_SPEED)
    agent = ground.agent(oven, settings=f"[openapps]\npatience_s = {_PATIENCE_S}")
    await fill(agent.store, _EVENTS)
    await agent.start()
    delays = Delays(agent)
    live = Consumer("live", ground.folder / "live.log", hears=delays.hear)
    silent = Consumer("silent", ground.folder / "silent.log", every=0, in_flight=_IN_FLIGHT)
    await live.attach(agent, "now")
    await oven.order(scans=_SCAN_S)
    await asyncio.sleep(1.0)
    before_mb = most_mb = agent.rss_mb()
    deaf = [_deaf(agent, number) for number in range(_DEAF)]
    await silent.attach(agent)
    begun = time.monotonic()
    while time.monotonic() < begun + _PATIENCE_S + _WATCHED_S:
        await asyncio.sleep(0.2)
        most_mb = max(most_mb, agent.rss_mb())
    faults = delays.faults()
    if most_mb - before_mb > _MOST_MB:
        faults.append(f"the agent took {most_mb - before_mb:.1f} MB more")
    if silent.told != _IN_FLIGHT:
        faults.append(f"who never acknowledges was told {silent.told} events, not {_IN_FLIGHT}")
    ended = [await asyncio.to_thread(_is_ended, each) for each in deaf]
    if not all(ended):
        faults.append(f"{ended.count(False)} of {_DEAF} who read nothing are connected still")
    await live.detach()
    await silent.detach()
    faults += await _come_back(ground, agent, live.last)
    seen = (f"{ended.count(True)} cut off, their places kept; {most_mb - before_mb:.1f} MB more; {delays}")
    tried = f"{_DEAF} consumers that never read {_EVENTS:,} events, one that never acknowledges"
    return [Seen("deaf", tried, 1, seen, tuple(faults))]


def _deaf(agent: Agent, number: int) -> socket.socket:
    """A connection that subscribes as a consumer and to everything besides, and never reads."""
    connection = socket.create_connection(agent.lines)
    wanted = {"topics": ["*"], "consumer": f"deaf-{number}", "maxInFlight": 1000, "from": "beginning"}
    connection.sendall(request(1, "Event.Subscribe", wanted)
                       + request(2, "Event.Subscribe", {"topics": ["*"], "from": "beginning"}))  # fmt: skip
    return connection


def _is_ended(connection: socket.socket) -> bool:
    """Whether the agent ended a connection, after what was on its way."""
    connection.settimeout(2.0)
    try:
        while connection.recv(1 << 20):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    finally:
        connection.close()
    return True


async def _come_back(ground: Ground, agent: Agent, last: int) -> list[str]:
    """Let one of the deaf hear from now on: it is told everything from its place on."""
    mended = Consumer("deaf-0", ground.folder / "mended.log", every=500)
    await mended.attach(agent)
    await mended.caught_up(last)
    await mended.detach()
    findings = oracle.read(mended.log)
    return findings.faults + oracle.complete(findings, "deaf-0", max(last, mended.last))
