"""A recipe as it stands on the machine that runs it."""

from __future__ import annotations

import msgspec

from edgeagent.model.machine import Limit
from edgeagent.model.samples import MeasuredValue


class RunningRecipe(msgspec.Struct, frozen=True, rename="camel"):
    """The recipe that a machine runs, as last read.

    Attributes:
        name, version: None where the machine does not tell them. since: when the agent first saw it run.
        quality, time: of the reading of the name; None where the map has no name of a recipe.
    """

    machine: str
    name: str | None
    version: int | None
    since: str | None
    quality: str | None
    time: str | None


class RecipeTolerances(msgspec.Struct, frozen=True, rename="camel"):
    """How far the process may be from its setpoints: °C, percent of the setpoint, ppm; seconds in all waves."""

    zone_celsius: float
    belt_percent: float
    measure_percent: float
    oxygen_ppm: float | None
    contact_seconds: Limit | None


class RecipeWindow(msgspec.Struct, frozen=True, rename="camel"):
    """What a board must feel in an oven: °C, seconds, °C/s; None where a figure is measured and not judged."""

    liquidus: float
    soak_low: float
    soak_high: float
    peak: Limit | None
    time_above_liquidus: Limit | None
    soak: Limit | None
    max_rise: Limit | None
    max_fall: Limit | None


class Recipe(RunningRecipe, frozen=True):
    """A recipe with its setpoints as the machine has them, and the limits that the configuration gives.

    Attributes:
        window: None for a machine that makes no estimate of what a board felt.
    """

    setpoints: tuple[MeasuredValue, ...]
    tolerances: RecipeTolerances
    window: RecipeWindow | None
