"""Whatever an MES does, and whenever the agent ends: every event is taken once noted or set aside, in order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from tests.publish.push.mes import Mes, Post, an_mes, line_to, until

EVENTS = 80


def moody(chance: Random) -> int:
    """One answer of an MES that is not well."""
    return chance.choice((204, 204, 204, 200, 503, 429, 401, 500, 307, 408))


async def live(folder: Path, seed: int) -> tuple[Mes, set[int], dict[int, str]]:
    """A life of an agent and an MES that never takes some events; returns what was set aside with the reason."""
    chance = Random(seed)
    bad = set(chance.sample(range(1, EVENTS + 1), 6))
    is_well = False

    async def does(post: Post) -> web.StreamResponse:
        if not is_well and chance.random() < 0.15:
            post.request.transport.abort()  # type: ignore[union-attr]  taken or not, nobody is told
        if not is_well and chance.random() < 0.1:
            await asyncio.sleep(chance.random() * 0.03)
        status = 204 if is_well else moody(chance)
        if status in (200, 204) and bad & set(post.sequences):
            status = chance.choice((400, 413, 422))
        return web.Response(status=int(status))

    async with an_mes(does) as mes:
        happened = 0
        while happened < EVENTS:
            async with line_to(mes, folder, batch_events=chance.randint(1, 20), catch_up_per_s=100_000) as it:
                for _ in range(chance.randint(1, 6)):
                    count = min(chance.randint(0, 9), EVENTS - happened)
                    happened = it.happen(count) if count else happened
                    if chance.random() < 0.3:
                        await mes.stop()
                        await asyncio.sleep(chance.random() * 0.02)
                        await mes.start()
                    await asyncio.sleep(chance.random() * 0.05)
        is_well = True
        async with line_to(mes, folder, catch_up_per_s=100_000) as it:
            await until(lambda: it.line.place and it.line.place.acknowledged == EVENTS)
            return mes, bad, {each.sequence: each.reason for each in it.line.set_aside()}


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_overtaken_or_changed(tmp_path: Path, seed: int) -> None:
    mes, bad, aside = asyncio.run(live(tmp_path, seed))
    assert aside.keys() == bad, "what was set aside is what the MES does not take, and nothing else"
    assert set(mes.taken) >= set(range(1, EVENTS + 1)) - bad
    bodies, highest = dict[int, str](), 0
    for post in mes.posts:
        for each in post.events:
            number = each["params"]["sequence"]
            assert bodies.setdefault(number, str(each)) == str(each), "an event is the same whenever it comes"
        if post.status and post.status < 300:
            assert post.sequences == sorted(post.sequences)
            gone_by = set(range(highest + 1, post.sequences[0]))
            assert gone_by <= bad, "none is overtaken"
            highest = max(highest, post.sequences[-1])
