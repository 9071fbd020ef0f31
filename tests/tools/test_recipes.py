"""`edgeagent recipes` as it is typed, with a token file, against an agent whose oven takes what is started."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.journeys.floor import PATIENT, Floor, floor
from tests.model.test_recipe_checks import settings
from tests.tools.line import edgeagent

CHANGED = {"zone/1/top/setpoint": 131.0}
"""What the second version sets otherwise; the oven, and the first version, have 130 degrees there."""


class Desk:
    """Where somebody types.

    Attributes:
        who: whose token file is named; None for nobody's.
    """

    def __init__(self, it: Floor) -> None:
        self.it = it
        self.who: str | None = None

    def sits_down(self, name: str, role: str) -> None:
        file = self.it.folder / f"{name}.token"
        file.write_text(self.it.knows(name, role=role) + "\n", encoding="ascii")
        file.chmod(0o600)
        self.who = name

    async def types(self, *words: str | Path) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        token = ("--token-file", self.it.folder / f"{self.who}.token") if self.who else ()
        return await edgeagent("recipes", *words, "--agent", self.it.agent.addresses["HTTP"], *token, timeout_s=120)

    async def says(self, *words: str | Path) -> str:
        """What is printed by a command that goes well."""
        code, out, err = await self.types(*words)
        assert (code, err) == (0, ""), (code, out, err)
        return out

    async def told(self, *words: str | Path) -> Any:
        return json.loads(await self.says(*words, "--json"))

    def file(self, **changed: float) -> Path:
        lines = [f'"{path}" = {value}' for path, value in (settings() | changed).items()]
        file = self.it.folder / "new.toml"
        file.write_text("\n".join(['name = "NEW"', "settling_s = 1.0", "[settings]", *lines]) + "\n", encoding="utf-8")
        return file


def at_the_desk(folder: Path, steps: Any) -> None:
    async def go() -> None:
        async with floor(folder, maps={"RO0001": PATIENT}) as it:
            await steps(Desk(it))

    asyncio.run(go())


def test_a_recipe_is_typed_in_shown_compared_started_written_out_and_deleted(tmp_path):
    async def steps(desk: Desk) -> None:
        oven = desk.it.ovens["RO0001"]
        desk.sits_down("anna", "engineer")
        assert await desk.says("import", desk.file()) == "NEW of RO0001 is kept in version 1\n"
        assert await desk.says("import", desk.file(**CHANGED), "--based-on", "1") == (
            "NEW of RO0001 is kept in version 2\n")

        rows = (await desk.told("history", "NEW"))["recipes"]
        assert [(row["version"], row["by"]) for row in rows] == [(2, "anna"), (1, "anna")]
        difference = await desk.told("diff", "NEW@1", "NEW")
        assert difference == [{"key": "zone/1/top/setpoint", "first": "130", "second": "131"}]
        assert await desk.says("export", "NEW", tmp_path / "out.toml") == ""
        assert await desk.says("diff", "NEW@2", tmp_path / "out.toml") == "no difference\n"
        code, _, err = await desk.types("export", "NEW", tmp_path / "out.toml")
        assert code != 0 and "out.toml is there already and is not overwritten: name another file" in err
        assert (await desk.types("import", desk.file(**CHANGED), "--based-on", "1"))[0] == 4, "there is version 2"

        async with desk.it.caller("lines", desk.it.tokens["anna"]) as anna:
            assert "result" in await anna.call("Board.ConfirmEmpty", reason="looked")
        code, out, err = await desk.types("start", "NEW")
        assert (code, out, "remote" in err) == (4, "", True), (code, err)
        assert oven.settings["zone/1/top/setpoint"] == 130.0
        await desk.it.grant()
        lines = (await desk.says("start", "NEW")).splitlines()
        assert lines[0] == "reads what the machine is set to"
        assert lines[-1].startswith("job ") and lines[-1].endswith(" is done"), lines
        assert oven.settings["zone/1/top/setpoint"] == 131.0
        assert (oven.recipe.name, oven.recipe.version) == ("NEW", 2)

        lines = (await desk.says("show", "NEW")).splitlines()
        assert lines[0] == "RO0001 runs NEW version 2"
        assert next(line for line in lines if "zone/1/top/setpoint" in line).split()[:3] == [
            "zone/1/top/setpoint", "131", "131"]

        code, _, err = await desk.types("delete", "NEW")
        assert code != 0 and "say --yes" in err
        code, _, err = await desk.types("delete", "NEW", "--yes")
        assert code == 4 and "administrator" in err
        desk.sits_down("root", "administrator")
        assert await desk.says("delete", "NEW", "--yes") == (
            "NEW of RO0001 is deleted; its versions can still be read\n")
        assert oven.recipe.name == "NEW", "what runs goes on"
        code, _, err = await desk.types("import", desk.file(), "--based-on", "2")
        assert (code, "deleted" in err or "no recipe" in err) == (4, True), err
        rows = (await desk.told("history", "NEW"))["recipes"]
        assert all(row["deletedAt"] for row in rows if row["stored"])
        assert (await desk.told("show", "NEW", "--version", "1"))["kept"]["settings"]["zone/1/top/setpoint"] == 130.0

    at_the_desk(tmp_path, steps)


def test_what_is_not_known_or_whoever_may_not_is_told_in_a_sentence(tmp_path):
    async def steps(desk: Desk) -> None:
        desk.sits_down("otto", "operator")
        await desk.it.grant()
        for words in (("show", "NONE"), ("history", "NONE"), ("start", "NONE"), ("export", "NONE")):
            code, out, err = await desk.types(*words)
            assert (code, out) == (4, ""), (words, code, err)
            assert "NONE" in err, err
        code, _, err = await desk.types("import", desk.file())
        assert code == 4 and "engineer" in err
        desk.who = None
        code, _, err = await desk.types("import", desk.file())
        assert code == 4 and "--token-file" in err
        assert desk.it.wrote() == []

    at_the_desk(tmp_path, steps)
