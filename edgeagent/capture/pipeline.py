"""One machine from beat to events: everything that a row means, in the order in which it is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeagent._core.ring import Ring
from edgeagent.capture.alarms import AlarmWatch, cleared
from edgeagent.capture.history import REACH, History
from edgeagent.capture.lane import Inside, JudgedBy, LaneMemory, LaneWatch, judged_columns
from edgeagent.capture.settings import SettingsMemory, SettingsWatch
from edgeagent.capture.state import StateMemory, StateWatch, SwitchWatch
from edgeagent.capture.timekeeping import ClockMemory, ClockWatch
from edgeagent.capture.watch import Telemetry
from edgeagent.clock import iso
from edgeagent.model.alarms import Alarm
from edgeagent.model.events import (
    AlarmTold,
    ConfigurationChanged,
    ControlChanged,
    Event,
    MachineBusyChanged,
    RecipeSettingChanged,
    RecipeStarted,
)
from edgeagent.model.functions.machines import MachineStatus
from edgeagent.model.samples import show

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from edgeagent.model.boards import BoardInProcess, RecipeName
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import MeasuredValue, Row

_RING_S = 5 * 60
"""Reach of the ring of rows, in seconds: longer than a board takes to enter."""


class Memory(msgspec.Struct):
    """Everything of a machine that survives a restart, with the moment at which it stood."""

    monotonic_ns: int = 0
    wall_ns: int = 0
    state: StateMemory = msgspec.field(default_factory=StateMemory)
    settings: SettingsMemory = msgspec.field(default_factory=SettingsMemory)
    alarms: dict[str, Alarm] = msgspec.field(default_factory=dict)
    lanes: dict[int, LaneMemory] = msgspec.field(default_factory=dict)
    busy: bool = False
    clock: ClockMemory = msgspec.field(default_factory=ClockMemory)


class MemoryUnreadable(ValueError):
    """A checkpoint that this version cannot use; the reason says why."""


class Pipeline:
    """Turns the beats of one machine into events. Called on the event loop only; never waits.

    Args:
        row: the machine's current row, shared with the decoder.
        judged_by: what the boards of a recipe are judged by; None, or where it says None, the machine's own.
    """

    def __init__(
        self, machine: Machine, row: Row, memory: Memory | None = None, judged_by: JudgedBy | None = None
    ) -> None:
        self.machine = machine
        self.row = row
        self._memory = memory or Memory()
        m = self._memory
        pace = machine.groups[machine.pace]
        self._ring = Ring(max(1000, _RING_S * 1_000_000_000 // pace.period_ns),
                          *row.first(len(machine.map.registers)), judged_columns(machine))
        self._state = StateWatch(machine, m.state)
        self._switch = SwitchWatch(machine)
        self._settings = SettingsWatch(machine, m.settings)
        self._alarms = AlarmWatch(machine, m.alarms)
        self._telemetry = Telemetry(machine, row)
        self._clock = ClockWatch(m.clock)
        self.history = History(machine)
        self._lanes = [
            LaneWatch(machine, lane, row, self._ring, m.lanes.setdefault(lane.number, LaneMemory()), m.state,
                      self._settings, judged_by)
            for lane in machine.map.lanes
        ]  # fmt: skip
        self._now_ns = m.monotonic_ns
        self._wall_ns = m.wall_ns

    def feed(self, group: int, now_ns: int, wall_ns: int) -> list[Event]:
        """Take one beat: the row's points of a read group are new, or bad because the group was not read.

        Args:
            now_ns, wall_ns: the same moment on the monotonic and on the wall clock.

        Returns:
            The durable events that this beat made, in order.
        """
        self._now_ns, self._wall_ns = now_ns, wall_ns
        return list(self._events(group))

    def keep_time(self, now_ns: int, wall_ns: int, is_trusted: bool) -> list[Event]:
        """Look at the clock itself; the events that tell what happened to it."""
        changes = list(self._clock.update(now_ns, wall_ns, is_trusted))
        if not changes:
            return []
        self._now_ns, self._wall_ns = now_ns, wall_ns
        return [self._setting(change) for change in changes]

    @property
    def knew_time(self) -> bool:
        """Whether the clock was known to be synchronised when it was last looked at."""
        return self._memory.clock.is_trusted

    def telemetry(self, group: int) -> list[MeasuredValue]:
        """The group's values that are worth telling after the last beat."""
        return self._telemetry.update(group, self._now_ns)

    def recent(self, since_ns: int) -> tuple[Sequence[int], Sequence[float], Sequence[int], int]:
        """The rows of the last minutes, from a monotonic time on, oldest first.

        Returns:
            Times; values and qualities, row after row; and how many columns a row has. Only those of
            `judged_columns` are kept, the others are NaN and bad.
        """
        return *self._ring.since(since_ns), len(self.machine.map.registers)

    def second(self) -> bytes | None:
        """A row of history while boards are inside, once a second; None when it is not time."""
        self.history.forget(self.oldest_ns)
        if not self.has_boards or not self.history.due(self._now_ns):
            return None
        estimates = {id_: estimate for lane in self._lanes for id_, estimate in lane.estimates()}
        return self.history.record(self._now_ns, self.row, estimates)

    @property
    def oldest_ns(self) -> int:
        """Monotonic time before which no history is kept: the oldest board's entry, the reach of it, or now."""
        oldest = min((lane.oldest_ns for lane in self._lanes if lane.count), default=self._now_ns)
        return max(oldest, self._now_ns - REACH * 1_000_000_000)

    @property
    def has_boards(self) -> bool:
        """Whether a board is inside."""
        return any(lane.count for lane in self._lanes)

    @property
    def is_approached(self) -> bool:
        """Whether something covers an inlet, which may be a board, or a board that was read is on its way to one."""
        return any(lane.is_approached for lane in self._lanes)

    @property
    def count(self) -> int:
        """Boards inside."""
        return sum(lane.count for lane in self._lanes)

    def checkpoint(self) -> bytes:
        """Everything that a restart needs, as bytes."""
        self._memory.monotonic_ns, self._memory.wall_ns = self._now_ns, self._wall_ns
        for lane in self._lanes:
            lane.save()
        return msgspec.msgpack.encode(self._memory)

    @classmethod
    def restored(
        cls, machine: Machine, row: Row, checkpoint: bytes, shift_ns: int, seconds: Iterable[bytes],
        judged_by: JudgedBy | None = None,
    ) -> Pipeline:  # fmt: skip
        """Go on where a checkpoint stands; the first good beat carries the boards over the time between.

        Args:
            shift_ns: what is added to every remembered monotonic time (0 within one boot of the computer).
            seconds: the stored rows of history, oldest first.

        Raises:
            MemoryUnreadable: the checkpoint is not one of this version and map.
        """
        try:
            memory = msgspec.msgpack.decode(checkpoint, type=Memory)
            pipeline = cls(machine, row, memory, judged_by)
            pipeline.history.restore(seconds, memory.monotonic_ns, shift_ns)
            pipeline._now_ns += shift_ns
            pipeline._settings.shift(shift_ns)
            if memory.clock.ahead_ns is not None:
                memory.clock.ahead_ns -= shift_ns
            for lane in pipeline._lanes:
                lane.restore(shift_ns, pipeline.history)
        except (msgspec.DecodeError, ValueError, KeyError) as error:
            raise MemoryUnreadable(str(error)) from error
        return pipeline

    def doubt_all(self, reason: str) -> None:
        """Nobody knows who is who inside, and what else is there."""
        for lane in self._lanes:
            lane.doubt_all(reason)

    def give_up(self, checkpoint: bytes, reason: str, now_ns: int, wall_ns: int) -> list[Event]:
        """Tell the boards of a checkpoint that cannot be gone on with as lost, and its alarms as ended.

        None where it cannot be read at all.
        """
        try:
            memory = msgspec.msgpack.decode(checkpoint, type=Memory)
        except msgspec.DecodeError:
            return []
        return [
            Event(topic, wall_ns, self.machine.id, told)
            for topic, told in (cleared(alarm, "restart") for alarm in memory.alarms.values())
        ] + [
            self._board_event(topic, data, inside)
            for lane in self._lanes if lane.number in memory.lanes
            for topic, data, inside in lane.give_up(memory.lanes[lane.number], reason, now_ns, wall_ns - now_ns,
                                                    self.history)
        ]  # fmt: skip

    # What people do to boards

    def place_of(self, board: str) -> tuple[int, int] | None:
        """Lane of a board inside and its number there, which a restart keeps; None where it is not inside."""
        return next(((lane.number, number) for lane in self._lanes
                     if (number := lane.number_of(board)) is not None), None)

    def book_out(
        self, lane: int | None, number: int | None, reason: str, by: str, now_ns: int, wall_ns: int
    ) -> list[Event]:
        """End boards that are not inside any more: lost, with their records as far as they go.

        Args:
            lane, number: as `place_of` tells them. Without a number every board of the lane and what is in doubt there;
                without a lane of all lanes.

        Raises:
            KeyError: no board inside has this number.
        """
        self._now_ns, self._wall_ns = now_ns, wall_ns
        return [
            self._board_event(topic, data, inside)
            for watch in self._lanes if lane in (None, watch.number)
            for topic, data, inside in watch.book_out(number, reason, by, now_ns, wall_ns, self.history)
        ] + list(self._busy())  # fmt: skip

    # What the control room tells, and asks

    def switch(self, now_ns: int) -> bool | None:
        """The switch at the panel: whether it allows remote control; None where there is none, or it is not known."""
        return self._switch.is_on(now_ns)

    def turn(self, control: str, by: str, until: str | None, now_ns: int, wall_ns: int) -> list[Event]:
        """Take over another control state, note it at the boards inside, and tell it; nothing where it is the same."""
        before = self._memory.state.control
        if control == before:
            return []
        self._now_ns, self._wall_ns, self._memory.state.control = now_ns, wall_ns, control
        for lane in self._lanes:
            lane.note_control(f"{before} to {control} by {by}")
        told = ControlChanged(from_=before, to=control, by=by, until=until)
        return [self._event("Status.ControlChanged", told)]

    def expect(self, values: Mapping[str, float | str], by: str, now_ns: int) -> None:
        """Take changes to these values, which somebody writes over the agent, for that person's and not the machine's.
        """
        self._settings.expect(values, by, now_ns)

    def expect_no_more(self, paths: Collection[str]) -> None:
        """Take back what was expected last of these points: it was surely not written."""
        self._settings.expect_no_more(paths)

    def start_recipe(self, recipe: RecipeName, by: str, now_ns: int, wall_ns: int) -> list[Event]:
        """Know what recipe the machine was given over the agent; nothing is told where the machine told it already."""
        self._now_ns, self._wall_ns = now_ns, wall_ns
        started = self._settings.start(recipe, by)
        return [self._setting(started)] if started else []

    def hold_ready(self, reason: str) -> None:
        """Boards that enter from now on are not ready, for this reason; empty ends it."""
        self._memory.state.held = reason

    # What the machine is now, for those who ask

    def status(self, now_ns: int) -> MachineStatus:
        """The machine's state; `connected` is whether the pace-keeping group was read within its longest age."""
        pace = self.machine.groups[self.machine.pace]
        m = self._memory
        last = self.row.times[pace.index]
        return MachineStatus(
            machine=self.machine.id, connected=bool(last) and now_ns - last <= pace.max_age_ns, state=m.state.state,
            since=iso(m.state.since_ns) if m.state.since_ns else None, reason=m.state.reason, control=m.state.control,
            busy=self.has_boards, boards=self.count,
            lanes=tuple(lane.status() for lane in self._lanes), recipe=self._settings.recipe,
            alarms=len(self._alarms.standing),
        )  # fmt: skip

    def recipe(self) -> tuple[RecipeName, str | None]:
        """The recipe that runs as last seen, and since when; None where unknown."""
        since_ns = self._memory.settings.since_ns
        return self._settings.recipe, iso(since_ns) if since_ns else None

    @property
    def state(self) -> str:
        """The machine's state after the last beat."""
        return self._memory.state.state

    def values(self, objects: Collection[str] | None, now_ns: int) -> tuple[MeasuredValue, ...]:
        """Values of the named objects, or of all, as good as they are at this moment."""
        return tuple(show(self.machine, self.row, point, now_ns)
                     for point in self.machine.points if objects is None or point.object in objects)

    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms that stand."""
        return tuple(self._alarms.standing.values())

    def boards(self) -> tuple[BoardInProcess, ...]:
        """The boards inside, lane by lane, first in first."""
        return tuple(board for lane in self._lanes for board in lane.inside())

    def text(self, path: str | None) -> str | None:
        """Firmware or serial number as last seen, by its path."""
        return self._settings.text(path)

    # The order in which a beat is looked at

    def _events(self, group: int) -> Iterator[Event]:
        now, wall, row = self._now_ns, self._wall_ns, self.row
        for lane in self._lanes:
            if read := lane.scan(group):
                yield self._event("Board.BarcodeRead", read)
        for change in self._settings.update(row, group, now):
            yield self._setting(change)
        if group == self.machine.pace:
            yield from self._beat(now, wall)
        for topic, told in self._alarms.update(row, group, self._memory.state.state, now, wall):
            yield self._raised(told) if topic == "Alarm.Raised" else self._event(topic, told)

    def _beat(self, now: int, wall: int) -> Iterator[Event]:
        row = self.row
        self._ring.push(now)
        self._switch.update(row, now)
        standing = tuple(self._alarms.standing)
        for lane in self._lanes:
            if blocked := lane.blocked.update(row, now):
                yield self._event("Status.MachineBlockedChanged", blocked)
            for topic, data, inside in lane.beat(now, wall, standing, self.history):
                yield self._board_event(topic, data, inside)
        yield from self._busy()
        if status := self._state.update(row, self.count, now, wall):
            yield self._event("Status.MachineStatusChanged", status)

    def _raised(self, told: AlarmTold) -> Event:
        self._alarms.standing[told.alarm.code] = told.alarm
        for lane in self._lanes:
            lane.note_alarm(told.alarm.code)
        return self._event("Alarm.Raised", told)

    def _busy(self) -> Iterator[Event]:
        if self.has_boards != self._memory.busy:
            self._memory.busy = self.has_boards
            told = MachineBusyChanged(busy=self.has_boards, boards=self.count)
            yield self._event("Status.MachineBusyChanged", told)

    def _setting(self, change: RecipeStarted | RecipeSettingChanged | ConfigurationChanged) -> Event:
        if isinstance(change, ConfigurationChanged):
            return self._event("Configuration.Changed", change)
        if isinstance(change, RecipeStarted):
            noted, topic = [f"recipe {change.recipe} started"], "Recipe.Started"
            self._memory.settings.since_ns = self._wall_ns
        else:
            noted = [f"{c.object}/{c.name}: {c.from_} to {c.to}" for c in change.changes]
            topic = "Recipe.SettingChanged"
        for lane in self._lanes:
            lane.note_settings(noted)
        return self._event(topic, change)

    def _board_event(self, topic: str, data: msgspec.Struct, inside: Inside | None) -> Event:
        if inside is None or inside.record is None:
            return self._event(topic, data, inside.stamp_ns if inside else 0)
        return Event(topic, inside.stamp_ns or self._wall_ns, self.machine.id, data, inside.record, inside.trace)

    def _event(self, topic: str, data: msgspec.Struct, stamp_ns: int = 0) -> Event:
        return Event(topic, stamp_ns or self._wall_ns, self.machine.id, data)
