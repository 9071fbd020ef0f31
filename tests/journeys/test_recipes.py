"""A recipe from a file to a settled oven over real Modbus; a panel that meddles, a write that fails, a kill."""

import asyncio
import json
import sys

import pytest

from firmware_iface import catalog
from tests.journeys.test_power import Engineer, journey
from tests.model.test_recipe_checks import settings

CHANGED = {"zone/1/top/setpoint": 132.0, "zone/2/top/setpoint": 147.0, "zone/3/top/setpoint": 167.0}
FORMER = {path: settings()[path] for path in CHANGED}


def text(**values):
    lines = [f'"{path}" = {value}' for path, value in (settings() | values).items()]
    return "\n".join(['name = "LEAD-FREE"', "settling_s = 3.0", "[settings]", *lines]) + "\n"


def on_write(oven, path, do):
    """Let something happen at the oven when a point is written; what it returns is answered, None lets it be."""
    register, answer = catalog.builtin("reflow10").register(path), oven.answer

    def answered(request):
        is_it = request[0] in (6, 16) and int.from_bytes(request[1:3], "big") == register.address
        told = do(request) if is_it else None
        return answer(request) if told is None else told

    oven.answer = answered
    return lambda: setattr(oven, "answer", answer)


class Cook(Engineer):
    """Somebody who starts recipes, at a command line too."""

    async def types(self, *words):
        """What the command prints, and its exit code."""
        file = self._plant.folder / "token"
        file.write_text(self._token)
        file.chmod(0o600)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "edgeagent", "recipes", *words, "--agent", self._plant.http, "--token-file",
            str(file), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)  # fmt: skip
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    def stands(self):
        return {path: self.oven.read(path) for path in CHANGED}

    async def starts(self, **more):
        return await self.ended(await self.commanded("Recipe.Start", name="LEAD-FREE", **more))

    async def keeps(self, changed):
        recipe = {"name": "LEAD-FREE", "settings": settings() | changed, "settlingSeconds": 3}
        return (await self.mes.call("Recipe.Update", recipe=recipe))["version"]

    async def told(self, topic):
        answer = await self.mes.call("Event.Read", **{"from": "beginning"}, topics=[topic], limit=1000)
        return [event["data"] for event in answer["events"]]


async def of_files(cook, folder):
    """Every fault with its line; kept, listed, written out and read again without a difference."""
    wrong, right = folder / "wrong.toml", folder / "right.toml"
    wrong.write_text(text(**{"zone/1/top/setpoint": 900.0, "zone/99/top/setpoint": 1.0}))
    code, told = await cook.types("import", str(wrong), "--check")
    assert code == 78
    assert f"{wrong}:4: settings.zone/1/top/setpoint: 900.0: zone/1/top/setpoint is from 0 to 350" in told
    assert "settings.zone/99/top/setpoint: 1.0: RO0001 has no such point" in told
    right.write_text(text())
    assert await cook.types("import", str(right), "--check") == (
        0, f"{right}: RO0001 can do it; it would be version 1\n")
    assert (await cook.types("import", str(right)))[1] == "LEAD-FREE of RO0001 is kept in version 1\n"
    right.write_text(text(**CHANGED))
    _, told = await cook.types("import", str(right), "--based-on", "1")
    assert told == "LEAD-FREE of RO0001 is kept in version 2\n"
    code, told = await cook.types("import", str(right), "--based-on", "1")
    assert (code, "anna has made version 2" in told) == (4, True), told
    for name in ("out.toml", "out.json"):
        assert await cook.types("export", "LEAD-FREE", str(folder / name)) == (0, "")
        assert await cook.types("diff", "LEAD-FREE@2", str(folder / name)) == (0, "no difference\n")
    assert '"zone/1/top/setpoint" = 132.0' in (folder / "out.toml").read_text()
    assert "# degC, Zone 1 top: setpoint" in (folder / "out.toml").read_text()
    _, told = await cook.types("diff", "LEAD-FREE@1", "LEAD-FREE", "--json")
    assert {each["key"]: (each["first"], each["second"]) for each in json.loads(told)} == {
        path: (f"{FORMER[path]:g}", f"{value:g}") for path, value in CHANGED.items()}
    _, told = await cook.types("list", "--json")
    assert [(it["name"], it["version"], it["active"], it["stored"]) for it in json.loads(told)["recipes"]] == [
        ("SAC305-A", 3, True, False), ("LEAD-FREE", 2, False, True)]


@pytest.mark.slow
def test_a_recipe_from_a_file_to_a_settled_oven_and_what_comes_between(tmp_path):
    async def steps(who: Engineer, the_plant):
        cook = Cook(the_plant, who._token)
        cook.mes = who.mes
        await cook.until(lambda: cook.is_in("ready"))
        await of_files(cook, tmp_path)
        assert (await cook.refused("Recipe.Start", name="LEAD-FREE"))["kind"] == "notRemote"
        await cook.turn_switch()

        job = await cook.starts()
        assert (job["state"], job["reason"], cook.stands()) == ("done", None, CHANGED), job
        assert (cook.oven.recipe.name, cook.oven.recipe.version) == ("LEAD-FREE", 2)
        assert (await cook.told("Recipe.Started"))[-1] == {
            "recipe": "LEAD-FREE", "version": 2, "previous": "SAC305-A", "by": "anna"}
        assert (await cook.mes.call("Recipe.GetCurrentName"))["stored"] is True

        restore = on_write(cook.oven, "zone/2/top/setpoint", lambda _: cook.oven.write("zone/5/top/setpoint", 187.0))
        await cook.keeps({})
        job = await cook.starts()
        restore()
        assert job["state"] == "failed" and "zone/5/top/setpoint is 187, wanted 185, before 185" in job["reason"], job
        assert cook.stands() == CHANGED, "put back"
        by = {(c["object"], told["by"]) for told in await cook.told("Recipe.SettingChanged") for c in told["changes"]}
        assert ("zone/5/top", "machine") in by and ("zone/1/top", "anna") in by and ("zone/1/top", "machine") not in by
        cook.oven.write("zone/5/top/setpoint", 185.0)

        restore = on_write(cook.oven, "zone/3/top/setpoint", lambda request: request[:5])
        job = await cook.starts()
        restore()
        assert (job["state"], job["reason"], cook.stands()) == (
            "failed", "The machine did not take everything that was written. Everything stands as it did before.",
            CHANGED), job

        is_there = asyncio.Event()
        restore = on_write(cook.oven, "zone/3/top/setpoint", lambda _: is_there.set() or b"")
        id_ = await cook.commanded("Recipe.Start", name="LEAD-FREE")
        await asyncio.wait_for(is_there.wait(), 60)
        await the_plant.kill_agent()
        restore()
        cook.mes.close()
        await cook.connect()
        who.mes = cook.mes
        job = await cook.ended(id_)
        assert job["state"] == "failed" and "restarted while it was written" in job["reason"], job
        assert "zone/2/top/setpoint is 145, wanted 145, before 147" in job["reason"]
        assert cook.stands() == FORMER | {"zone/3/top/setpoint": 167.0}, "nothing is written without remote control"

    journey(tmp_path, steps, is_off=False, speed=1.5)
