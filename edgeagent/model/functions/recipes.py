"""Recipe.*: the recipes that machines run, and those that are kept for them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edgeagent.model.functions.forms import CommandParameters, Machine, Parameters, Result, Text
from edgeagent.model.recipes import RecipeDraft, RecipeFault

Version = Annotated[int, Meta(ge=0)]


class GetRecipe(Parameters, frozen=True):
    """A recipe by name, in this version; without one in that which runs, else the newest that is kept."""

    name: Text
    version: Version | None = None
    machine: Machine = None


class ListRecipes(Parameters, frozen=True):
    """The recipes of one machine or all; with a name every version of that one, the deleted ones too."""

    machine: Machine = None
    name: Text | None = None


class RecipeListed(Result, frozen=True):
    """A recipe of a machine, as it runs it or as it is kept for it.

    Attributes:
        active: the machine runs this version; null where it ran when its name was last read.
        stored: this agent keeps this version; what follows is null where it does not.
    """

    machine: str
    name: str
    version: int | None
    active: bool | None
    stored: bool
    made_at: str | None = None
    by: str | None = None
    based_on: int | None = None
    deleted_at: str | None = None
    alloy: str | None = None
    comment: str | None = None


class Recipes(Result, frozen=True):
    """The recipes known, of each machine: what runs first, then the newest kept version of each."""

    recipes: tuple[RecipeListed, ...]


class CheckRecipe(Parameters, frozen=True):
    """A recipe that somebody may want to keep."""

    recipe: RecipeDraft
    machine: Machine = None


class RecipeChecked(Result, frozen=True):
    """Every fault for which the machine cannot do it, none where it can; `version` is what it would become."""

    machine: str
    version: int
    faults: tuple[RecipeFault, ...]


class CreateRecipe(CommandParameters, frozen=True, kw_only=True):
    """A recipe of a name that is not in use; it becomes the first version, or the next where it was deleted."""

    recipe: RecipeDraft


class UpdateRecipe(CommandParameters, frozen=True, kw_only=True):
    """A changed recipe, whole: it becomes a new version.

    `basedOn` is the version that it was made from: where another is the newest meanwhile, nothing is changed.
    """

    recipe: RecipeDraft
    based_on: Version | None = None


class DeleteRecipe(CommandParameters, frozen=True, kw_only=True):
    """A recipe in all its versions; they can be read by their numbers, and not be started any more."""

    name: Text


class StartRecipe(CommandParameters, frozen=True, kw_only=True):
    """A recipe that is kept, in its newest version or in this one."""

    name: Text
    version: Version | None = None


class RecipeKept(Result, frozen=True):
    """What became of a recipe; `version` is the newest there is."""

    job: str
    machine: str
    recipe: str
    version: int
