"""Commands over real sockets: granted at the machine, written, read back, withdrawn, and a link that dies meanwhile."""

import asyncio
import json
import sys

from tests.journeys.test_power import Engineer, journey

SETPOINT = {"object": "zone/3/top", "name": "setpoint"}
PATH = "zone/3/top/setpoint"


async def on_the_oven_pc(folder, *words):
    """What somebody types there; exit code and what is printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "edgeagent", "remote", *words, "--store", str(folder / "store.sqlite3"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    out, _ = await process.communicate()
    return process.returncode, out.decode()


def test_one_parameter_from_the_grant_to_a_link_that_dies(tmp_path):
    async def steps(who: Engineer, the_plant):
        assert (await who.refused("Configuration.SetObjectParameter", **SETPOINT, value=178.0))["kind"] == "notRemote"
        await who.mes.call("Status.RequestRemote", reason="trial", minutes=10)
        code, told = await on_the_oven_pc(tmp_path, "status")
        assert (code, "anna asks for 10 min" in told) == (0, True), told
        code, told = await on_the_oven_pc(tmp_path, "grant", "--minutes", "5", "--json")
        granted = json.loads(told)
        assert (granted["control"], granted["by"].startswith("console:")) == ("remote", True)
        assert (await who.refused("Status.GrantRemote"))["kind"] == "methodNotFound"

        job = await who.commanded("Configuration.SetObjectParameter", **SETPOINT, value=178.0, requestId="1")
        ended = await who.ended(job)
        assert (ended["state"], ended["by"]) == ("done", "anna"), ended
        assert who.oven.read(PATH) == 178.0
        again = await who.mes.call("Configuration.SetObjectParameter", **SETPOINT, value=178.0, requestId="1")
        assert again["id"] == job

        answer, is_dark = who.oven.answer, False

        def dies_after_the_write(request):
            nonlocal is_dark
            if is_dark:
                return b""
            is_dark = request[0] in (6, 16)
            return answer(request)

        who.oven.answer = dies_after_the_write
        job = await who.commanded("Configuration.SetObjectParameter", **SETPOINT, value=170.0)
        ended = await who.ended(job)
        assert ended["state"] == "unknown", ended
        who.oven.answer = answer
        await who.until(who._answers)

        who.oven.remote = False

        async def is_local():
            return (await who.status())["control"] == "local"

        await who.until(is_local)
        assert (await who.refused("Configuration.SetObjectParameter", **SETPOINT, value=171.0))["kind"] == "notRemote"
        code, told = await on_the_oven_pc(tmp_path, "grant")
        assert (code, "switch at its panel" in told) == (4, True), told
        assert who.oven.read(PATH) == 170.0, "it was written; nobody could know"

    journey(tmp_path, steps, is_off=False, speed=1.5)
