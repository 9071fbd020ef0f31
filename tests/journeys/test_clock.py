"""The whole agent while somebody sets the computer's clock by hours: order and durations stand, `clock` tells."""

import asyncio
from pathlib import Path

import pytest

from edgeagent import config
from edgeagent.agent import Agent
from edgeagent.clock import Clock, instant_ns
from edgeagent.simulate import SimulatedOven
from firmware_iface import catalog
from tests.journeys.plant import Client

SPEED = 15.0
HOUR_NS = 3600 * 1_000_000_000
INSIDE_S = (4710 + 180) / (70 / 6)


class SetClock(Clock):
    """Begins without a time source; a test sets it."""

    def __init__(self, speed: float, origin_ns: int) -> None:
        super().__init__(speed, origin_ns)
        self.set_ns, self.is_trusted = 0, False

    def wall_ns(self) -> int:
        return super().wall_ns() + self.set_ns

    @property
    def trusted(self) -> bool:
        return self.is_trusted


async def until(client: Client, events: list[dict], holds) -> None:
    async with asyncio.timeout(120):
        while not holds():
            message = await client.notification()
            assert message is not None
            if "sequence" in message["params"]:
                events.append({"topic": message["method"], **message["params"]})


def boards(events: list[dict], topic: str) -> list[dict]:
    return [event["data"]["board"] for event in events if event["topic"] == topic]


async def day(folder: Path) -> tuple[list[dict], dict, list[dict], list[dict]]:
    """Three boards: the clock is set forth with the first inside, synchronised, and set back with the second inside."""
    clock = SetClock(SPEED, Clock().wall_ns())
    simulated = SimulatedOven(catalog.builtin("reflow10"), Clock(SPEED, Clock().wall_ns()))
    simulated.oven.schedule(60.0, count=3)
    port = await simulated.start()
    (folder / "agent.toml").write_text(
        '[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n[[machines]]\nid = "RO10"\n[[machines.sources]]\n'
        f'kind = "modbus-tcp"\nmap = "reflow10"\nhost = "127.0.0.1"\nport = {port}\n'
    )
    agent = Agent(*config.load(folder / "agent.toml"), folder / "store.sqlite3", clock)
    await agent.start()
    events: list[dict] = []
    try:
        host, tcp = agent.addresses["TCP lines"].rsplit(":", 1)
        client = Client(*await asyncio.open_connection(host, int(tcp), limit=1 << 22))
        await client.call("Event.Subscribe", topics=["*"], **{"from": "beginning"})
        await until(client, events, lambda: len(boards(events, "Board.ProcessStarted")) == 1)
        clock.set_ns += 30 * HOUR_NS
        clock.is_trusted = True
        await until(client, events, lambda: len(boards(events, "Board.ProcessStarted")) == 2)
        clock.set_ns -= 5 * HOUR_NS
        clock.is_trusted = False
        await until(client, events, lambda: len(boards(events, "Board.ProcessCompleted")) == 3)
        values = (await client.call("Status.GetValues"))["values"]
        counters = (await client.call("Production.GetCounters"))["machines"][0]
        since = boards(events, "Board.ProcessCompleted")[0]["enteredAt"]
        found = (await client.call("Board.Find", since=since))["boards"]
        client.close()
    finally:
        await agent.stop()
        await simulated.stop()
    return events, counters, values, found


@pytest.mark.slow
def test_a_clock_that_is_set_while_boards_are_inside_changes_neither_order_nor_durations(tmp_path):
    events, counters, values, found = asyncio.run(day(tmp_path))
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    told = [(e["data"]["what"], e["clock"]) for e in events if e["topic"] == "Configuration.Changed"]
    assert told == [("time", "trusted"), ("clock", "trusted"), ("time", "untrusted"), ("clock", "untrusted")]
    forth, back = (
        (instant_ns(e["data"]["to"]) - instant_ns(e["data"]["from"])) / HOUR_NS for e in events
        if e["topic"] == "Configuration.Changed" and e["data"]["what"] == "time"
    )  # fmt: skip
    assert (forth, back) == (pytest.approx(30, abs=0.01), pytest.approx(-5, abs=0.01))
    started, completed = boards(events, "Board.ProcessStarted"), boards(events, "Board.ProcessCompleted")
    assert [board["id"] for board in completed] == [board["id"] for board in started]
    for board in completed:
        inside_s = (instant_ns(board["exitedAt"]) - instant_ns(board["enteredAt"])) / 1e9
        assert inside_s == pytest.approx(INSIDE_S, rel=0.1)
        times = [board["enteredAt"], *(zone["enteredAt"] for zone in board["zones"]), board["exitedAt"]]
        assert times == sorted(times), "all by one clock"
    assert [event["clock"] for event in events if event["topic"] == "Board.ProcessStarted"] == [
        "untrusted", "trusted", "untrusted"]  # fmt: skip
    assert not [event for event in events if event["topic"] in ("Board.Lost", "Board.Unexpected")]
    assert [board["id"] for board in found] == [board["id"] for board in reversed(completed)]
    assert {value["quality"] for value in values if value["object"].startswith("zone/")} == {"good"}
    assert counters["boards"] == 3
    assert sum(counters["seconds"].values()) < 60 * 3600
    assert counters["seconds"]["running"] < 1500
