"""Recipe.*: the recipes that machines run."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edgeagent.model.functions.forms import Machine, Parameters, Result, Text


class GetRecipe(Parameters, frozen=True):
    """A recipe by name, in the version that runs or in that one."""

    name: Text
    version: Annotated[int, Meta(ge=0)] | None = None
    machine: Machine = None


class RecipeListed(Result, frozen=True):
    """A recipe of a machine; `active` where the machine runs it now, null where it ran when its name was last read."""

    machine: str
    name: str
    version: int | None
    active: bool | None


class Recipes(Result, frozen=True):
    """The recipes known, of each machine."""

    recipes: tuple[RecipeListed, ...]
