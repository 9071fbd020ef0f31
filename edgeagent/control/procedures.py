"""Which procedure does which function."""

from __future__ import annotations

from edgeagent.control.procedure import Factory
from edgeagent.control.recipe_start import Start
from edgeagent.control.recipes import Create, Delete, Update

PROCEDURES: dict[str, Factory] = {
    "Recipe.Create": Create,
    "Recipe.Update": Update,
    "Recipe.Delete": Delete,
    "Recipe.Start": Start,
}
"""Function → what makes its procedure; the executor answers each of them."""
