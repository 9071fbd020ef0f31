"""Takes a pulse back that a job left set: the agent was killed within it, or the link broke."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from edgeagent.control import interlocks
from edgeagent.errors import MachineError, NotWritable, StoreError

if TYPE_CHECKING:
    from edgeagent.clock import Clock
    from edgeagent.control.commanded import Commanded
    from edgeagent.control.running import Running
    from firmware_iface.registers import RegisterMap

_TRIES = 3
"""Writes of a device that answers none of them."""
_PAUSE_S = 1.0

_log = logging.getLogger(__name__)


def pulse_points(register_map: RegisterMap) -> frozenset[str]:
    """Points that pulses, and nothing else, are given at."""
    levels = {command.write for command in register_map.commands if command.style != "pulse"}
    return frozenset(_pulses(register_map, None)) - levels


def _pulses(register_map: RegisterMap, names: Collection[str] | None) -> dict[str, set[float]]:
    """Point → what pulses have as their value there; only those of `names`, all for None."""
    found: dict[str, set[float]] = {}
    for command in register_map.commands:
        if command.style == "pulse" and (names is None or command.name in names):
            found.setdefault(command.write, set()).add(command.value)
    return found


async def take_back(running: Running, clock: Clock) -> None:
    """Put to rest what one of the job's own pulses still stands at, once the machine is heard; whoever has control.

    Nothing is written while the agent is offline. A point at rest starts nothing, and what is not a value of this job's
    commands is somebody else's.
    """
    commanded, tries = running.commanded, 0
    its = commanded.machine.machine.map
    left = {path: values for path, values in _pulses(its, running.procedure.commands).items()
            if path in pulse_points(its)}  # fmt: skip
    while left and tries < _TRIES:
        if not commanded.machine.status().connected or _is_offline(commanded):
            await commanded.machine.next_beat()
            continue
        path, values = next(iter(left.items()))
        try:
            async with commanded.gate.turn:  # between no other job's pulse and its end
                await commanded.gate.refresh(path)
                stands = interlocks.number(commanded.machine, path)
                if stands in values:
                    tries += 1
                    await _end(running, path, stands)
            if stands is not None:
                del left[path]
                continue
        except (MachineError, StoreError) as error:
            _log.warning("%s: a pulse of job %s may still stand at %s: %s", commanded.id, running.job.id, path, error)
        await clock.sleep(_PAUSE_S)


def _is_offline(commanded: Commanded) -> bool:
    return commanded.look().standing().state == "offline"


async def _end(running: Running, path: str, stands: float) -> None:
    job = running.job
    await running.records.audit(
        "write", None, function=job.function, machine=job.machine, request_id=job.request_id, job=job.id,
        values={path: 0.0}, before={path: stands}, reason="A pulse that the job had left set is taken back.",
    )  # fmt: skip
    running.commanded.machine.expect({path: 0.0}, job.by)

    def allows() -> None:
        if _is_offline(running.commanded):
            raise NotWritable(f"{job.machine} is offline now")

    await running.commanded.gate.take_back(path, allows)
    _log.warning("%s: %s stood at %g since job %s (%s), and is back at 0", job.machine, path, stands, job.id,
                 job.function)  # fmt: skip
