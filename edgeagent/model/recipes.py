"""Recipes: what somebody writes down, what is kept of it version by version, and what a machine runs."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edgeagent.model.boards import RecipeName
from edgeagent.model.machine import Judging, Machine, ProcessWindow, Tolerances
from edgeagent.model.samples import MeasuredValue

MOST_SETTINGS = 1000
"""Values of one recipe."""

SETTLING_S = 60.0
"""How long everything stays within its tolerance before a machine is ready, unless a recipe says otherwise."""

Title = Annotated[str, Meta(max_length=256)]
Alloy = Annotated[str, Meta(max_length=64)]
Comment = Annotated[str, Meta(max_length=2000)]
Settings = Annotated[dict[str, float], Meta(max_length=MOST_SETTINGS)]


class RecipeDraft(msgspec.Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A recipe as somebody writes it; what is left out is taken from the machine's configuration when it is kept.

    Attributes:
        settings: path of a point of the machine → value in the point's unit.
        tolerances, window: what its boards are judged by while the machine runs it; a window of an oven only.
        settling_s: how long everything stays within its tolerance before the machine is ready for it.
    """

    name: Title
    settings: Settings
    tolerances: Tolerances | None = None
    window: ProcessWindow | None = None
    settling_s: float = msgspec.field(name="settlingSeconds", default=SETTLING_S)
    alloy: Alloy | None = None
    comment: Comment | None = None


class StoredRecipe(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One version of a recipe as it is kept; a changed recipe is a new version, and no version is ever changed.

    Attributes:
        made_at, by: when and by whom this version was made; based_on: the version that it was made from.
        deleted_at: when its recipe was deleted; it can still be read, and not be started.
        settings: path of a point of the machine → value in the point's unit.
        window: None for a machine that makes no estimate of what a board felt.
    """

    machine: str
    name: str
    version: int
    made_at: str
    by: str
    based_on: int | None = None
    deleted_at: str | None = None
    alloy: str | None = None
    comment: str | None = None
    settling_s: float = msgspec.field(name="settlingSeconds")
    settings: dict[str, float]
    tolerances: Tolerances
    window: ProcessWindow | None

    @property
    def key(self) -> RecipeName:
        """Name and version."""
        return RecipeName(self.name, self.version)

    @property
    def judging(self) -> Judging:
        """What its boards are judged by."""
        return Judging(self.tolerances, self.window or ProcessWindow())


def made(
    draft: RecipeDraft, machine: Machine, version: int, made_at: str, by: str, based_on: int | None
) -> StoredRecipe:
    """Make a version of what somebody wrote."""
    window = draft.window or machine.judging.window
    return StoredRecipe(
        machine=machine.id, name=draft.name, version=version, made_at=made_at, by=by, based_on=based_on,
        alloy=draft.alloy, comment=draft.comment, settling_s=draft.settling_s, settings=draft.settings,
        tolerances=draft.tolerances or machine.judging.tolerances,
        window=window if machine.map.kind == "reflow" else None,
    )  # fmt: skip


class RecipeFault(msgspec.Struct, frozen=True, rename="camel"):
    """Why a machine cannot do a recipe, or it makes no sense.

    Attributes:
        path: the point, "zone/1/top/setpoint", or the recipe's own key, "window.peak".
        value: as it is in the recipe; null where it is missing. possible: what can be, in words; null where nothing.
    """

    path: str
    value: float | str | None
    reason: str
    possible: str | None


class RunningRecipe(msgspec.Struct, frozen=True, rename="camel"):
    """The recipe that a machine runs, as last read.

    Attributes:
        name, version: None where the machine does not tell them. since: when the agent first saw it run.
        quality, time: of the reading of the name; None where the map has no name of a recipe.
        stored: this agent keeps this very version, and boards are judged by it.
    """

    machine: str
    name: str | None
    version: int | None
    since: str | None
    quality: str | None
    time: str | None
    stored: bool


class Recipe(RunningRecipe, frozen=True):
    """A recipe from both sides: as the machine has it, if it runs it, and as the agent keeps it, if it does.

    Attributes:
        active: the machine runs it; null where it ran when its name was last read.
        setpoints: as read from the machine; empty where it does not run this recipe.
        tolerances, window: what boards are judged by: those of the stored version, else the configuration's;
            window is None for a machine that makes no estimate of what a board felt.
        kept: the version as it is stored; null where this agent has none.
    """

    active: bool | None
    setpoints: tuple[MeasuredValue, ...]
    tolerances: Tolerances
    window: ProcessWindow | None
    kept: StoredRecipe | None
