"""Ten boards inside an oven in real time, its agent killed at any moment and started again: each record is whole."""

import asyncio
import random
from pathlib import Path

import pytest

from edgeagent.clock import instant_ns
from firmware_iface.simulated.conveyor import STOPPER_MM
from tests.journeys.mes import Mes
from tests.journeys.plant import Plant, plant

BOARDS = 10
BOARD_MM = 120.0
REST_S = 0.5
"""Longest rest between a kill and the next start."""
EARLY_KILLS = 3
SMALLEST_MM = 40.0
"""Over less travel nothing can come or go unseen, but at a barrier that is covered before and after."""
CHECKPOINT_S = 1.2


class Outage:
    """From when to when nobody looked (real seconds), as far as the agent remembers, and who was at a barrier then."""

    def __init__(self, the_plant: Plant, since: float) -> None:
        self.since, self.until = since, since
        self.before = at_barriers(the_plant)
        self.at_barrier: set[str] = set()

    def over(self, the_plant: Plant, until: float) -> None:
        self.until, self.at_barrier = until, self.before | at_barriers(the_plant)

    @property
    def blind_s(self) -> float:
        return self.until - self.since + CHECKPOINT_S


class OvenTime:
    """What the oven's time is on the clock: it stands still while this computer gives the oven no time."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []
        """Seconds of the oven, and of the clock."""

    def look(self, the_plant: Plant) -> None:
        the_plant.server.catch_up()
        self._seen.append((the_plant.machine.time, the_plant.clock.wall_ns() / 1e9))

    def on_the_clock(self, oven_s: float) -> tuple[float, float]:
        """The first and the last moment at which it can have been; the oven may be behind at either look."""
        after = next(place for place, (seen_s, _) in enumerate(self._seen) if seen_s >= oven_s)
        first, last = sorted(wall_s + oven_s - seen_s for seen_s, wall_s in self._seen[after - 1 : after + 1])
        return first, last


def at_barriers(the_plant: Plant) -> set[str]:
    """Boards that cover a barrier, or are so near that they have since the last checkpoint."""
    found = set()
    for conveyor in the_plant.machine.conveyors.values():
        near_mm = conveyor.true_speed / 6 * CHECKPOINT_S + SMALLEST_MM
        for board in (*conveyor.boards, *list(conveyor.finished)[-1:]):
            for barrier in (conveyor.lane.inlet_mm, conveyor.lane.outlet_mm):
                if board.rear_mm - near_mm <= barrier <= board.place_mm + near_mm:
                    found.add(board.barcode)
    return found


def lay(the_plant: Plant) -> None:
    """One board more, where there is room for it and ten are not inside."""
    oven = the_plant.machine
    for number, conveyor in oven.conveyors.items():
        laid = len(conveyor.boards) + len(conveyor.finished)
        if laid < BOARDS // len(oven.conveyors) and conveyor.has_room() and oven.state == "ready":
            oven.insert_board(f"L{number}B{laid:02.0f}", BOARD_MM, lane=number)


async def is_seen(the_plant: Plant) -> None:
    """Wait until the agent reads the machine."""
    client = await the_plant.client()
    while not (await client.call("Status.Get"))["machines"][0]["connected"]:  # noqa: ASYNC110  it asks another process
        await asyncio.sleep(0.02)
    client.close()


async def crash(the_plant: Plant, mes: Mes, rest_s: float) -> Outage:
    """Kill the agent and start it again."""
    await the_plant.prepare_agent()
    outage = Outage(the_plant, the_plant.clock.monotonic_ns() / 1e9)
    await the_plant.kill_agent()
    await mes.detach()
    await asyncio.sleep(rest_s)
    await the_plant.start_agent()
    await is_seen(the_plant)
    outage.over(the_plant, the_plant.clock.monotonic_ns() / 1e9)
    await mes.attach(the_plant)
    return outage


async def journey(folder: Path, register_map: str) -> tuple[Plant, Mes, list[Outage], OvenTime]:
    """Lay boards, kill the agent while they enter and again and again while all are inside; let them come out."""
    chance, mes, outages, times = random.Random(5), Mes(), [], OvenTime()
    async with plant(folder, 1.0, register_map) as the_plant:
        oven = the_plant.machine
        await the_plant.start_agent()
        await mes.attach(the_plant)
        times.look(the_plant)
        while oven.boards or not oven.finished:
            for _ in range(round(chance.uniform(3, 12))):
                lay(the_plant)
                await asyncio.sleep(1)
                times.look(the_plant)
            if len(oven.boards) == BOARDS or (oven.boards and len(outages) < EARLY_KILLS):
                outages.append(await crash(the_plant, mes, chance.uniform(0, REST_S)))
                times.look(the_plant)
        await asyncio.sleep(5)
        await mes.detach()
        assert await the_plant.end_agent() == 0
        times.look(the_plant)
        return the_plant, mes, outages, times


@pytest.mark.slow
@pytest.mark.parametrize("register_map", ["reflow10", "reflow12"])
def test_ten_boards_inside_are_followed_over_every_crash_of_seconds(tmp_path, register_map):
    the_plant, mes, outages, times = asyncio.run(journey(tmp_path, register_map))
    truth = {board.barcode: board for board in the_plant.machine.finished}
    assert len(truth) == BOARDS
    told = [event["data"]["board"] for event in mes.of("Board.ProcessCompleted")]
    codes = [board["barcodes"][0]["code"] for board in told]
    speed_mm_s = max(conveyor.true_speed for conveyor in the_plant.machine.conveyors.values()) / 6
    long = [outage for outage in outages if outage.blind_s * speed_mm_s >= SMALLEST_MM]
    excused = set().union(*(outage.at_barrier for outage in long))
    assert len(codes) == len(set(codes))
    assert truth.keys() - excused <= set(codes) <= truth.keys()
    if not excused:
        assert not mes.of("Board.Lost")
        assert not mes.of("Board.Unexpected")
    started = {event["data"]["board"]["id"]: event["data"]["board"] for event in mes.of("Board.ProcessStarted")}
    assert all(board["barcodes"] == started[board["id"]]["barcodes"] for board in told)
    longest_s = max(outage.blind_s for outage in outages)
    for board in told:
        real = truth[board["barcodes"][0]["code"]]
        if not long and not any(real.barcode in outage.at_barrier for outage in outages):
            assert board["identity"] == "certain"
        out_s = real.left_s - STOPPER_MM / speed_mm_s  # it has left the oven when it is past the stopper too
        for name, real_s in (("enteredAt", real.entered_s), ("exitedAt", out_s)):
            first_s, last_s = times.on_the_clock(real_s)
            assert first_s - longest_s <= instant_ns(board[name]) / 1e9 <= last_s + longest_s
        assert board["samples"]["missing"] > 0
        assert board["samples"]["good"] + board["samples"]["missing"] == board["samples"]["expected"]
        for zone in (zone for zone in board["zones"] if zone["quality"] != "bad"):
            assert zone["minimum"] <= zone["mean"] <= zone["maximum"]
            assert zone["mean"] == pytest.approx(zone["setpoint"], abs=12)
    print(f"{register_map}: {len(outages)} kills, back after {[round(o.until - o.since, 1) for o in outages]} s;",
          f"{sum(board['identity'] == 'certain' for board in told)} of {len(told)} certain")
