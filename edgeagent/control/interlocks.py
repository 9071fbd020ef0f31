"""Why a command must not run now, in sentences: boards, what is in the tunnel, emergency stop, a map's conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from edgeagent.control.ports import CommandedMachine, Value
from edgeagent.model.conditions import compares

if TYPE_CHECKING:
    from edgeagent.model.functions.machines import LaneStatus
    from edgeagent.model.samples import MeasuredValue
    from firmware_iface.registers import Term

_IDLE_STATES = {
    "unknown": "What state {machine} is in cannot be told: {reason}.",
    "emergencyStop": "{machine} is in emergency stop: {reason}; it is released at the machine.",
    "maintenance": "{machine} is in maintenance: somebody works at it.",
}


def seen(it: CommandedMachine, path: str) -> MeasuredValue:
    """What a point says now, with its quality at this moment; KeyError where there is no such point."""
    point = it.machine.point(path)
    return next(value for value in it.values((point.object,)) if value.name == point.name)


def good(it: CommandedMachine, path: str) -> Value:
    """The value of a point where it is good now, else None."""
    value = seen(it, path)
    return value.value if value.quality == "good" else None


def number(it: CommandedMachine, path: str) -> float | None:
    """The number of a point, 0 or 1 for a bit, where it is good now, else None."""
    value = good(it, path)
    return None if value is None or isinstance(value, str) else float(value)


def state(it: CommandedMachine) -> Iterator[str]:
    """States in which nobody commands a machine from afar."""
    status = it.status()
    if sentence := _IDLE_STATES.get(status.state):
        yield sentence.format(machine=status.machine, reason=status.reason)


def boards_inside(it: CommandedMachine, lane: int | None = None) -> Iterator[str]:
    """Boards known to be in a lane, or in any."""
    for one in _lanes(it, lane):
        if one.boards:
            yield f"{one.boards} board{' is' if one.boards == 1 else 's are'} inside lane {one.lane}."


def emptiness(it: CommandedMachine, lane: int | None = None) -> Iterator[str]:
    """Why it is not known, by good data, that nothing is in a lane, or in any: boards, doubts, covered barriers."""
    yield from boards_inside(it, lane)
    for one in _lanes(it, lane):
        if one.doubt:
            yield (f"Lane {one.lane} is not known to be empty: {one.doubt}. Look into the tunnel, then call "
                   "Board.ConfirmEmpty.")  # fmt: skip
    yield from barriers(it, lane)


def barriers(it: CommandedMachine, lane: int | None = None) -> Iterator[str]:
    """Barriers of a lane, or of any, that are covered, or cannot be read."""
    for its in it.machine.map.lanes:
        for name, path in (("inlet", its.inlet), ("outlet", its.outlet)) if lane in (None, its.number) else ():
            covered = number(it, path)
            if covered is None:
                yield (f"The {name} barrier of lane {its.number} cannot be read ({path} is {seen(it, path).quality}): "
                       "nobody would notice a board there.")  # fmt: skip
            elif covered:
                yield f"Something covers the {name} barrier of lane {its.number} ({path} is {covered:g})."


def changes(it: CommandedMachine, paths: Iterable[str]) -> Iterator[str]:
    """Why these settings must not change now: nothing that makes heat, belt or width changes over a board.

    What belongs to one lane alone, its belt and its width, concerns that lane; all else concerns every lane.
    """
    wanted = set(paths)
    own = {lane.number: {lane.speed_setpoint, lane.width_setpoint} for lane in it.machine.map.lanes}
    of_all = wanted - {path for its in own.values() for path in its}
    for number_, its in own.items():
        if of_all or wanted & its:
            yield from emptiness(it, number_)


def preconditions(it: CommandedMachine, terms: Iterable[Term], what: str) -> Iterator[str]:
    """Conditions of the map that do not hold, or cannot be told; `what` is what they are for, "Power on"."""
    for term in terms:
        paths = (term.path, term.minus) if term.minus else (term.path,)
        if dark := [path for path in paths if number(it, path) is None]:
            told = ", ".join(f"{path} is {seen(it, path).quality}" for path in dark)
            yield f"{what} needs to know: {_text(it, term.path)}. It cannot be told ({told})."
        elif (reason := _broken(it, term)) is not None:
            yield f"{what} {reason}"


def _broken(it: CommandedMachine, term: Term) -> str | None:
    """Why one condition does not hold, all of its values being good; None where it does."""
    value = number(it, term.path) or 0.0
    other = (number(it, term.minus) or 0.0) if term.minus else 0.0
    if compares(term, value - other):
        return None
    if it.machine.point(term.path).is_bit:
        told = f"({term.path} is {value:g})."
        text = _text(it, term.path)
        return f"is not possible while {text} {told}" if value else f"needs {text}, which is not so {told}"
    less = f", {term.minus} is {other:g}" if term.minus else ""
    asked = f"{term.path}{f' - {term.minus}' if term.minus else ''} {term.operator} {term.number:g}"
    return f"needs {asked}: {_text(it, term.path)} ({term.path} is {value:g}{less})."


def _text(it: CommandedMachine, path: str) -> str:
    return f"“{it.machine.point(path).text or path}”"


def _lanes(it: CommandedMachine, lane: int | None) -> Iterator[LaneStatus]:
    return (one for one in it.status().lanes if lane in (None, one.lane))
