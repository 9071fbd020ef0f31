"""The agent's process starts on whatever the disk left of its store, polls within a second, and says what is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.plant import Client, Plant
from tests.store import damage


def zeroed(table: str) -> Callable[[Path], None]:
    def zero(store: Path) -> None:
        numbers = damage.pages(store)[table]
        with store.open("r+b") as file:
            file.seek((numbers[len(numbers) // 2] - 1) * damage.PAGE)
            file.write(bytes(damage.PAGE))

    return zero


def truncated(store: Path) -> None:
    with store.open("r+b") as file:
        file.truncate(store.stat().st_size // 2)


CASES: dict[str, Callable[[Path], object]] = {
    "boards zeroed": zeroed("boards"),
    "checkpoints zeroed": zeroed("checkpoints"),
    "schema zeroed": zeroed("sqlite_schema"),
    "truncated": truncated,
    "empty": lambda store: store.write_bytes(b""),
    "garbage": lambda store: store.write_bytes(random.Random(3).randbytes(200_000)),
    "log of garbage": lambda store: store.with_name(f"{store.name}-wal").write_bytes(bytes(range(256)) * 100),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_agent_starts_on_a_damaged_store_and_says_what_is_lost(tmp_path: Path, case: str) -> None:
    store = tmp_path / "store.sqlite3"
    damage.make(store, 40)
    CASES[case](store)

    async def healed(client: Client) -> dict[str, str]:
        """The agent's alarms once nothing is being taken over any more."""
        async with asyncio.timeout(60):
            while True:
                alarms = (await client.call("Alarm.GetActive"))["alarms"]
                own = {each["alarm"]["code"]: each["alarm"]["text"] for each in alarms
                       if each["alarm"]["object"] == "agent/store"}  # fmt: skip
                values = (await client.call("Status.GetValues"))["values"]
                if (own or case == "log of garbage") and any(each["quality"] == "good" for each in values):
                    return own
                await asyncio.sleep(0.05)

    async def go() -> None:
        plant = Plant(tmp_path, 1.0, "reflow10")
        await plant.start_oven()
        try:
            await plant.start_agent()
            client = await plant.client()
            own = await healed(client)
            if case != "log of garbage":
                assert "was damaged" in own["storeDamaged"]
                assert str(store) + ".corrupt-" in own["storeDamaged"]
            if case in ("boards zeroed", "checkpoints zeroed"):
                found = (await client.call("Board.Find", limit=100))["boards"]
                assert 30 <= len(found) <= 40
            client.close()
            assert await plant.end_agent() == 0
        finally:
            if plant.agent.returncode is None:
                await plant.kill_agent()
            await plant.server.stop()

    asyncio.run(go())
