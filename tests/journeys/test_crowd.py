"""Fifty clients at once that repeat themselves and break off: no command runs twice, none is lost, all is recorded."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from edgeagent.config import ControlTable
from edgeagent.model.machine import Machine
from edgeagent.model.recipe_checks import settable
from tests.journeys.floor import OVEN, PATH, PATIENT, SETPOINT, WAYS, Floor, floor, outcome
from tests.store.audit.test_record import entries

MACHINES = ("RO0001", "RO0002", "RO0003")
SET = "Configuration.SetObjectParameter"
USERS, CLIENTS_OF_ONE = 10, 5
RECIPE = dict.fromkeys(settable(Machine("RO0001", (OVEN,))), 100.0)
_FREE = ("tooMany", "invalidParameters")
"""Refusals after which a key still belongs to whoever had it, or to nobody: it may be answered otherwise later."""


@dataclass
class Crowd:
    """Clients, and everything that they were answered.

    Attributes:
        rests_s: the longest rest of a client between two commands. answers: user and key → each answer that came, as
            text. broken: connections that were broken off.
    """

    it: Floor
    seed: int
    rests_s: float = 0.0
    answers: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    kinds: Counter[str] = field(default_factory=Counter)
    broken: int = 0

    async def come(self, requests: int) -> None:
        users = [f"user{number}" for number in range(USERS)]
        clients = itertools.product(users, range(CLIENTS_OF_ONE))
        await asyncio.gather(*(self._client(user, number, requests) for user, number in clients))

    async def _client(self, user: str, number: int, requests: int) -> None:
        chance = random.Random(f"{self.seed} {user} {number}")
        sent = 0
        while sent < requests:
            async with self.it.caller(chance.choice(WAYS), self.it.tokens[user]) as caller:
                for _ in range(chance.randint(1, 4)):
                    await asyncio.sleep(chance.uniform(0, self.rests_s))
                    key = f"{chance.randrange(requests * CLIENTS_OF_ONE // 2)}"  # others of this user choose it too
                    sent += 1
                    if not await self._ask(caller, user, key, chance):
                        self.broken += 1
                        break

    async def _ask(self, caller: Any, user: str, key: str, chance: random.Random) -> bool:
        """Ask for what belongs to a key, and take the answer or break off; False when broken off."""
        call = command(user, key)
        if chance.random() < 0.05:
            call = (SET, {**SETPOINT, "value": 149.0, "requestId": key, "machine": MACHINES[0]})
        asking = asyncio.create_task(caller.ask([call]))
        is_patient = chance.random() < 0.7
        await asyncio.wait((asking,), timeout=None if is_patient else chance.uniform(0, 0.03))
        if not asking.done():
            caller.abort()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            return False
        (answer,) = asking.result()
        self.kinds[outcome(answer)] += 1
        if outcome(answer) not in _FREE:
            told = answer.get("result", answer.get("error"))
            self.answers[user, key].append(json.dumps(told, sort_keys=True))
        return True


def command(user: str, key: str) -> tuple[str, dict[str, Any]]:
    """What a user means by a key, always the same."""
    chance = random.Random(f"{user} {key}")
    more = {"requestId": key, "machine": chance.choice(MACHINES)}
    if chance.random() < 0.7:
        return SET, {**SETPOINT, "value": float(chance.randint(150, 180)), **more}
    return chance.choice((
        ("Recipe.Create", {"recipe": {"name": f"{user}-{key}", "settings": RECIPE}, **more}),
        ("Status.RequestRemote", {"reason": "trial", "minutes": 5, **more}),
        ("Alarm.ResetAll", more),
        ("Alarm.Acknowledge", {"id": "none", **more}),
        (SET, {**SETPOINT, "value": 900.0, **more}),
    ))  # fmt: skip


def rows(it: Floor, query: str) -> list[Any]:
    with sqlite3.connect(it.store) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


async def crowd(folder: Any, requests: int, seed: int, rests_s: float = 0.0) -> tuple[Floor, Crowd]:
    settings = ControlTable(enabled=True, caller_per_minute=600, machine_per_minute=600, alarm_resets=100)
    async with floor(folder, *MACHINES, control=settings, maps=dict.fromkeys(MACHINES, PATIENT)) as it:
        for number in range(USERS):
            it.knows(f"user{number}", role="engineer")
        await it.grant()
        them = Crowd(it, seed, rests_s)
        await them.come(requests)
        await it.until(lambda: not it.agent._room.executor.jobs, 60)
    return it, them


def judge(it: Floor, them: Crowd) -> None:
    jobs = {job["id"]: job for (body,) in rows(it, "SELECT body FROM jobs") if (job := json.loads(body))}
    told = Counter(json.loads(b"{" + body + b"}")["data"]["job"] for (body,) in rows(
        it, "SELECT body FROM events WHERE topic = 'Command.Executed'"))
    audit = defaultdict(Counter)
    writes = defaultdict(list)
    for entry in entries(it.store):
        if entry.job:
            audit[entry.job][entry.kind] += 1
        if entry.kind == "write":
            writes[entry.machine] += [(path, value) for path, value in entry.values.items()]

    assert all(job.get("endedAt") for job in jobs.values()), [j for j in jobs.values() if not j.get("endedAt")]
    assert told == Counter(jobs.keys()), "each job's end is told once"
    for id_, job in jobs.items():
        found = audit[id_]
        if job["state"] == "refused" and not job["steps"] and not found["command"]:
            assert not found["outcome"] and not found["write"], (job, found)
        else:
            assert (found["command"], found["outcome"]) == (1, 1), (job, found)
        wanted = 1 if (job["function"], job["state"]) == (SET, "done") else 0
        if job["function"] == SET and job["state"] in ("done", "refused"):
            assert found["write"] == wanted, (job, found)
    assert audit.keys() - jobs.keys() <= {e.job for e in entries(it.store) if e.kind == "refusal"}

    for machine in MACHINES:  # the registers were written exactly as often as that was recorded, with these values
        assert len(it.ovens[machine].wire.heard) < 1000, "the oven remembers all"
        heard = it.wrote(machine)
        assert heard == writes[machine]
        assert Counter(path for path, _ in heard).keys() <= {PATH}

    by_key: Counter[tuple[str, str]] = Counter()
    for job in jobs.values():
        by_key[job["by"], job["requestId"] or job["id"]] += 1
    assert not [key for key, count in by_key.items() if count > 1], "a key becomes one job"
    for key, answers in them.answers.items():
        assert len(set(answers)) == 1, (key, set(answers))
        answer = json.loads(answers[0])
        if "state" in answer:
            assert answer["id"] in jobs, "what was accepted is there"


def test_fifty_clients_at_once_and_each_command_runs_once(tmp_path):
    it, them = asyncio.run(crowd(tmp_path, 4, 1))
    judge(it, them)
    assert them.broken > 5
    assert them.kinds["done"] > 10, them.kinds


@pytest.mark.slow
def test_fifty_clients_go_on_for_long_and_each_command_runs_once(tmp_path, capsys):
    it, them = asyncio.run(crowd(tmp_path, 60, 2, 0.5))
    judge(it, them)
    with capsys.disabled():
        wrote = sum(len(it.wrote(machine)) for machine in MACHINES)
        print(f"\n{sum(them.kinds.values())} answers, {them.broken} connections broken off, {wrote} registers written:")
        for kind, count in them.kinds.most_common():
            print(f"{kind:20} {count:6}")
