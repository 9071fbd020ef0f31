"""Who is next: what is urgent, then what came first; nobody who is gone holds the others up."""

import asyncio

import pytest

from edgeagent.acquire.turnstile import Turnstile


async def _queue(turnstile: Turnstile, order: list[str], *names: str) -> list[asyncio.Task]:
    async def go(name: str) -> None:
        async with turnstile.turn(is_urgent=name.isupper()):
            order.append(name)

    tasks = [asyncio.create_task(go(name)) for name in names]
    await asyncio.sleep(0)
    return tasks


def test_the_urgent_go_first_and_otherwise_it_is_first_come_first_served():
    async def go():
        turnstile, order = Turnstile(), []
        await turnstile.enter()
        tasks = await _queue(turnstile, order, "a", "b", "A", "c", "B")
        turnstile.leave()
        await asyncio.gather(*tasks)
        assert order == ["A", "B", "a", "b", "c"]

    asyncio.run(go())


def test_nobody_slips_in_between_the_end_of_a_turn_and_the_next():
    async def go():
        turnstile, order = Turnstile(), []
        await turnstile.enter()
        tasks = await _queue(turnstile, order, "a")
        turnstile.leave()
        tasks += await _queue(turnstile, order, "B")
        await asyncio.gather(*tasks)
        assert order == ["a", "B"]

    asyncio.run(go())


@pytest.mark.parametrize("is_called", [False, True])
def test_one_that_is_cancelled_gives_its_turn_on(is_called):
    async def go():
        turnstile, order = Turnstile(), []
        await turnstile.enter()
        first, second = await _queue(turnstile, order, "a", "b")
        if is_called:
            turnstile.leave()
        first.cancel()
        await asyncio.wait({first})
        if not is_called:
            turnstile.leave()
        await second
        assert order == ["b"]
        await turnstile.enter()

    asyncio.run(go())


def test_a_turn_ends_with_an_error_too():
    async def go():
        turnstile = Turnstile()
        with pytest.raises(ValueError, match="wrong"):
            async with turnstile.turn():
                raise ValueError("wrong")
        await asyncio.wait_for(turnstile.enter(), 10)

    asyncio.run(go())
