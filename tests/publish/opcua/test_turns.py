from __future__ import annotations

import asyncio

from edgeagent.publish.opcua.turns import Turn, Turns


def test_who_used_least_goes_first() -> None:
    async def test() -> None:
        turns, order = Turns(), []

        async def wait(used_s: float) -> None:
            await turns.wait(used_s)
            order.append(used_s)

        await asyncio.gather(*[wait(used) for used in (3.0, 1.0, 2.0, 0.0)])
        assert order == [0.0, 1.0, 2.0, 3.0]

    asyncio.run(test())


def test_one_goes_on_in_each_round_of_the_loop() -> None:
    async def test() -> None:
        turns, rounds, now = Turns(), [], 0

        async def wait() -> None:
            await turns.wait(0.0)
            rounds.append(now)

        waiting = [asyncio.create_task(wait()) for _ in range(5)]
        while not all(task.done() for task in waiting):
            await asyncio.sleep(0)
            now += 1
        assert len(set(rounds)) == 5

    asyncio.run(test())


def test_who_does_not_wait_any_more_holds_nobody_up() -> None:
    async def test() -> None:
        turns = Turns()
        gone, stays = asyncio.create_task(turns.wait(0.0)), asyncio.create_task(turns.wait(1.0))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(stays, 10)

    asyncio.run(test())


def test_what_was_used_counts_less_by_and_by() -> None:
    async def test() -> None:
        turn = Turn(Turns())
        await turn.begin()
        turn._since -= 10.0
        turn.end()
        just_now = turn._used()
        turn._used_at -= 4.0
        assert 0 < turn._used() < just_now / 2

    asyncio.run(test())
