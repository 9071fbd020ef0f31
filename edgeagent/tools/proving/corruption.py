"""A corruption in every table: the agent comes up, tells what is gone, and tells nothing that was changed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from edgeagent.errors import AgentRefused, AgentUnreachable
from edgeagent.store.checksums import fits
from edgeagent.tools.proving import damage, oracle
from edgeagent.tools.proving.client import Client
from edgeagent.tools.proving.consumer import Consumer
from edgeagent.tools.proving.filling import fill_rest
from edgeagent.tools.proving.ground import Agent, Ground, ProofFailed
from edgeagent.tools.proving.verdict import Seen

_SPEED = 30.0
_BOARDS_S, _SCAN_S, _LIMIT_S = 60.0, 5.0, 7.0
_COMPLETED = 2
_FIRST_BOARDS_S = 300.0
_SHOWN = 200
_LOOK_S = 0.2
_TRIES = 20
_READING_S = 300.0

_MAY_MISS = {"boards": "Board.", "traces": "Board.GetTrace", "jobs": "Command.Get", "recipes": "Recipe.Get",
             "checkpoints": "Recipe.Get"}  # fmt: skip
"""Table → how the answers begin that its damage may leave without a row; a machine's recipe is in its checkpoint."""

_COUNTED = ("endings", "states")
"""Tables that are added up: a damage there is told once the whole file was read, a minute after the start."""

T = TypeVar("T")


class Whole(NamedTuple):
    """A store, and what an agent told of it while it was whole."""

    folder: Path
    events: dict[int, dict[str, Any]]
    stream: str
    rows: dict[str, Any]
    log: bytes


async def prove(ground: Ground, only: Callable[[str], bool] = lambda _: True) -> list[Seen]:
    """Damage each table twice, a row and a page, each time in another copy of one store."""
    whole = await _whole(ground)
    chance = ground.chance
    seen = []
    for manner, do in (("row", damage.row), ("page", damage.page)):
        faults: list[str] = []
        told: dict[str, str] = {}
        for table in filter(only, damage.tables(whole.folder / "store.sqlite3")):
            agent = ground.agent(None, place=f"{manner}-of-{table}")
            agent.replace(whole.folder)
            if do(agent.store, table, Random(chance.random())) is not False:  # noqa: S311
                told[table], wrong = await _damaged(agent, whole, table, ground.folder / f"{manner}-{table}.log")
                faults += [f"{manner} of {table}: {fault}" for fault in wrong]
        lost = [f"{table}: {what}" for table, what in told.items() if what]
        seen.append(Seen("corruption", f"a {manner} of a table damaged, in {', '.join(told)}", len(told),
                         "; ".join(lost) or "nothing is missing", tuple(faults)))  # fmt: skip
    return seen


async def _whole(ground: Ground) -> Whole:
    """Let an oven make boards and events, and keep what the agent says of them."""
    oven = await ground.oven(_SPEED)
    agent = ground.agent(oven, place="whole")
    await fill_rest(agent.store)
    await agent.start()
    consumer = Consumer("mes", ground.folder / "mes.log")
    await consumer.attach(agent)
    await oven.order(boards=_BOARDS_S, limit=_LIMIT_S)
    client = await agent.client()
    for _ in range(round(_FIRST_BOARDS_S / _LOOK_S)):
        if len((await client.call("Board.Find"))["boards"]) >= _COMPLETED:
            break
        await asyncio.sleep(_LOOK_S)
    await oven.kill()
    last = (await client.call("Event.Snapshot"))["sequence"]
    await consumer.caught_up(last)
    client.close()
    await consumer.detach()
    await agent.end()
    await agent.start()
    client = await agent.client()
    stream, events, _ = await client.journal()
    rows = await _rows(client, None)
    client.close()
    await agent.end()
    return Whole(agent.folder, {event["sequence"]: event for event in events}, stream, rows, consumer.log.read_bytes())


async def _rows(client: Client, wanted: dict[str, Any] | None) -> dict[str, Any]:
    """What the agent says of boards, jobs, recipes and alarms, by function and name; None of what it does not have.

    Args:
        wanted: what it said while the store was whole; None where it is.
    """
    calls: dict[str, tuple[str, dict[str, Any]]] = {}
    if wanted is None:
        boards = (await client.call("Board.Find", limit=_SHOWN))["boards"]
        calls = {f"Board.Get {board['id']}": ("Board.Get", {"id": board["id"]}) for board in boards}
        calls |= {f"Board.GetTrace {board['id']}": ("Board.GetTrace", {"id": board["id"]}) for board in boards}
        calls |= {f"Command.Get {job['id']}": ("Command.Get", {"job": job["id"]})
                  for job in (await client.call("Command.List"))["jobs"]}  # fmt: skip
        calls |= {f"Recipe.Get {recipe['name']}": ("Recipe.Get", {"name": recipe["name"]})
                  for recipe in (await client.call("Recipe.List"))["recipes"]}  # fmt: skip
        wanted = {name: (call, None) for name, call in calls.items()}
    told: dict[str, Any] = {}
    for name, (call, _) in wanted.items():
        try:
            told[name] = (call, await _again(lambda call=call: client.call(call[0], **call[1])))  # type: ignore[misc]
        except AgentRefused:
            told[name] = (call, None)
    return told


