"""Recipe.Create, Update and Delete: what is kept of recipes changes; no machine is touched."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from edgeagent.clock import iso
from edgeagent.control.ports import CommandedMachine, Context
from edgeagent.control.procedure import Procedure, Work
from edgeagent.errors import CommandRefused
from edgeagent.model.commands import Job
from edgeagent.model.events import Event, RecipeChanged
from edgeagent.model.functions.recipes import CreateRecipe, DeleteRecipe, RecipeKept, UpdateRecipe
from edgeagent.model.recipe_checks import faults, in_words
from edgeagent.model.recipes import RecipeDraft, StoredRecipe, made
from edgeagent.store.recipes import MOST


class _Change(Procedure):
    """What the three have in common: who asks, of which machine, and what is kept of the recipe now."""

    answers_when_done = True

    def __init__(self, machine: CommandedMachine, name: str, context: Context) -> None:
        self._machine = machine.machine
        self._running = machine.recipe()[0]
        self._name = name
        self._context = context
        self._recipes = context.archive.recipes
        self._version = 0

    def answer(self, job: Job) -> RecipeKept:
        """The version that it came to."""
        return RecipeKept(job.id, self._machine.id, self._name, self._version)

    def _newest(self) -> StoredRecipe:
        """The newest version that is kept; raises CommandRefused notFound."""
        kept = self._recipes.get(self._machine.id, self._name)
        if kept is None:
            raise CommandRefused("notFound", self._recipes.why_none(self._machine.id, self._name), self._machine.id)
        return kept

    def _tell(self, work: Work, topic: str) -> None:
        changed = RecipeChanged(self._name, self._version, self._context.caller.name)
        work.tell(Event(topic, self._context.clock.wall_ns(), self._machine.id, changed))


class _Keep(_Change):
    """A new version."""

    def __init__(self, machine: CommandedMachine, draft: RecipeDraft, context: Context) -> None:
        super().__init__(machine, draft.name, context)
        self._draft = draft

    def limits(self) -> Iterator[str]:
        """Everything for which the machine cannot do it."""
        for fault in faults(self._draft, self._machine, self._following()):
            yield in_words([fault])

    async def _keep(self, work: Work, topic: str, based_on: int | None) -> None:
        gone = await self._recipes.room()
        if gone is None:
            raise CommandRefused("tooMany", f"{MOST} versions of recipes are kept, and boards name all that are "
                                            "deleted: delete recipes that nobody needs.", self._machine.id)
        self._require()
        # From here on nothing waits: what is looked at stands until the new version is known.
        self._version = self._following()
        recipe = made(self._draft, self._machine, self._version, iso(self._context.clock.wall_ns()),
                      self._context.caller.name, based_on)
        work.keep(self._recipes.add(recipe, gone))
        self._tell(work, topic)

    def _following(self) -> int:
        return self._recipes.following(self._machine.id, self._name, self._running)

    @abstractmethod
    def _require(self) -> None:
        """Say that what is kept is not what the caller thinks; raises CommandRefused."""


class Create(_Keep):
    """Keep a recipe of a new name."""

    def __init__(self, machine: CommandedMachine, wanted: CreateRecipe, context: Context) -> None:
        super().__init__(machine, wanted.recipe, context)
        self._require()

    async def run(self, work: Work) -> str | None:
        """Keep it as its first version, or the next after those that were deleted."""
        await self._keep(work, "Recipe.Created", None)
        return None

    def _require(self) -> None:
        if kept := self._recipes.get(self._machine.id, self._name):
            reason = f"Recipe {self._name!r} is kept already, in version {kept.version}: change it with Recipe.Update."
            raise CommandRefused("busy", reason, self._machine.id)


class Update(_Keep):
    """Keep a changed recipe."""

    def __init__(self, machine: CommandedMachine, wanted: UpdateRecipe, context: Context) -> None:
        super().__init__(machine, wanted.recipe, context)
        self._based_on = wanted.based_on
        self._require()

    async def run(self, work: Work) -> str | None:
        """Keep it as a new version."""
        await self._keep(work, "Recipe.Updated", self._based_on or self._newest().version)
        return None

    def _require(self) -> None:
        kept = self._newest()
        if self._based_on is not None and kept.version != self._based_on:
            reason = (f"{kept.by} has made version {kept.version} of recipe {self._name!r} meanwhile, at "
                      f"{kept.made_at}; yours was made from version {self._based_on}: look at it first.")
            raise CommandRefused("busy", reason, self._machine.id, newest=kept.version)


class Delete(_Change):
    """Delete a recipe."""

    def __init__(self, machine: CommandedMachine, wanted: DeleteRecipe, context: Context) -> None:
        super().__init__(machine, wanted.name, context)
        self._newest()

    async def run(self, work: Work) -> str | None:
        """Mark all its versions."""
        self._version = self._newest().version
        work.keep(self._recipes.delete(self._machine.id, self._name, self._context.clock.wall_ns()))
        self._tell(work, "Recipe.Deleted")
        return None
