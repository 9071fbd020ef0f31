"""A recording brings the same events again, to the last one, and what is wrong with a recording is told."""

import asyncio
import json
import re
import sqlite3
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edgeagent import config
from edgeagent.agent import Agent
from edgeagent.clock import Clock
from edgeagent.model.boards import RecipeName
from edgeagent.model.machine import Limit, ProcessWindow, Tolerances
from edgeagent.model.recipes import StoredRecipe
from edgeagent.model.samples import Row
from edgeagent.recording.entries import Wire
from edgeagent.recording.reader import Recording
from edgeagent.simulate import SimulatedOven
from edgeagent.store.recipes import Recipes
from edgeagent.tools.record import recorder
from edgeagent.tools.replay import Replay
from firmware_iface import catalog
from firmware_iface.frames.rtu import request
from firmware_iface.simulated.faults import parse
from tests.acquire.rtu_device import device, right
from tests.tools.line import MAP, edgeagent

SPEED = 60.0
ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


def configured(folder: Path, port: int) -> Path:
    file = folder / "agent.toml"
    file.write_text(
        '[openapps.http]\nenabled = false\n[openapps.lines]\nenabled = false\n[[machines]]\nid = "RO1"\n'
        f'[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\nhost = "127.0.0.1"\nport = {port}\n'
        "[machines.window]\npeak = [240, 250]\nsoak = [60, 120]\n")
    return file


@asynccontextmanager
async def recording(path: Path, file: Path, clock: Clock, megabytes: float = 100):
    """The agent runs and is recorded."""
    configuration, maps = config.load(file)
    with recorder(path, megabytes, file, configuration, maps, clock) as taking:
        agent = Agent(configuration, maps, file.parent / "store.sqlite3", clock, taking)
        await agent.start()
        try:
            yield agent
        finally:
            await agent.stop()


async def topic(agent: Agent, wanted: str) -> None:
    """Wait until an event of this topic is on disk."""
    while not any(name == wanted for name, *_ in stored(agent._database.path)):  # noqa: ASYNC110  the disk wakes nobody
        await asyncio.sleep(0.05)


