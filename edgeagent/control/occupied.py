"""Whether boards are where a setting would change: nothing changes heat, belt or width over a board."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgeagent.control.ports import CommandedMachine
from firmware_iface.registers import Lane


def occupied(machine: CommandedMachine, paths: Iterable[str]) -> Iterator[str]:
    """Say which lanes, where these settings change something, have a board inside or at a barrier.

    What belongs to one lane alone, its belt and its width, concerns that lane; all else concerns every lane. A barrier
    that is not read good is one that may be covered.
    """
    paths = set(paths)
    status = machine.status()
    boards = {lane.lane: lane.boards for lane in status.lanes}
    own = {lane.number: {lane.speed_setpoint, lane.width_setpoint} for lane in machine.machine.map.lanes}
    of_all = paths - {path for its in own.values() for path in its}
    for lane in machine.machine.map.lanes:
        if not of_all and not paths & own[lane.number]:
            continue
        if count := boards.get(lane.number, 0):
            told = "a board is" if count == 1 else f"{count} boards are"
            yield f"In lane {lane.number} {told} inside."
        else:
            yield from _barriers(machine, lane)


def _barriers(machine: CommandedMachine, lane: Lane) -> Iterator[str]:
    for name, path in (("inlet", lane.inlet), ("outlet", lane.outlet)):
        column = machine.machine.column[path]
        if not machine.row.good(column):
            yield f"Whether a board is at the {name} of lane {lane.number} is not known."
        elif machine.row.values[column]:
            yield f"Something covers the {name} of lane {lane.number}."
