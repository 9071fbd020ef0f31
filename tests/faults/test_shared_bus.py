"""What a dead unit costs the others on its line, in real time over a line with a real baud's pace."""

import asyncio

import pytest

from tests.fault_kit import faults
from tests.fault_kit.faults import Fault
from tests.faults.rig import Rig, rtu_rig

PERIOD_MS = 250


async def rates(rig: Rig, seconds: float) -> dict[int, float]:
    """Unit → good beats a second from now on."""
    before = {unit: len(beats) for unit, beats in rig.beats.items()}
    start_ns = rig.clock.monotonic_ns()
    end_ns = start_ns + round(seconds * 1e9)
    await rig.until(lambda: rig.clock.monotonic_ns() >= end_ns, seconds + 1)
    lasted_s = (rig.clock.monotonic_ns() - start_ns) / 1e9
    return {unit: sum(beat.is_good for beat in beats[before[unit]:]) / lasted_s for unit, beats in rig.beats.items()}


@pytest.mark.slow
def test_a_dead_unit_costs_the_other_three_at_most_a_tenth_of_their_rate_after_the_first_minute(tmp_path):
    async def go():
        async with rtu_rig(1, tmp_path, units=4, baud=19200, period_ms=PERIOD_MS, speed=1.0) as rig:
            await rig.until(lambda: all(len(b) > 2 and b[-1].is_good for b in rig.beats.values()), 10)
            whole = await rates(rig, 10)
            assert min(whole.values()) > 0.95 * 1000 / PERIOD_MS, whole
            await rig.line.begin(Fault("dead", faults.drop), 4)
            first = await rates(rig, 60)
            after = await rates(rig, 40)
            print(f"\ngood beats a second: whole {whole}, first minute {first}, then {after}")
            assert after[4] == 0
            assert rig.line.requests[4] > 0
            for unit in (1, 2, 3):
                assert after[unit] >= 0.9 * whole[unit]
                assert not any(beat.wrong for beat in rig.beats[unit])
            await rig.line.end()
            assert await rig.until(lambda: rig.beats[4][-1].is_good, 40), "the unit is not found again"

    asyncio.run(go())