async def _read_whole(agent: Agent) -> None:
    """Until the agent tells that it found the damage, and took the row out or healed the store."""
    for _ in range(round(_READING_S / _LOOK_S)):
        if "taken out" in agent.log or "put aside" in agent.log:
            return
        await asyncio.sleep(_LOOK_S)
    raise ProofFailed("its log does not tell of the damage")


def miscounted(before: Path, now: Path) -> list[str]:
    """What a store counts that the one of before did not: another end of a board, another state at a time."""
    ended = {(row["machine"], row["recipe"], row["result"], row["id"]) for row in _counted(before, "endings")}
    ids = {id_ for *_, id_ in ended}
    faults = [f"board {row['id']} is counted as {row['result']}" for row in _counted(now, "endings")
              if not fits("endings", row) or (row["id"] in ids
                  and (row["machine"], row["recipe"], row["result"], row["id"]) not in ended)]  # fmt: skip
    stays = {(row["machine"], row["from_ns"]): row for row in _counted(before, "states")}
    for row in _counted(now, "states"):
        was = stays.get((row["machine"], row["from_ns"]), row)
        if not fits("states", row) or row["state"] != was["state"] or row["to_ns"] > was["to_ns"]:
            faults.append(f"from {row['from_ns']} on {row['machine']} is counted as {row['state']}")
    return faults


def _counted(store: Path, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(store)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608  names of ours


async def _again(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask, and again where the agent asks for it: it may be about to mend its store."""
    for _ in range(_TRIES):
        try:
            return await ask()
        except AgentRefused as refused:
            if refused.kind != "busy":
                raise
            await asyncio.sleep(1.0)
    return await ask()


async def _damaged(agent: Agent, whole: Whole, table: str, log: Path) -> tuple[str, list[str]]:
    """Start an agent on a store with a damaged table: what is missing in words, and what must not be."""
    try:
        await agent.start()
        client = await agent.client()
        stream, events, gaps = await _again(client.journal)
        if stream == whole.stream:  # what is gone before the oldest event is told to who was there
            first = {"stream": stream, "sequence": min(whole.events)}
            stream, events, gaps = await _again(lambda: client.journal(first))
        rows = await _rows(client, whole.rows)
        if table in _COUNTED:
            await _read_whole(agent)
        client.close()
        await asyncio.to_thread(log.write_bytes, whole.log)
        consumer = Consumer("mes", log)
        await consumer.attach(agent)
        await asyncio.sleep(_LOOK_S)
        await consumer.detach()
    except (ProofFailed, AgentUnreachable, AgentRefused) as error:
        await agent.kill()
        return "", [str(error)]
    await agent.end()
    faults, gone = held(whole, stream, events, gaps)
    faults += miscounted(whole.folder / agent.store.name, agent.store)
    changed = [name for name, (_, row) in rows.items() if row is not None and row != whole.rows[name][1]]
    faults += [f"{name} is told otherwise than it was" for name in changed]
    missing = [name for name, (_, row) in rows.items() if row is None and whole.rows[name][1] is not None]
    is_new = stream != whole.stream
    may_be_told_again = is_new or table == "consumers"
    faults += [fault for fault in oracle.read(log).faults
               if not (may_be_told_again and "though acknowledged" in fault)]  # fmt: skip
    faults += strayed(table, missing, gone, is_new)
    parts = [f"{gone} events told as gone"] * bool(gone) + missing + ["a new stream"] * is_new
    if parts and "damaged" not in agent.log and "missing" not in agent.log:
        faults.append("its log does not tell of the damage")
    return ", ".join(parts), faults


def strayed(table: str, missing: list[str], gone: int, is_new: bool) -> list[str]:
    """What is missing though another table was damaged."""
    faults = [f"{name} is not there" for name in missing if not name.startswith(_MAY_MISS.get(table, "none"))]
    if gone and table != "events":
        faults.append(f"{gone} events are told as gone")
    if is_new and table not in ("events", "meta"):
        faults.append("a new stream begins")
    return faults


def held(
    whole: Whole, stream: str, events: list[dict[str, Any]], gaps: list[dict[str, int]]
) -> tuple[list[str], int]:
    """Hold the journal against what it was: what must not be, and how many events are told as gone."""
    there = {event["sequence"]: event for event in events}
    gone = {number for gap in gaps for number in range(gap["from"], gap["to"] + 1)}
    faults = []
    for number, event in whole.events.items():
        if number in there and oracle.body(there[number]) != oracle.body(event):
            faults.append(f"event {number} is told otherwise than it was")
        elif number not in there and number not in gone and stream == whole.stream:
            faults.append(f"event {number} is not there, and not told as gone")
    again = [number for number, event in there.items() if number not in whole.events and number <= max(whole.events)]
    faults += [f"number {number} was used again" for number in again]
    return faults, len(gone & whole.events.keys())
