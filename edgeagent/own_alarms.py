"""The agent's own alarms: what is wrong with itself, told at each machine that it concerns."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgeagent.clock import iso
from edgeagent.model.alarms import Alarm
from edgeagent.model.events import AlarmTold, Event
from edgeagent.model.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeagent.clock import Clock
    from edgeagent.store import Checkpoints, Journal

ITSELF = "the agent's alarms"
"""Name of the checkpoint in which they are kept; no machine can be called so."""

_LOOK_S = 1.0
_REST_NS = 10_000_000_000
"""What was told ends when its cause has been gone for so long, so that a fault that comes and goes is told once."""
_PATIENCE_NS = 60_000_000_000
"""What stood before a restart ends when nobody told of it again for so long."""

_log = logging.getLogger(__name__)


class _Key(NamedTuple):
    machine: str
    object: str
    code: str


class _Standing(msgspec.Struct):
    machine: str
    alarm: Alarm
    gone_ns: int | None = None
    """Monotonic time at which its cause was found gone; None while it is there, or nobody has told yet."""
    is_left: bool = True
    """Of the time before a restart, and not told of since."""


class _Watched(NamedTuple):
    object: str
    code: str
    check: Callable[[], str | None]
    severity: str
    machines: tuple[str, ...]


class OwnAlarms:
    """Raises, keeps and clears them; on the event loop only.

    They are events, history and acknowledged as those of a machine, and never reset from afar. One that stands is
    told once, with the words of its beginning, also over a restart; one that is gone then is cleared by "restart".

    Args:
        machines: ids of all machines of the agent.
        kept: what the checkpoint `ITSELF` holds; None where there is none.
    """

    def __init__(
        self, machines: Sequence[str], journal: Journal, clock: Clock, kept: bytes | None = None
    ) -> None:
        self._machines = tuple(machines)
        self._journal = journal
        self._clock = clock
        self._standing: dict[_Key, _Standing] = {}
        self._watched: list[_Watched] = []
        self._began_ns = clock.monotonic_ns()
        for machine, alarm in _decoded(kept):
            self._standing[_Key(machine, alarm.object, alarm.code)] = _Standing(machine, alarm)

    @classmethod
    async def open(cls, machines: Sequence[str], journal: Journal, checkpoints: Checkpoints, clock: Clock) -> OwnAlarms:
        """Take up those that stood when the agent ended."""
        saved = await checkpoints.load(ITSELF)
        return cls(machines, journal, clock, saved.body if saved else None)

    def watch(
        self, part: str, code: str, check: Callable[[], str | None], severity: str = "fault",
        machines: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Ask a check every second: the alarm stands while it says in words what is wrong.

        Args:
            part: "store" is told as the object "agent/store".
            severity: "fault", "warning" or "information".
            machines: ids of those that it concerns, all for None.
        """
        self._watched.append(_Watched(f"agent/{part}", code, check, severity, self._concerned(machines)))

    def report(
        self, part: str, code: str, fault: str | None, severity: str = "fault", machines: Sequence[str] | None = None,
        by: str | None = None,
    ) -> None:  # fmt: skip
        """Tell at once what is wrong, or with None that it is not any more; arguments as of `watch`.

        What stood before a restart and is not told again within a minute is cleared.

        Args:
            by: who ended it, where somebody did: it is cleared without a rest.
        """
        watched = _Watched(f"agent/{part}", code, lambda: None, severity, self._concerned(machines))
        self._tell(watched, fault)
        if fault is None and by is not None:
            for key in [_Key(machine, watched.object, code) for machine in watched.machines]:
                if key in self._standing:
                    self._clear(key, by)

    def of(self, machine: str) -> tuple[Alarm, ...]:
        """Those that stand at a machine."""
        return tuple(standing.alarm for key, standing in self._standing.items() if key.machine == machine)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_S)

    def look(self) -> None:
        """Ask every check, and clear what is gone."""
        for watched in self._watched:
            self._tell(watched, watched.check())
        now = self._clock.monotonic_ns()
        for key, standing in list(self._standing.items()):
            if standing.gone_ns is not None and (standing.is_left or now - standing.gone_ns >= _REST_NS):
                self._clear(key, "restart" if standing.is_left else "agent")
            elif standing.is_left and now - self._began_ns >= _PATIENCE_NS:
                self._clear(key, "restart")

    def _tell(self, watched: _Watched, fault: str | None) -> None:
        now = self._clock.monotonic_ns()
        for machine in watched.machines:
            key = _Key(machine, watched.object, watched.code)
            standing = self._standing.get(key)
            if fault is None:
                if standing and standing.gone_ns is None:
                    standing.gone_ns = now
            elif standing:
                standing.gone_ns, standing.is_left = None, False
            else:
                self._raise(key, fault, watched.severity)

    def _raise(self, key: _Key, fault: str, severity: str) -> None:
        wall_ns = self._clock.wall_ns()
        alarm = Alarm(id=new_id(wall_ns), code=key.code, text=fault, severity=severity, object=key.object,
                      raised_at=iso(wall_ns), remote_reset=False)  # fmt: skip
        self._standing[key] = _Standing(key.machine, alarm, is_left=False)
        _log.warning("%s: %s %s: %s", key.machine, key.object, key.code, fault)
        self._append("Alarm.Raised", key.machine, AlarmTold(alarm), wall_ns)

    def _clear(self, key: _Key, by: str) -> None:
        alarm = self._standing.pop(key).alarm
        self._append("Alarm.Cleared", key.machine, AlarmTold(alarm, by), self._clock.wall_ns())

    def _append(self, topic: str, machine: str, told: AlarmTold, wall_ns: int) -> None:
        kept = [(standing.machine, standing.alarm) for standing in self._standing.values()]
        self._journal.append(
            [Event(topic, wall_ns, machine, told)], (ITSELF, msgspec.json.encode(kept)),
            "trusted" if self._clock.trusted else "untrusted",
        )  # fmt: skip

    def _concerned(self, machines: Sequence[str] | None) -> tuple[str, ...]:
        return self._machines if machines is None else tuple(machines)


def _decoded(kept: bytes | None) -> list[tuple[str, Alarm]]:
    if kept is None:
        return []
    try:
        return msgspec.json.decode(kept, type=list[tuple[str, Alarm]])
    except msgspec.DecodeError as error:
        _log.error("the alarms of the agent that stood before cannot be read: %s", error)
        return []
