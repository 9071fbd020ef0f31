"""Answers about recipes: those that the machines run, and those that are kept for them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import asdict

from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
from edgeagent.model.functions import OfMachine
from edgeagent.model.functions.recipes import (
    CheckRecipe,
    GetRecipe,
    ListRecipes,
    RecipeChecked,
    RecipeListed,
    Recipes,
)
from edgeagent.model.recipe_checks import faults
from edgeagent.model.recipes import Recipe, RunningRecipe, StoredRecipe
from edgeagent.model.samples import MeasuredValue
from edgeagent.publish.access import Handler
from edgeagent.publish.openapps.machines import Machines
from edgeagent.publish.outlet import LiveMachine
from edgeagent.store.recipes import Recipes as Store


class RecipeAnswers:
    """Recipe.*, as far as it only looks."""

    def __init__(self, machines: Machines, store: Store) -> None:
        self._machines = machines
        self._store = store

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {"Recipe.GetCurrentName": self.current_name, "Recipe.Get": self.get, "Recipe.List": self.list,
                "Recipe.Check": self.check}  # fmt: skip

    async def current_name(self, wanted: OfMachine, _: Caller) -> RunningRecipe:
        """The recipe that runs."""
        return self._running(self._machines.one(wanted.machine))

    async def list(self, wanted: ListRecipes, _: Caller) -> Recipes:
        """What runs and what is kept; with a name every version of it.

        Raises:
            CommandRefused: notFound where there is no machine of this id, or none has a recipe of this name.
        """
        machines = self._machines.some(wanted.machine)
        found = tuple(listed for live in machines for listed in self._listed(live, wanted.name))
        if wanted.name is not None and not found:
            raise CommandRefused("notFound", self._why_none(machines, GetRecipe(wanted.name)))
        return Recipes(found)

    async def check(self, wanted: CheckRecipe, _: Caller) -> RecipeChecked:
        """What a machine cannot do of a recipe."""
        live = self._machines.one(wanted.machine)
        machine, running = live.machine, live.recipe()[0]
        version = self._store.following(machine.id, wanted.recipe.name, running)
        return RecipeChecked(machine.id, version, tuple(faults(wanted.recipe, machine, version)))

    async def get(self, wanted: GetRecipe, _: Caller) -> Recipe:
        """One recipe: as it stands on the machine that runs it, and as it is kept.

        Raises:
            CommandRefused: notFound where none runs or keeps it, invalidParameters where several machines do.
        """
        asked = self._machines.some(wanted.machine)
        found = [recipe for live in asked if (recipe := self._found(live, wanted))]
        if not found:
            raise CommandRefused("notFound", self._why_none(asked, wanted))
        if len(found) > 1:
            names = ", ".join(it.machine for it in found)
            raise CommandRefused("invalidParameters", f"Name the machine; {names} have recipe {wanted.name!r}.")
        return found[0]

    def _found(self, live: LiveMachine, wanted: GetRecipe) -> Recipe | None:
        machine, running = live.machine, self._running(live)
        runs = running.name == wanted.name and wanted.version in (None, running.version)
        version = running.version if runs else wanted.version
        kept = None if runs and version is None else self._store.get(machine.id, wanted.name, version)
        if not runs and kept is None:
            return None
        if not runs and kept:
            running = RunningRecipe(machine.id, kept.name, kept.version, None, None, None, stored=True)
        tolerances, window = kept.judging if kept else machine.judging
        return Recipe(
            **asdict(running), active=_active(running) if runs else False, setpoints=_setpoints(live) if runs else (),
            tolerances=tolerances, window=window if machine.map.kind == "reflow" else None, kept=kept,
        )  # fmt: skip

    def _why_none(self, asked: tuple[LiveMachine, ...], wanted: GetRecipe) -> str:
        version = f" in version {wanted.version}" if wanted.version is not None else ""
        runs = "; ".join(_in_words(self._running(live)) for live in asked)
        kept = " ".join(self._store.why_none(live.machine.id, wanted.name, wanted.version) for live in asked)
        return f"No machine asked for runs recipe {wanted.name!r}{version}: {runs}. {kept}"

    def _running(self, live: LiveMachine) -> RunningRecipe:
        recipe, since = live.recipe()
        path = live.machine.map.recipe_name
        read = _values(live, {path})[0] if path else None
        return RunningRecipe(live.machine.id, recipe.name, recipe.version, since, read.quality if read else None,
                             read.time if read else None, self._store.judging(live.machine.id, recipe) is not None)

    def _listed(self, live: LiveMachine, name: str | None) -> Iterator[RecipeListed]:
        id_, running = live.machine.id, self._running(live)
        kept = self._store.newest(id_) if name is None else self._store.history(id_, name)
        if running.name is not None and name in (None, running.name):
            of_it = self._store.get(id_, running.name, running.version) if running.stored else None
            yield _entry(of_it, _active(running)) if of_it else \
                RecipeListed(id_, running.name, running.version, _active(running), stored=False)
        for recipe in kept:
            if not running.stored or (recipe.name, recipe.version) != (running.name, running.version):
                yield _entry(recipe, False)


def _active(running: RunningRecipe) -> bool | None:
    """True while the name is read well, or where the machine has none and the agent itself started it."""
    return True if running.quality in ("good", None) else None


def _entry(recipe: StoredRecipe, active: bool | None) -> RecipeListed:
    return RecipeListed(
        recipe.machine, recipe.name, recipe.version, active, stored=True, made_at=recipe.made_at, by=recipe.by,
        based_on=recipe.based_on, deleted_at=recipe.deleted_at, alloy=recipe.alloy, comment=recipe.comment,
    )  # fmt: skip


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
