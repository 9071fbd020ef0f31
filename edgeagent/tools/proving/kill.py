"""kill -9 at random moments: with boards inside and consumers acknowledging, in a start, and in a migration."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from edgeagent.tools.proving import oracle
from edgeagent.tools.proving.consumer import Consumer
from edgeagent.tools.proving.filling import LAYOUTS, fill_earlier, what
from edgeagent.tools.proving.ground import BELT_MM_S, Agent, Ground, Oven, ProofFailed, comes, fitting
from edgeagent.tools.proving.oven import BOARD_MM
from edgeagent.tools.proving.verdict import Seen

_FEED_S = 50.0
_FIRST_BOARDS = 2
_LIMIT_S = 1.0
_IN_START, _IN_MIGRATION = 0.3, 0.1
"""Shares of the kills."""

_FIRST_EVENTS = 4
"""By then it has read everything once: a board that is scanned before has no barcode."""

_LAST_KILLS = 30
"""Of many kills, so many meet the boards that are inside by then; a longer way there is not."""

_LIFE_S = 1.2
"""The longest time from a start to the kill; the shortest is none."""

_OLD_EVENTS = 3000
_CODED_MM = 60.0
"""A board whose edge is not further in may not have been a board yet in the last checkpoint."""

_AWRY_MM, _OUTLET_MM = 50.0, 4600.0
_LOOKS, _LOOK_S = 100, 0.1
_TOO_LONG_S = 0.8 * BOARD_MM / BELT_MM_S
"""Oven seconds: an agent that was away for longer may not have seen a board's edge."""

_FIRST_S = 180.0
_LAST_BOARD_S = 600.0


class Lived(NamedTuple):
    """What is left of agents that were killed: the last one is ended, and its store is there."""

    agent: Agent
    oven: Oven
    consumers: tuple[Consumer, ...]
    kills: int
    in_start: int
    inside: int
    unseen: list[tuple[float, float]]
    faults: list[str]


async def prove(ground: Ground, kills: int) -> list[Seen]:
    """Kill so many times in all."""
    in_migration = max(1, round(kills * _IN_MIGRATION)) if kills > 1 else 0
    lived = await live(ground, kills - in_migration)
    return [judged(lived, *await read_back(lived)), *([await migrations(ground, in_migration)] if in_migration else [])]


