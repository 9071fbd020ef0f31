from __future__ import annotations

import asyncio

import pytest

from edgeagent.errors import StoreError
from edgeagent.store.waiters import Waiters


def run(work, patience_s=10.0):
    asyncio.run(work(Waiters(patience_s, lambda: "the disk is slow")))


async def begun(*waits):
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.sleep(0)
    return tasks


def test_a_number_wakes_those_who_wait_for_it_or_an_earlier_one():
    async def use(waiters):
        later, early, same = await begun(waiters.wait(3), waiters.wait(1), waiters.wait(2))
        waiters.wake(2, None)
        await asyncio.gather(early, same)
        assert (later.done(), len(waiters)) == (False, 1)
        waiters.wake(3, StoreError("refused"))
        with pytest.raises(StoreError, match="refused"):
            await later
        assert len(waiters) == 0

    run(use)


def test_who_gave_up_waiting_is_forgotten_and_hinders_nobody():
    async def use(waiters):
        gone, other = await begun(waiters.wait(1), waiters.wait(1))
        gone.cancel()
        waiters.wake(1, None)
        await other
        await asyncio.wait((gone,))
        assert (gone.cancelled(), len(waiters)) == (True, 0)

    run(use)


def test_each_waits_as_long_as_it_may_though_all_share_one_timer():
    async def use(waiters):
        for first in (1, 11):  # the second time a new timer begins, because nobody was left for the first
            waits = await begun(waiters.wait(first))
            await asyncio.sleep(0.01)
            waits += await begun(waiters.wait(first + 1))
            for number, wait in enumerate(waits, first):
                with pytest.raises(StoreError, match=rf"event {number} is not on disk after 0\.05 s: the disk is slow"):
                    await wait
            assert len(waiters) == 0

    run(use, 0.05)


def test_who_waits_for_an_earlier_number_than_others_is_woken_by_it():
    async def use(waiters):
        later, early, latest = await begun(waiters.wait(5), waiters.wait(2), waiters.wait(9))
        waiters.wake(2, None)
        await early
        assert (later.done(), latest.done()) == (False, False)
        waiters.wake(9, None)
        await asyncio.gather(later, latest)

    run(use)
