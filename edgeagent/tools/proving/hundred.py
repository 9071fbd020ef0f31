"""A hundred consumers at once, over a kill: each is told everything, in time."""

from __future__ import annotations

from edgeagent.tools.proving import oracle
from edgeagent.tools.proving.consumer import Consumer
from edgeagent.tools.proving.ground import Ground, comes
from edgeagent.tools.proving.live import FEWEST, Delays
from edgeagent.tools.proving.verdict import Seen

_COUNT = 100
_SPEED, _SCAN_S = 10.0, 0.4
_EVERY = 5
_PATIENCE_S = 120.0


async def prove(ground: Ground) -> list[Seen]:
    """Let them listen to live events, kill the agent, let them go on."""
    oven = await ground.oven(_SPEED)
    agent = ground.agent(oven)
    await agent.start()
    await oven.order(scans=_SCAN_S)
    before_mb = agent.rss_mb()
    delays = Delays(agent)
    consumers = [
        Consumer(f"consumer-{number}", ground.folder / f"consumer-{number}.log", _EVERY, is_synced=False,
                 hears=delays.hear)
        for number in range(_COUNT)
    ]  # fmt: skip
    for consumer in consumers:
        await consumer.attach(agent)
    delays.begin()
    await _told(consumers, FEWEST)
    grown_mb = agent.rss_mb() - before_mb
    faults = delays.faults()
    seen = f"{delays}; {grown_mb:.1f} MB more with all of them"
    await agent.kill()
    for consumer in consumers:
        await consumer.detach()
    await agent.start()
    for consumer in consumers:
        await consumer.attach(agent)
    await _told(consumers, FEWEST)
    await oven.order(scans=0)
    client = await agent.client()
    last = (await client.call("Event.Snapshot"))["sequence"]
    for consumer in consumers:
        if not await consumer.caught_up(last):
            faults.append(f"{consumer.name}: is at {consumer.last} and does not come to {last}")
        await consumer.detach()
    _, stored, gaps = await client.journal()
    client.close()
    for consumer in consumers:
        findings = oracle.read(consumer.log)
        faults += findings.faults + oracle.complete(findings, consumer.name, max(last, consumer.last))
        faults += oracle.same(findings, consumer.name, stored, gaps)
    seen = f"{last} events, each told to all {_COUNT}; {seen}"
    return [Seen("hundred", f"{_COUNT} consumers that acknowledge, kill -9 in the middle", 1, seen, tuple(faults))]


async def _told(consumers: list[Consumer], more: int) -> None:
    """Wait until everybody was told so many events more."""
    begun = [consumer.told for consumer in consumers]
    await comes(lambda: all(each.told >= at + more for each, at in zip(consumers, begun, strict=True)), _PATIENCE_S)