async def live(ground: Ground, kills: int) -> Lived:
    """Run an oven and agents against it until so many were killed and the last board is out."""
    start_s = await ground.start_s()
    oven = await ground.oven(fitting(start_s))
    agent = ground.agent(oven)
    consumers = tuple(
        Consumer(name, ground.folder / f"{name}.log", every) for name, every in (("each", 1), ("twentieth", 20))
    )
    life = _Life(ground, agent, oven, consumers, start_s)
    await agent.start()
    await life.attach()
    await oven.order(limit=_LIMIT_S)
    if not await comes(lambda: all(consumer.last > _FIRST_EVENTS for consumer in consumers)):
        raise ProofFailed("the agent hears nothing of the oven")
    await oven.order(boards=_FEED_S)
    await life.boards_inside()
    for number in range(kills):
        if number == max(kills // 4, kills - _LAST_KILLS):
            await oven.order(boards=0)
        await life.kill(in_start=ground.chance.random() < _IN_START)
    await oven.order(boards=0)
    await life.empty()
    return await life.end(kills)


class _Life:
    """An agent that is killed and comes back, with all who look at it."""

    def __init__(
        self, ground: Ground, agent: Agent, oven: Oven, consumers: tuple[Consumer, ...], start_s: float
    ) -> None:
        self.ground, self.agent, self.oven, self.consumers, self.start_s = ground, agent, oven, consumers, start_s
        self.in_start = self.inside = 0
        self.unseen: list[tuple[float, float]] = []
        self.faults: list[str] = []
        self._doubt_mm: dict[str, float] = {}

    async def attach(self) -> None:
        """Let everybody listen."""
        await asyncio.gather(*(consumer.attach(self.agent) for consumer in self.consumers))

    async def boards_inside(self) -> None:
        """Wait for the first boards."""
        for _ in range(round(_FIRST_S / _LOOK_S)):
            if sum(place > _CODED_MM for place in (await self.oven.order())[1].values()) >= _FIRST_BOARDS:
                return
            await asyncio.sleep(_LOOK_S)
        raise ProofFailed("boards do not come into the oven")

    async def kill(self, in_start: bool) -> None:
        """Kill it at a random moment of its life, and, where wanted, once more at one of its start."""
        chance = self.ground.chance
        await asyncio.sleep(chance.uniform(0.0, _LIFE_S))
        gone_s, inside = await self.oven.order()
        if in_start:
            self.in_start += 1
            await self.agent.end() if chance.random() < 0.5 else await self._killed()
            await self.agent.begin()
            await asyncio.sleep(chance.uniform(0.0, 1.1 * self.start_s))
        self.inside += bool(inside)
        await self._killed()
        await self.agent.start()
        await self.attach()
        back_s, there = await self.oven.order()
        travel_mm = (back_s - gone_s) * BELT_MM_S
        entered = [barcode for barcode, place in there.items() if place - travel_mm < _CODED_MM]
        self._doubt_mm |= dict.fromkeys(entered, travel_mm)
        if back_s - gone_s > _TOO_LONG_S:
            self.unseen.append((gone_s - _TOO_LONG_S, back_s + _TOO_LONG_S))
        await self._agrees()

    async def empty(self) -> None:
        """Wait until the last board is out and told."""
        until_s = (await self.oven.order(limit=0))[0] + _LAST_BOARD_S
        while True:
            time_s, boards = await self.oven.order()
            if not boards or time_s > until_s:
                break
            await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(1.0)

    async def end(self, kills: int) -> Lived:
        """Let everybody come to the end of the journal, and end the agent as a service ends."""
        client = await self.agent.client()
        last = (await client.call("Event.Snapshot"))["sequence"]
        client.close()
        for consumer in self.consumers:
            if not await consumer.caught_up(last):
                self.faults.append(f"{consumer.name}: is at {consumer.last} and does not come to {last}")
        for consumer in self.consumers:
            await consumer.detach()
        if code := await self.agent.end():
            self.faults.append(f"the agent ended with {code}")
        return Lived(self.agent, self.oven, self.consumers, kills, self.in_start, self.inside, self.unseen, self.faults)

    async def _killed(self) -> None:
        await self.agent.kill()
        for consumer in self.consumers:
            await consumer.detach()

    async def _agrees(self) -> None:
        """Hold where the agent has each board against where it is; a busy computer may need some looks to see it."""
        client = await self.agent.client()
        apart: dict[str, tuple[float, float]] = {}
        for _ in range(_LOOKS):
            inside = (await client.call("Board.GetInProcess"))["machines"][0]["boards"]
            truth = (await self.oven.order())[1]
            places = {code["code"]: board["positionMm"] for board in inside for code in board["barcodes"]}
            apart = {code: (place, truth[code]) for code, place in places.items() if self._is_apart(code, place, truth)}
            if not apart:
                break
            await asyncio.sleep(_LOOK_S)
        client.close()
        self.faults += [f"board {code} is at {truth:.0f} mm, the agent has it at {place:.0f} mm"
                        for code, (place, truth) in apart.items()]  # fmt: skip

    def _is_apart(self, code: str, place: float, truth: dict[str, float]) -> bool:
        if code not in truth or place > _OUTLET_MM:
            return False
        return abs(place - truth[code]) > _AWRY_MM + self._doubt_mm.get(code, 0.0)


async def read_back(lived: Lived) -> tuple[list[oracle.Told], list[dict[str, int]]]:
    """What the journal holds in the end: its events, and the ranges that are gone."""
    await lived.agent.start()
    client = await lived.agent.client()
    _, stored, gaps = await client.journal()
    client.close()
    await lived.agent.end()
    return stored, gaps


def judged(lived: Lived, stored: list[oracle.Told], gaps: list[dict[str, int]]) -> Seen:
    """Hold the logs of all consumers against the journal as it is in the end, and against the oven's own truth."""
    faults = list(lived.faults)
    repeated = 0
    for consumer in lived.consumers:
        findings = oracle.read(consumer.log)
        repeated += findings.repeated
        faults += findings.faults + oracle.complete(findings, consumer.name, consumer.last)
        faults += oracle.same(findings, consumer.name, stored, gaps) + oracle.chained(findings, consumer.name)
        if len(findings.streams) > 1:
            faults.append(f"{consumer.name}: the stream changed {len(findings.streams) - 1} times")
    boards = oracle.boards(oracle.read(lived.consumers[0].log), lived.oven.truth, lived.unseen)
    faults += boards.faults
    excused = f", {boards.excused} of them not judged: nobody ran as they passed a barrier" if boards.excused else ""
    seen = (f"{lived.consumers[0].last} events, 0 lost, 0 reordered, {repeated} told again, none of them acknowledged; "
            f"{boards.entered} boards in{excused}, {boards.whole} records")  # fmt: skip
    tried = f"kill -9 with boards inside ({lived.inside}) and two consumers, {lived.in_start} more in a start"
    return Seen("kill", tried, lived.kills + lived.in_start, f"{len(faults)} faults" if faults else seen, tuple(faults))


async def migrations(ground: Ground, times: int) -> Seen:
    """Kill an agent that brings an earlier store to the layout of today, again and again."""
    faults: list[str] = []
    took_s = await _one_migration(ground, 0, None, faults)
    for number in range(1, times + 1):
        await _one_migration(ground, number, ground.chance.uniform(0.1, 1.1) * took_s, faults)
    seen = f"{_OLD_EVENTS} events of each store are there" if not faults else f"{len(faults)} faults"
    tried = "kill -9 while an earlier store is brought to the layout of today"
    return Seen("kill", tried, times, seen, tuple(faults))


async def _one_migration(ground: Ground, number: int, kill_s: float | None, faults: list[str]) -> float:
    agent = ground.agent(None, place=f"earlier-{number}")
    layout = 1 + number % (LAYOUTS - 1)
    await asyncio.to_thread(fill_earlier, agent.store, layout, _OLD_EVENTS)
    begun = time.monotonic()
    if kill_s is not None:
        await agent.begin()
        await asyncio.sleep(kill_s)
        await agent.kill()
    await agent.start()
    took_s = time.monotonic() - begun
    client = await agent.client()
    _, events, gaps = await client.journal()
    client.close()
    await agent.end()
    faults += [f"layout {layout}: {gap['from']} to {gap['to']} are gone" for gap in gaps]
    faults += old_faults(events, _OLD_EVENTS)
    return took_s


def old_faults(events: list[dict[str, Any]], count: int) -> list[str]:
    """Hold events against what the store was filled with."""
    there = {event["sequence"]: event["data"].get("what") for event in events}
    wrong = [number for number in range(1, count + 1) if there.get(number) != what(number)]
    return [f"of {count} events {len(wrong)} are not as they were, the first is {wrong[0]}"] if wrong else []
