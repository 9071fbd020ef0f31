"""Answers about recipes: those that the machines run."""

from __future__ import annotations

from msgspec.structs import asdict

from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
from edgeagent.model.functions import OfMachine
from edgeagent.model.functions.recipes import GetRecipe, RecipeListed, Recipes
from edgeagent.model.machine import Machine
from edgeagent.model.recipes import Recipe, RecipeTolerances, RecipeWindow, RunningRecipe
from edgeagent.model.samples import MeasuredValue
from edgeagent.publish.access import Handler
from edgeagent.publish.openapps.machines import Machines
from edgeagent.publish.outlet import LiveMachine


class RecipeAnswers:
    """Recipe.*."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {"Recipe.GetCurrentName": self.current_name, "Recipe.Get": self.get, "Recipe.List": self.list}

    async def current_name(self, wanted: OfMachine, _: Caller) -> RunningRecipe:
        """The recipe that runs."""
        return _running(self._machines.one(wanted.machine))

    async def list(self, wanted: OfMachine, _: Caller) -> Recipes:
        """The recipe that each machine runs, or ran when it was last read."""
        running = (_running(live) for live in self._machines.some(wanted.machine))
        return Recipes(tuple(
            RecipeListed(it.machine, it.name, it.version, True if it.quality == "good" else None)
            for it in running if it.name is not None
        ))  # fmt: skip

    async def get(self, wanted: GetRecipe, _: Caller) -> Recipe:
        """One recipe, as it stands on the machine that runs it.

        Raises:
            CommandRefused: notFound where none runs it, invalidParameters where several do.
        """
        asked = self._machines.some(wanted.machine)
        running = [(live, _running(live)) for live in asked]
        found = [(live, it) for live, it in running
                 if it.name == wanted.name and wanted.version in (None, it.version)]  # fmt: skip
        if not found:
            version = f" in version {wanted.version}" if wanted.version is not None else ""
            runs = "; ".join(_in_words(it) for _, it in running)
            raise CommandRefused("notFound", f"No machine asked for runs recipe {wanted.name!r}{version}: {runs}.")
        if len(found) > 1:
            names = ", ".join(it.machine for _, it in found)
            raise CommandRefused("invalidParameters", f"Name the machine; recipe {wanted.name!r} runs on {names}.")
        live, it = found[0]
        return Recipe(**asdict(it), setpoints=_setpoints(live), tolerances=_tolerances(live.machine),
                      window=_window(live.machine))  # fmt: skip


def _running(live: LiveMachine) -> RunningRecipe:
    recipe, since = live.recipe()
    path = live.machine.map.recipe_name
    read = _values(live, {path})[0] if path else None
    return RunningRecipe(live.machine.id, recipe.name, recipe.version, since,
                         read.quality if read else None, read.time if read else None)  # fmt: skip


def _in_words(running: RunningRecipe) -> str:
    if running.name is None:
        return f"which one {running.machine} runs is not known"
    version = "" if running.version is None else f" in version {running.version}"
    return f"{running.machine} runs {running.name!r}{version}"


def _setpoints(live: LiveMachine) -> tuple[MeasuredValue, ...]:
    return _values(live, {point.path for point in live.machine.points if point.kind == "setpoint"})


def _values(live: LiveMachine, paths: set[str]) -> tuple[MeasuredValue, ...]:
    values = live.values({path.rpartition("/")[0] for path in paths})
    return tuple(value for value in values if f"{value.object}/{value.name}" in paths)


def _tolerances(machine: Machine) -> RecipeTolerances:
    its = machine.tolerances
    return RecipeTolerances(its.zone_celsius, its.belt_percent, its.measure_percent, its.oxygen_ppm, its.contact_s)


def _window(machine: Machine) -> RecipeWindow | None:
    return RecipeWindow(**asdict(machine.window)) if machine.map.kind == "reflow" else None
