"""Who lives and who is ready; how long things took; how late the loop is."""

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.durations import BOUNDS_S, Durations
from edgeagent.health import Health
from edgeagent.loop_lag import LoopLag


def health(**faults: str | None) -> Health:
    found = Health()
    found.add("vital", lambda: faults.get("vital"), is_vital=True)
    found.add("store", lambda: faults.get("store"))
    found.add("machine", lambda: faults.get("machine"), is_needed=False)
    return found


def test_only_what_is_vital_decides_whether_the_agent_lives():
    assert health(store="full", machine="off").alive() == (True, {"vital": None})
    assert health(vital="hangs").alive() == (False, {"vital": "hangs"})
    assert health(vital="hangs", store="full").dead() == {"vital": "hangs"}


def test_a_machine_that_is_off_is_told_and_does_not_make_the_agent_unready():
    assert health(machine="off").ready() == (True, {"vital": None, "store": None, "machine": "off"})
    assert health(store="full").ready()[0] is False
    assert health(vital="hangs").ready()[0] is False
    assert health(machine="off", store="full").faults() == {"store": "full"}


@given(st.lists(st.integers(-10, 3_000_000_000)))
def test_durations_are_counted_in_the_class_that_they_belong_to(found: list[int]):
    durations = Durations()
    for each in found:
        durations.add(each)
    for bound, (name, count) in zip(BOUNDS_S, durations.buckets(), strict=False):
        assert count == sum(each <= bound * 1e9 for each in found), name
    assert durations.buckets()[-1] == ("+Inf", len(found))
    assert durations.sum_ns == sum(max(0, each) for each in found)


def test_a_loop_that_is_held_up_is_seen():
    async def main() -> None:
        lag = LoopLag(period_s=0.01)
        assert lag.longest_s is None
        task = asyncio.create_task(lag.run())
        await asyncio.sleep(0.002)
        time.sleep(0.06)  # noqa: ASYNC251
        while lag.longest_s is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        task.cancel()
        assert lag.longest_s >= 0.03
        assert lag.durations.buckets()[-1][1] >= 1

    asyncio.run(main())
