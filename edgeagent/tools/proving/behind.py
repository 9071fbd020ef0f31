"""A consumer far behind catches up, over its subscription and by reading pages, while live events come in time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from edgeagent.tools.proving import oracle
from edgeagent.tools.proving.consumer import Consumer
from edgeagent.tools.proving.filling import fill
from edgeagent.tools.proving.ground import Agent, Ground, comes
from edgeagent.tools.proving.kill import old_faults
from edgeagent.tools.proving.live import FEWEST, Delays
from edgeagent.tools.proving.verdict import Seen

_SPEED, _SCAN_S = 15.0, 0.4
_PATIENCE_S = 600.0


async def prove(ground: Ground, count: int) -> list[Seen]:
    """Fill a store with so many events, then let two catch up while live ones come."""
    oven = await ground.oven(_SPEED)
    agent = ground.agent(oven)
    await fill(agent.store, count)
    await agent.start()
    delays = Delays(agent)
    live = Consumer("live", ground.folder / "live.log", hears=delays.hear)
    behind = Consumer("behind", ground.folder / "behind.log", every=500)
    await live.attach(agent, "now")
    await oven.order(scans=_SCAN_S)
    await comes(lambda: bool(delays.values))
    delays.begin()
    begun = time.monotonic()
    reading = asyncio.create_task(_read(agent))
    await behind.attach(agent)
    faults: list[str] = []
    if not await behind.caught_up(count, _PATIENCE_S):
        faults.append(f"behind: is at {behind.last} only")
    told_s = time.monotonic() - begun
    events, read_s = await reading
    await comes(lambda: len(delays.values) >= FEWEST)
    await live.detach()
    if not await behind.caught_up(live.last):
        faults.append(f"behind: is at {behind.last} and does not come to {live.last}")
    await behind.detach()
    findings = oracle.read(behind.log)
    faults += findings.faults + oracle.complete(findings, "behind", behind.last) + oracle.read(live.log).faults
    faults += old_faults(list(findings.events.values()), count) + old_faults(events, count) + delays.faults()
    seen = (f"{count / told_s:,.0f} events/s told, {count / read_s:,.0f} events/s read, both at once; {delays}")
    return [Seen("behind", f"{count:,} events behind, then caught up, with live events meanwhile", 1, seen,
                 tuple(faults))]  # fmt: skip


async def _read(agent: Agent) -> tuple[list[dict[str, Any]], float]:
    begun = time.monotonic()
    client = await agent.client()
    _, events, _ = await client.journal()
    client.close()
    return events, time.monotonic() - begun
