"""Production.*: what a machine made, and how its time went."""

from __future__ import annotations

import msgspec

from edgeagent.model.functions.forms import Machine, Parameters, Result, Text


class GetCounters(Parameters, frozen=True):
    """Counts from a time on (RFC 3339), without one from as far back as the store goes."""

    since: Text | None = None
    machine: Machine = None


class Counts(Result, frozen=True, kw_only=True):
    """Boards by the verdict on the process.

    A board counts when it left: `boards` is the sum of `pass`, `fail` and `unknown`. Beside them stand those given up
    as `lost`, when that was told, and those `unexpected`, that nobody saw enter, when they were found.
    """

    boards: int = 0
    pass_: int = msgspec.field(name="pass", default=0)
    fail: int = 0
    unknown: int = 0
    lost: int = 0
    unexpected: int = 0


class RecipeCounts(Counts, frozen=True, kw_only=True):
    """The counts of one recipe; null for boards whose recipe is not known."""

    recipe: str | None


class MachineCounters(Counts, frozen=True, kw_only=True):
    """The counts of one machine from `since` to before `until`.

    Attributes:
        recipes: those with the most boards, 200 at most.
        since: the time asked for, or the first that the store knows of this machine where that is later; `until` where
            it is still to come.
        seconds: seconds in each state; together they are the time from `since` to `until`. Time in which the agent did
            not run, or the clock was set, is in `unknown`.
    """

    machine: str
    since: str
    until: str
    recipes: tuple[RecipeCounts, ...]
    seconds: dict[str, float]


class Counters(Result, frozen=True):
    """The counts of the machines asked for."""

    machines: tuple[MachineCounters, ...]
