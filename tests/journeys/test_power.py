"""Power over a real wire: on by command, boards that forbid it, off after the cool-down; and what comes between."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from importlib import resources

import pytest

from edgeagent.model.tokens import digest, new_token
from edgeagent.model.users import Token, User
from edgeagent.store.users import change, users_file
from firmware_iface.simulated.faults import parse
from tests.journeys.plant import plant

SPEED = 5.0
_ENDS = ("done", "refused", "failed", "stopped", "unknown")


class Engineer:
    """Somebody who may switch power, and stands before the oven."""

    def __init__(self, oven, token):
        self._plant = oven
        self._token = token
        self.oven = oven.machine

    async def connect(self):
        await self._plant.start_agent()
        self.mes = await self._plant.client()
        await self.mes.call("Session.Authenticate", token=self._token)
        await self.until(self._answers)

    async def _answers(self):
        return (await self.status())["connected"]

    async def status(self):
        (status,) = (await self.mes.call("Status.Get"))["machines"]
        return status

    async def until(self, holds, seconds=120):
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110  the agent and the oven wake nobody here
                await asyncio.sleep(0.05)

    async def is_in(self, *states):
        return (await self.status())["state"] in states

    async def turn_switch(self):
        """Off and on again at the panel: remote control begins when the agent has seen it off for two seconds."""
        async def is_remote():
            return (await self.status())["control"] == "remote"

        async def is_local():
            return not await is_remote()

        for seconds in (3.5, 7.0, 14.0):
            self.oven.remote = False
            await asyncio.sleep(seconds)
            await self.until(is_local)
            self.oven.remote = True
            with suppress(TimeoutError):
                return await self.until(is_remote, 2 * seconds)
        raise AssertionError("the switch was turned and control is not remote")

    async def refused(self, function, **params):
        message = await self.mes.answer(function, **params)
        assert "error" in message, message
        return message["error"]["data"]

    async def commanded(self, function, **params):
        """Look into the tunnel and command it.

        At this speed a slow computer is late with beats: the tunnel comes into doubt, the oven seems not to answer.
        """
        async with asyncio.timeout(120):
            while True:
                await self.mes.answer("Board.ConfirmEmpty", reason="looked")
                message = await self.mes.answer(function, **params)
                if "result" in message:
                    return message["result"]["id"]
                refusal = message["error"]["data"]
                is_late = refusal["kind"] in ("interlocked", "unreachable") or "cannot be read" in refusal["reason"]
                assert is_late, refusal
                await asyncio.sleep(0.2)

    async def ended(self, job, seconds=240):
        async def is_over():
            return (await self.mes.call("Command.Get", job=job))["state"] in _ENDS

        await self.until(is_over, seconds)
        return await self.mes.call("Command.Get", job=job)

    async def switched_off(self):
        """Until it is off; a doubt at the end of a cool-down is looked into, and it is commanded again."""
        for _ in range(10):
            job = await self.ended(await self.commanded("Status.PowerOff"))
            if job["state"] == "done":
                return job
            assert job["state"] == "stopped", job
            assert "not known to be empty" in job["reason"] or "cannot be read" in job["reason"], job
        raise AssertionError("it was not switched off")


def journey(tmp_path, steps, *, is_off=True, speed=SPEED):
    """The ten-zone oven, switched off a moment ago, and cool at 255 degrees already."""
    text = resources.files("firmware_iface").joinpath("maps/reflow10.toml").read_text(encoding="utf-8")
    assert "safe_celsius = 60" in text
    (tmp_path / "oven.toml").write_text(text.replace("safe_celsius = 60", "safe_celsius = 255"), encoding="utf-8")
    token, now = new_token(), datetime.now(UTC)
    engineer = User(name="anna", role="engineer", created=now,
                    tokens=(Token(id="0d5e1a7c", sha256=digest(token), created=now),))  # fmt: skip
    change(users_file(tmp_path / "store.sqlite3"), lambda users: (*users, engineer))

    async def go():
        async with plant(tmp_path, speed, "./oven.toml", "[control]\nenabled = true\n") as the_plant:
            if is_off:
                the_plant.machine._sequence.mode = "off"
            who = Engineer(the_plant, token)
            await who.connect()
            try:
                await steps(who, the_plant)
            finally:
                who.mes.close()

    asyncio.run(go())


@pytest.mark.slow
def test_an_oven_is_switched_on_makes_a_board_and_is_switched_off_when_it_is_cool(tmp_path):
    async def steps(who, _):
        assert (await who.refused("Status.PowerOn"))["kind"] == "notRemote"
        await who.turn_switch()
        refusal = await who.refused("Status.PowerOn")
        assert (refusal["kind"], "not known to be empty" in refusal["reason"]) == ("interlocked", True)
        job = await who.ended(await who.commanded("Status.PowerOn"))
        assert (job["state"], job["by"]) == ("done", "anna"), job
        assert job["steps"][0]["text"] == "Warn for 5 s with the horn"
        assert not who.oven.wire.orders.values["machine/horn"]

        who.oven.insert_board("PCB1")

        async def is_inside():
            return (await who.status())["boards"] == 1

        await who.until(is_inside)
        refusal = await who.refused("Status.PowerOff")
        assert "1 board is inside lane 1." in refusal["reason"]

        await asyncio.sleep(1)
        who.oven.conveyors[1].boards.clear()
        (board,) = (await who.mes.call("Board.GetInProcess"))["machines"][0]["boards"]
        assert await who.mes.call("Board.Remove", id=board["id"], reason="it hung") == {
            "machine": "RO0001", "boards": [board["id"]]}  # fmt: skip
        job = await who.switched_off()
        assert job["steps"][-1]["text"] == "Switch off"
        assert who.oven.state == "off"
        assert not who.oven.was_cut_hot

    journey(tmp_path, steps)


@pytest.mark.slow
def test_an_agent_that_is_killed_while_the_oven_warms_up_tells_where_it_is_and_leaves_it(tmp_path):
    async def steps(who, the_plant):
        await who.turn_switch()
        job = await who.commanded("Status.PowerOn")
        await who.until(lambda: who.is_in("warmingUp"))
        who.mes.close()
        await the_plant.kill_agent()
        await who.connect()
        ended = await who.ended(job)
        assert ended["state"] in ("stopped", "done"), ended
        assert "The machine goes on by itself" in ended["reason"] or "It is ready" in ended["reason"]
        assert (await who.status())["control"] == "local"
        assert [path for _, path, _ in who.oven.wire.heard].count("command/powerOn") == 2, "one pulse"
        assert await who.is_in("warmingUp", "ready")

    journey(tmp_path, steps)


@pytest.mark.slow
def test_a_controller_that_starts_anew_while_it_warms_up_leaves_the_job_unknown(tmp_path):
    async def steps(who, _):
        await who.turn_switch()
        job = await who.commanded("Status.PowerOn")
        await who.until(lambda: who.is_in("warmingUp"))
        who.oven.add_fault(parse(f"controller-reboot@{who.oven.time + 5}+20"))
        ended = await who.ended(job)
        assert ended["state"] == "unknown", ended
        assert not who.oven.is_heating
        assert not who.oven.was_cut_hot

    journey(tmp_path, steps)