def stored(database: Path) -> list[tuple[str, dict]]:
    """Topic and body of every event on disk, in order."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT topic, body FROM events ORDER BY sequence").fetchall()
    connection.close()
    return [(name, json.loads(b"{" + body + b"}")) for name, body in rows]


def plain(events: list[tuple[str, dict]]) -> str:
    """Events as text, with the first name made afresh called 1, the second 2, and so on."""
    names: dict[str, str] = {}
    return ID.sub(lambda found: names.setdefault(found[0], f"<{len(names) + 1}>"), json.dumps(events, indent=1))


async def replayed(path: Path, store: Path, file: Path | None = None) -> list[tuple[str, dict]]:
    told = []
    player = Replay(Recording(path), file, store, told.extend)
    await player.run(asyncio.Event())
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    assert not list(player.doubts())
    return [(event.topic, json.loads(b"{" + event.body + b"}")) for event in told]


def test_a_recording_of_boards_faults_and_a_restart_brings_the_same_events_again(tmp_path):
    async def go():
        clock = Clock(SPEED, Clock().wall_ns())
        oven = SimulatedOven(catalog.builtin("reflow10"), clock, seed=3)
        file = configured(tmp_path, await oven.start())
        oven.oven.schedule(10.0, 1)
        async with asyncio.timeout(40):
            async with recording(tmp_path / "one.rec", file, clock) as agent:
                await topic(agent, "Board.ProcessStarted")
                oven.oven.add_fault(parse("heater-dead:zone/3/top"))
                await asyncio.sleep(0.3)
            before = stored(tmp_path / "store.sqlite3")
            async with recording(tmp_path / "two.rec", file, clock) as agent:
                now = round(oven.oven.time)
                oven.oven.add_fault(parse(f"silent@{now + 5}+30"))
                oven.oven.add_fault(parse(f"controller-reboot@{now + 60}+10"))
                await topic(agent, "Board.ProcessCompleted")
                oven.oven.insert_board()
                while not (boards := agent.units[0].boards()):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                assert agent.units[0].remove_board(boards[0].id, "it fell down", "anna")
                assert agent.units[0].confirm_empty(None, "nothing inside", "anna") == ()
                await topic(agent, "Board.Lost")
        await oven.stop()
        after = stored(tmp_path / "store.sqlite3")[len(before):]
        assert {"Board.ProcessStarted", "Status.MachineStatusChanged"} <= {name for name, _ in before}
        assert {"Board.ProcessCompleted", "Board.Lost"} <= {name for name, _ in after}
        assert plain(await replayed(tmp_path / "one.rec", tmp_path / "one.sqlite3")) == plain(before)
        again = await replayed(tmp_path / "two.rec", tmp_path / "two.sqlite3")
        assert plain(again) == plain(after)
        assert plain(stored(tmp_path / "two.sqlite3")) == plain(after)

    asyncio.run(go())


def test_a_recording_with_writes_holds_their_bytes_and_brings_the_same_events_again(tmp_path):
    setpoint = "zone/3/top/setpoint"

    async def go():
        clock = Clock(SPEED, Clock().wall_ns())
        oven = SimulatedOven(catalog.builtin("reflow10"), clock, seed=3)
        file = configured(tmp_path, await oven.start())
        oven.oven.schedule(10.0, 1)
        async with asyncio.timeout(40), recording(tmp_path / "a.rec", file, clock) as agent:
            reach = agent.reaches["RO1"]
            await topic(agent, "Board.ProcessStarted")
            before = oven.oven.read(setpoint)
            await reach.write(setpoint, before + 20)
            await reach.refresh([setpoint, "machine/state"])
            with pytest.raises(ValueError, match="only read"):
                await reach.write("machine/state", 1)
            assert oven.oven.read(setpoint) == before + 20
            await topic(agent, "Recipe.SettingChanged")
        await oven.stop()
        live = stored(tmp_path / "store.sqlite3")
        passed = [entry for entry in Recording(tmp_path / "a.rec").entries() if isinstance(entry, Wire)]
        written = [(entry.is_sent, entry.data[6:]) for entry in passed if entry.data[7:8] == b"\x06"]
        assert [is_sent for is_sent, _ in written] == [True, False]
        assert len({data for _, data in written}) == 1
        assert plain(await replayed(tmp_path / "a.rec", tmp_path / "again.sqlite3")) == plain(live)

    asyncio.run(go())


def kept(name: str, version: int) -> StoredRecipe:
    """A recipe by which no board passes: each zone may be a thousandth of a degree off."""
    return StoredRecipe(machine="RO1", name=name, version=version, made_at="2026-11-21T22:10:20.000Z", by="anna",
                        settling_s=60.0, settings={}, tolerances=Tolerances(zone_celsius=0.001),
                        window=ProcessWindow(peak=Limit(240, 250)))  # fmt: skip


def test_boards_of_stored_recipes_and_changes_of_callers_are_judged_and_told_again_as_then(tmp_path):
    async def go():
        clock = Clock(SPEED, Clock().wall_ns())
        oven = SimulatedOven(catalog.builtin("reflow10"), clock, seed=3)
        file = configured(tmp_path, await oven.start())
        async with recording(tmp_path / "before.rec", file, clock) as agent:
            recipes = Recipes(agent._database, ())
            await agent._database.write(recipes.add(kept("SAC305-A", 3)).insert)
        before = stored(tmp_path / "store.sqlite3")
        async with asyncio.timeout(60), recording(tmp_path / "a.rec", file, clock) as agent:
            unit = agent.units[0]
            while unit.recipe()[0].name is None or unit.status().state != "ready":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            unit.hold_ready("recipe SAC305-A is not settled")
            unit.expect({"zone/3/top/setpoint": 166.0}, "anna")
            unit.expect({"zone/3/top/setpoint": 166.0}, "otto")
            unit.expect_no_more(["zone/3/top/setpoint"])
            oven.oven.write("zone/3/top/setpoint", 166.0)
            oven.oven.insert_board()
            await topic(agent, "Board.ProcessStarted")
            unit.hold_ready(None)
            unit.recipe_started(RecipeName("SAC305-A", 4), "anna")
            await topic(agent, "Board.ProcessCompleted")
        await oven.stop()
        live = stored(tmp_path / "store.sqlite3")[len(before):]
        (board,) = [body["data"]["board"] for name, body in live if name == "Board.ProcessCompleted"]
        assert (board["processReady"], board["recipe"]["version"]) == (False, 3)
        assert any("± 0.001 is allowed" in reason for reason in board["verdict"]["reasons"])
        assert {"anna"} == {body["data"]["by"] for name, body in live if name == "Recipe.SettingChanged"}
        assert ("SAC305-A", 4, "anna") in [(body["data"]["recipe"], body["data"]["version"], body["data"]["by"])
                                           for name, body in live if name == "Recipe.Started"]  # fmt: skip
        assert plain(await replayed(tmp_path / "a.rec", tmp_path / "again.sqlite3")) == plain(live)

    asyncio.run(go())


OVEN_AND_LISTENED_CONTROLLER = """\
[openapps.http]
enabled = false
[openapps.lines]
enabled = false
[[lines]]
id = "rs485"
port = "{port}"
baud = 115200
parity = "none"
[[machines]]
id = "RO1"
[[machines.sources]]
kind = "modbus-tcp"
map = "reflow10"
host = "127.0.0.1"
port = 1
[[machines.sources]]
kind = "modbus-rtu"
map = "./controller.toml"
line = "rs485"
unit = 5
"""


async def listened(folder: Path) -> tuple[Path, Row]:
    """A recording of a line where another master asks a controller for two points; the row at its end."""
    (folder / "controller.toml").write_text(MAP)
    async with device(folder) as line:
        (folder / "agent.toml").write_text(OVEN_AND_LISTENED_CONTROLLER.format(port=line.port))
        async with recording(folder / "line.rec", folder / "agent.toml", Clock()) as agent:
            row, column = agent.units[0].row, agent.units[0].machine.column["controller/1/temperature"]
            async with asyncio.timeout(20):
                while row.values[column] != 10:
                    for asked in (request(5, 3, 10, 1), request(5, 4, 20, 2)):
                        line.send(asked + right(asked))
                        await asyncio.sleep(0.1)
    return folder / "line.rec", row


def test_what_was_overheard_is_the_same_row_again_and_can_be_tried_with_a_mended_map(tmp_path):
    async def go():
        path, row = await listened(tmp_path)
        player = Replay(Recording(path), None, tmp_path / "again.sqlite3", lambda events: None)
        await player.run(asyncio.Event())
        again, machine = player._units["RO1"].row, player._units["RO1"].machine
        column = machine.column["controller/1/temperature"]
        assert row.values[column] == 10
        assert [repr(value) for value in again.values] == [repr(value) for value in row.values]
        assert (again.quality, again.times, again.stamps) == (row.quality, row.times, row.stamps)

        mended = MAP.replace('address = 10, type = "uint16"', 'address = 10, type = "uint16", scale = 0.1')
        (tmp_path / "controller.toml").write_text(mended)
        player = Replay(Recording(path), tmp_path / "agent.toml", tmp_path / "mended.sqlite3", lambda events: None)
        await player.run(asyncio.Event())
        assert player._units["RO1"].row.values[column] == 1.0

        (tmp_path / "controller.toml").write_text(MAP.replace("groups.values", "groups.others"))
        player = Replay(Recording(path), tmp_path / "agent.toml", tmp_path / "others.sqlite3", lambda events: None)
        await player.run(asyncio.Event())
        assert list(player.doubts()) == ["RO1: source 2 has no group values any more; its beats were left out"]

    asyncio.run(go())


def test_a_recorder_that_is_killed_loses_a_moment_and_what_it_wrote_is_played(tmp_path):
    async def go():
        oven = SimulatedOven(catalog.builtin("reflow10"), Clock())
        file = configured(tmp_path, await oven.start())
        path = tmp_path / "killed.rec"
        agent = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "edgeagent", "run", str(file), "--record", str(path),
            stderr=asyncio.subprocess.DEVNULL)  # fmt: skip
        async with asyncio.timeout(20):
            while not path.exists() or path.stat().st_size < 60_000:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        agent.kill()
        await agent.wait()
        await oven.stop()
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        code, out, err = await edgeagent("replay", path)
        assert code == 0, err
        assert "cut off" in err
        assert "Status.MachineStatusChanged" in {json.loads(line)["topic"] for line in out.splitlines()}

    asyncio.run(go())


def test_a_recording_is_made_and_looked_at_from_the_command_line(tmp_path):
    async def go():
        oven = SimulatedOven(catalog.builtin("reflow10"), Clock())
        file, path = configured(tmp_path, await oven.start()), tmp_path / "a.rec"
        code, out, err = await edgeagent("record", file, path, "--seconds", 1.5)
        await oven.stop()
        assert (code, out) == (0, "")
        assert re.search(r"a.rec: \d+ entries, 0.\d MB$", err.strip())
        assert not (tmp_path / "store.sqlite3").exists()
        code, out, _ = await edgeagent("replay", path, "--frames")
        assert code == 0
        assert re.search(r"127.0.0.1:\d+ → [0-9a-f ]+  unit 1: \d+ holding registers from \d+", out)
        assert out.splitlines()[-1] == "end of the recording: closed"
        code, out, err = await edgeagent("replay", path, "--store", tmp_path / "kept.sqlite3")
        assert (code, len(out.splitlines())) == (0, len(stored(tmp_path / "kept.sqlite3")))
        assert "beats played; the recording ended: closed" in err
        code, _, err = await edgeagent("replay", path, "--store", tmp_path / "kept.sqlite3")
        assert (code, "exists already" in err) == (1, True)
        code, _, err = await edgeagent("record", file, path)
        assert (code, "exists already" in err) == (1, True)

    asyncio.run(go())
