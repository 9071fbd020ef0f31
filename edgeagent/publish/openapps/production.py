"""Answers about production: boards counted, seconds in each state."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from edgeagent.clock import Clock, iso
from edgeagent.model.callers import Caller
from edgeagent.model.functions.production import Counters, GetCounters, MachineCounters, RecipeCounts
from edgeagent.publish.access import Handler
from edgeagent.publish.openapps.machines import Machines
from edgeagent.publish.openapps.times import asked_ns
from edgeagent.store import counters
from edgeagent.store.counters import Counted
from edgeagent.store.states import States

_MS = 1_000_000
_MOST_RECIPES = 200
_LEFT = ("pass", "fail", "unknown")


class ProductionAnswers:
    """Production.*."""

    def __init__(self, machines: Machines, boards: counters.Counters, states: States, clock: Clock) -> None:
        self._machines = machines
        self._boards = boards
        self._states = states
        self._clock = clock

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {"Production.GetCounters": self.counters}

    async def counters(self, wanted: GetCounters, _: Caller) -> Counters:
        """The counts of each machine asked for."""
        asked = asked_ns("since", wanted.since) or 0
        machines = self._machines.some(wanted.machine)
        return Counters(tuple([await self._of(live.machine.id, asked) for live in machines]))

    async def _of(self, machine: str, asked_ns: int) -> MachineCounters:
        until = self._clock.wall_ns() // _MS * _MS
        firsts = await self._boards.first_ns(machine), await self._states.first_ns(machine)
        known = min((first for first in firsts if first is not None), default=until)
        since = min(max(asked_ns, known) // _MS * _MS, until)
        counted = await self._boards.count(machine, since, until)
        durations = await self._states.durations(machine, since, until)
        return MachineCounters(
            machine=machine, since=iso(since), until=iso(until), **_counts(counted),
            recipes=tuple(sorted(_by_recipe(counted), key=lambda of: -of.boards)[:_MOST_RECIPES]),
            seconds=_seconds(durations, until - since),
        )  # fmt: skip


def _by_recipe(counted: Iterable[Counted]) -> Iterator[RecipeCounts]:
    recipes: defaultdict[str | None, list[Counted]] = defaultdict(list)
    for it in counted:
        recipes[it.recipe].append(it)
    for recipe, of in recipes.items():
        yield RecipeCounts(recipe=recipe, **_counts(of))


def _counts(counted: Iterable[Counted]) -> dict[str, int]:
    """The members of `Counts`."""
    of: Counter[str] = Counter()
    for it in counted:
        of[it.result] += it.boards
    return {
        "boards": sum(of[result] for result in _LEFT), "pass_": of["pass"], "fail": of["fail"],
        "unknown": of["unknown"], "lost": of["lost"], "unexpected": of["unexpected"],
    }  # fmt: skip


def _seconds(durations: Mapping[str, int], whole_ns: int) -> dict[str, float]:
    """Round to milliseconds; what is known of no state, and what rounding leaves, is unknown."""
    known = {state: ns // _MS for state, ns in durations.items() if state != "unknown"}
    unknown = whole_ns // _MS - sum(known.values())
    return {state: ms / 1000 for state, ms in sorted(known.items())} | {"unknown": unknown / 1000}
