"""Each check of the table alone keeps a command from the oven: asked over sockets, before, meanwhile and afterwards."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeagent.clock import iso
from edgeagent.config import ControlTable
from edgeagent.control.authority import CHECKS
from firmware_iface.simulated.faults import parse
from tests.journeys.floor import OVEN, PATIENT, SETPOINT, WAYS, Floor, floor, outcome

SET = "Configuration.SetObjectParameter"
WITH_SWITCH, WITHOUT = "RO0001", "RO0002"
"""Two ovens; the panel of the second has no switch, so that its silence is not a switch that cannot be read."""


@dataclass
class Bench:
    """Asks over each way in turn; every setpoint that it asks for is another one."""

    it: Floor
    ways: Any
    values: Any

    async def ask(self, user: str | None = "anna", machine: str = WITH_SWITCH, **other: Any) -> dict[str, Any]:
        asked = {**SETPOINT, "value": next(self.values), "machine": machine, **other}
        async with self.it.caller(next(self.ways), self.it.tokens[user] if user else None) as caller:
            return await caller.call(SET, **asked)

    async def is_done(self, **other: Any) -> None:
        """Ask for something that is as it should be, and see it done; on a slow computer the machine is not heard all
        the time, and what is not heard is no leave."""
        wrote = len(self.it.wrote(other.get("machine", WITH_SWITCH)))
        async with asyncio.timeout(60):
            while outcome(answer := await self.ask(**other)) in ("unreachable", "interlocked"):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        assert outcome(answer) == "done", answer
        job = await self.it.ended(answer["result"]["id"])
        assert job["state"] == "done", job
        assert len(self.it.wrote(other.get("machine", WITH_SWITCH))) == wrote + 1

    async def is_refused(self, kind: str, words: str, **other: Any) -> None:
        answer = await self.ask(**other)
        assert (outcome(answer), words in answer["error"]["message"]) == (kind, True), answer


async def authenticated(on: Bench) -> None:
    await on.is_refused("unauthenticated", "for known users", user=None)


async def entitled(on: Bench) -> None:
    await on.is_refused("forbidden", "needs the role engineer, not operator", user="otto")
    await on.is_refused("forbidden", "not among the functions", user="key")


async def in_time(on: Bench) -> None:
    soon = iso(on.it.clock.wall_ns() + 60_000_000_000)
    on.it.clock.shift_ns = 61_000_000_000
    await on.is_refused("expired", "It was to run until", notAfter=soon)
    on.it.clock.shift_ns, on.it.clock.is_sure = 0, False
    await on.is_refused("expired", "not known to be set", notAfter=soon)
    on.it.clock.is_sure = True
    await on.is_done(notAfter=soon)


async def new(on: Bench) -> None:
    await on.is_done(requestId="4711", value=171.0)
    await on.is_refused("invalidParameters", "requestId 4711 was used", requestId="4711", value=172.0)


async def remote(on: Bench) -> None:
    oven = on.it.ovens[WITH_SWITCH]
    oven.remote = False
    await on.it.until(lambda: on.it.unit(WITH_SWITCH).status().control == "local")
    await on.is_refused("notRemote", "the switch at its panel says so")
    for seconds in (2.5, 5.0, 10.0):  # on a slow computer the machine is not heard all the time
        oven.remote = False
        await asyncio.sleep(seconds)
        oven.remote = True
        with suppress(TimeoutError):
            return await on.it.until(lambda: on.it.unit(WITH_SWITCH).status().control == "remote", seconds)
    raise AssertionError("the switch was turned and control is not remote")


async def connected(on: Bench) -> None:
    oven = on.it.ovens[WITHOUT]
    oven.add_fault(parse(f"silent@{oven.time}+2"))
    await on.it.until(lambda: not on.it.unit(WITHOUT).status().connected)
    await on.is_refused("unreachable", "does not answer", machine=WITHOUT)
    await on.it.until(lambda: on.it.unit(WITHOUT).status().connected)


async def interlocks(on: Bench) -> None:
    oven, unit = on.it.ovens[WITH_SWITCH], on.it.unit(WITH_SWITCH)
    oven.add_fault(parse(f"emergency-stop@{oven.time}+1"))
    await on.it.until(lambda: unit.status().state == "emergencyStop")
    await on.is_refused("interlocked", "is in emergency stop")
    await on.it.until(lambda: unit.status().state != "emergencyStop")


async def limits(on: Bench) -> None:
    await on.is_refused("outOfRange", "never 900", value=900.0)


async def free(on: Bench) -> None:
    asked = [(SET, {**SETPOINT, "value": next(on.values), "machine": WITH_SWITCH}) for _ in range(2)]
    async with on.it.caller(next(on.ways), on.it.tokens["anna"]) as caller:
        first, second = await caller.ask(asked)
    job = first["result"]["id"]
    assert (outcome(second), job in second["error"]["message"]) == ("busy", True), second
    await on.it.ended(job)


async def rate(on: Bench) -> None:
    await on.is_done(machine=WITHOUT)  # it is heard again, all of it
    asked = [(SET, {**SETPOINT, "value": 900.0, "machine": WITHOUT})] * 40
    async with on.it.caller(next(on.ways), on.it.tokens["hasty"]) as caller:
        assert {outcome(answer) for answer in await caller.ask(asked)} == {"outOfRange"}
    await on.is_refused("tooMany", "hasty has given 40 commands", user="hasty")


async def recordable(on: Bench) -> None:
    sync = os.fsync

    def refuses(descriptor: int) -> None:
        if "audit" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    os.fsync = refuses
    try:
        for _ in range(2):  # the first finds it out while it is recorded, the second is refused by the check
            await on.is_refused("busy", "It cannot be recorded, so it is not run")
    finally:
        os.fsync = sync
    await on.it.until(lambda: on.it.agent._room._records.failing() is None)


WAYS_TO_BE_REFUSED: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "authenticated": authenticated, "entitled": entitled, "in time": in_time, "new": new, "remote": remote,
    "connected": connected, "interlocks": interlocks, "limits": limits, "free": free, "rate": rate,
    "recordable": recordable,
}  # fmt: skip


def test_each_check_alone_keeps_a_command_from_the_oven(tmp_path):
    assert list(WAYS_TO_BE_REFUSED) == [check.name for check in CHECKS]

    async def go():
        settings = ControlTable(enabled=True, caller_per_minute=40, machine_per_minute=600)
        async with floor(tmp_path, WITH_SWITCH, WITHOUT, control=settings,
                         maps={WITH_SWITCH: PATIENT, WITHOUT: replace(OVEN, remote=None)}) as it:  # fmt: skip
            for name, role in (("anna", "engineer"), ("hasty", "engineer"), ("otto", "operator")):
                it.knows(name, role=role)
            it.knows("key", functions=("Status.PowerOn",))
            await it.grant()
            on = Bench(it, itertools.cycle(WAYS), itertools.cycle(float(value) for value in range(150, 181)))
            await on.is_done()
            for name, refuses in WAYS_TO_BE_REFUSED.items():
                wrote = len(it.wrote())
                await refuses(on)
                may_write = {"new": 1, "free": 1, "in time": 1}.get(name, 0)
                assert len(it.wrote()) == wrote + may_write, f"{name}: {it.wrote()[wrote:]}"
                await on.is_done()
            await on.is_done(machine=WITHOUT)

    asyncio.run(go())
