"""One lane: its core, its tracker and its scanner, put together into what is told of its boards."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from edgeagent._core.capture import Capture
from edgeagent.capture.board import Board, Entered, Left, Lost, TrackerMemory
from edgeagent.capture.facts import Facts
from edgeagent.capture.record import Recorder
from edgeagent.capture.settings import SettingsWatch
from edgeagent.capture.state import BlockedWatch, StateMemory
from edgeagent.capture.tracker import Tracker
from edgeagent.capture.watch import ScannerMemory, ScannerWatch
from edgeagent.clock import iso, set_by
from edgeagent.model.boards import (
    Barcode,
    BoardEntered,
    BoardInProcess,
    BoardRecord,
    BoardTrace,
    InsideRecord,
    RecipeName,
)
from edgeagent.model.events import (
    BarcodeRead,
    BoardLost,
    BoardUnexpected,
    LaneBusyChanged,
    ProcessCompleted,
    ProcessStarted,
)
from edgeagent.model.functions.machines import LaneStatus
from edgeagent.model.ids import new_id
from edgeagent.model.points import Quality
from edgeagent.model.samples import rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edgeagent._core.capture import BoardFigures
    from edgeagent._core.ring import Ring
    from edgeagent.capture.history import History
    from edgeagent.model.machine import Judging, Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import Lane

JudgedBy: TypeAlias = "Callable[[RecipeName], Judging | None]"
"""Says what the boards of a recipe are judged by; None where no such recipe is stored."""

_SPEED_UNITS = {"cm/min": 10 / 60, "m/min": 1000 / 60, "mm/s": 1.0, "mm/min": 1 / 60}
"""Millimetres per second in one unit of belt speed."""

_TRACE_POINTS = 4096
"""Points of one board's estimate in the core; a longer stay is thinned."""

_NOTES = 64
"""Alarms and changes noted for one board, at most."""


class Passport(msgspec.Struct):
    """What was known when a board entered, and what was noted while it is inside."""

    id: str
    barcode: str | None
    entered_wall_ns: int
    recipe: RecipeName
    process_ready: bool | None
    alarms: list[str] = msgspec.field(default_factory=list)
    settings: list[str] = msgspec.field(default_factory=list)
    controls: list[str] = msgspec.field(default_factory=list)
    core: bytes = b""
    """The core's state of the board, in a checkpoint."""

    @property
    def barcodes(self) -> tuple[Barcode, ...]:
        """As they are told; none where no code was read."""
        return (Barcode(self.barcode),) if self.barcode else ()


class LaneMemory(msgspec.Struct):
    """What survives a restart; passports by the tracker's board numbers."""

    tracker: TrackerMemory = msgspec.field(default_factory=TrackerMemory)
    scanner: ScannerMemory = msgspec.field(default_factory=ScannerMemory)
    passports: dict[int, Passport] = msgspec.field(default_factory=dict)
    core: tuple[float, int, float] = (0.0, 0, 0.0)
    busy: bool = False


class Inside(NamedTuple):
    """What belongs to an event of a board: when it happened (wall ns), and its record when it ends the board."""

    stamp_ns: int
    record: BoardRecord | None = None
    trace: BoardTrace | None = None


def judged_columns(machine: Machine) -> set[int]:
    """What boards are judged by: the columns of belts and zones, and what a stay is measured by."""
    zones = (column for zone in machine.map.zones for column in machine.columns(zone.temperatures + zone.measures))
    return {*zones, *(column for lane in machine.map.lanes for column in _stay(machine, lane))}


def _stay(machine: Machine, lane: Lane) -> tuple[int, ...]:
    """The columns of the lane's belt speed and of the oxygen, over a whole stay."""
    return machine.columns((lane.speed, *(f"{name}/concentration" for name in machine.map.oxygen)))


Told = tuple[str, msgspec.Struct, Inside | None]
"""Topic, data, and what belongs to an event of a board."""


class LaneWatch:
    """Follows one lane.

    Args:
        memory: what is known from before, changed in place.
        state: the machine's state, for whether it is ready when a board enters.
        judged_by: what the boards of a recipe are judged by; None, or where it says None, the machine's own.
    """

    def __init__(
        self, machine: Machine, lane: Lane, row: Row, ring: Ring, memory: LaneMemory, state: StateMemory,
        settings: SettingsWatch, judged_by: JudgedBy | None = None,
    ) -> None:  # fmt: skip
        self._machine = machine
        self._lane = lane
        self._row = row
        self._memory = memory
        self._state = state
        self._settings = settings
        self._judged_by = judged_by
        map_ = machine.map
        stay = _stay(machine, lane)
        period_ns = machine.groups[machine.pace].period_ns
        speed_unit = machine.point(lane.speed).unit or ""
        shortest_mm = map_.capture.min_board_mm + map_.capture.min_gap_mm
        thermal = map_.thermal
        self._core = Capture(
            *row.first(len(map_.registers)), speed=stay[0], millimetres_per_second=_SPEED_UNITS[speed_unit],
            period_ns=period_ns, inlet_mm=lane.inlet_mm,
            zones=[(z.start_mm, z.start_mm + z.length_mm, z.kind == "heated",
                    machine.columns(z.temperatures + z.measures))
                   for z in map_.zones],
            stay=stay,
            thermal=(thermal.tau_s, thermal.ramp_start_mm, thermal.ramp_end_mm, thermal.decay_mm,
                     thermal.exit_celsius, thermal.ambient_celsius),
            slots=16 + int(2 * (lane.outlet_mm + map_.capture.lost_mm - lane.inlet_mm) / shortest_mm),
            trace_points=_TRACE_POINTS,
        )  # fmt: skip
        self._tracker = Tracker(lane, map_.capture, self._core, ring, memory.tracker, period_ns)
        self._recorder = Recorder(machine, lane, stay)
        self._inlet, self._outlet = machine.columns((lane.inlet, lane.outlet))
        self.blocked = BlockedWatch(machine, lane, state)
        self.scanner = ScannerWatch(machine, lane, lane.scanner, memory.scanner) if lane.scanner else None

    @property
    def number(self) -> int:
        """As the map numbers it."""
        return self._lane.number

    @property
    def count(self) -> int:
        """Boards inside."""
        return len(self._tracker.boards)

    @property
    def is_approached(self) -> bool:
        """Whether something covers the inlet, which may be a board, or a board that was read is on its way there."""
        is_awaited = self.scanner is not None and self.scanner.awaits(self._core.travel_mm)
        return is_awaited or bool(self._memory.tracker.inlet.last_level)

    def beat(
        self, now_ns: int, wall_ns: int, standing: tuple[str, ...], history: History
    ) -> Iterator[Told]:
        """Move the boards by one beat.

        Args:
            standing: codes of the alarms that stand, for a board that enters now.

        Yields:
            Topic, data and what belongs to it, in order.
        """
        self._core.feed(now_ns)
        to_wall = wall_ns - now_ns
        for happening in self._tracker.update(now_ns, self._level(self._inlet), self._level(self._outlet),
                                              self.blocked.blocked):
            if isinstance(happening, Entered):
                yield self._entered(happening.board, to_wall, standing)
            elif isinstance(happening, Left):
                yield self._ended(happening.board, happening.time_ns, None, now_ns, to_wall, history)
            elif isinstance(happening, Lost):
                yield self._ended(happening.board, None, happening.reason, now_ns, to_wall, history)
            else:
                data = BoardUnexpected(lane=self._lane.number, position=round(happening.position_mm, 1),
                                       reason=happening.reason)
                yield "Board.Unexpected", data, Inside(happening.time_ns + to_wall)
        yield from self._busy()

    def number_of(self, id: str) -> int | None:  # noqa: A002
        """The lane's own number of a board inside, by its id; None where it is not inside."""
        return next((number for number, passport in self._memory.passports.items() if passport.id == id), None)

    def book_out(
        self, number: int | None, reason: str, by: str, now_ns: int, wall_ns: int, history: History
    ) -> Iterator[Told]:
        """End a board that somebody took out; without a number all of them, and what is in doubt: nothing is inside.

        Raises:
            KeyError: no board inside has this number.
        """
        if number is None:
            lost = self._tracker.confirm_empty(now_ns, reason)
        else:
            board = {board.number: board for board in self._tracker.boards}[number]
            lost = iter((self._tracker.book_out(board, now_ns, reason),))
        for board, why in lost:
            yield self._ended(board, None, why, now_ns, wall_ns - now_ns, history, by)
        yield from self._busy()

    def _busy(self) -> Iterator[Told]:
        busy = self.count > 0
        if busy != self._memory.busy:
            self._memory.busy = busy
            yield ("Status.LaneBusyChanged",
                   LaneBusyChanged(busy=busy, lane=self._lane.number, boards=self.count), None)

    def scan(self, group: int) -> BarcodeRead | None:
        """Look at the lane's scanner when its group is new."""
        if self.scanner is None or self.scanner.group != group:
            return None
        return self.scanner.update(self._row, self._core.travel_mm, self._memory.tracker.open_mm)

    def note_alarm(self, code: str) -> None:
        """An alarm was raised while boards are inside."""
        for passport in self._memory.passports.values():
            _note(passport.alarms, code)

    def note_settings(self, changes: Iterable[str]) -> None:
        """Settings changed while boards are inside."""
        for passport in self._memory.passports.values():
            for change in changes:
                _note(passport.settings, change)

    def note_control(self, change: str) -> None:
        """Control changed while boards are inside."""
        for passport in self._memory.passports.values():
            _note(passport.controls, change)

    def inside(self) -> list[BoardInProcess]:
        """The boards inside, first in first."""
        return [self._show(board) for board in self._tracker.boards]

    def estimates(self) -> list[tuple[str, float]]:
        """Id and estimated temperature (°C, NaN where unknown) of each board inside whose length is known."""
        return [(self._memory.passports[board.number].id, self._core.figures(board.slot).estimate)
                for board in self._tracker.boards if board.slot >= 0]

    @property
    def oldest_ns(self) -> int:
        """When the first board inside entered, monotonic."""
        return min(board.entry.time_ns for board in self._tracker.boards)

    def status(self) -> LaneStatus:
        """The lane's state."""
        doubt = self._memory.tracker.doubt
        return LaneStatus(self._lane.number, self.count > 0, self.count, self.blocked.blocked,
                          doubt.reason if doubt else None)

    def save(self) -> None:
        """Bring the memory up to the core's state."""
        self._memory.core = self._core.lane_state()
        for board in self._tracker.boards:
            if board.slot >= 0:
                self._memory.passports[board.number].core = self._core.dump(board.slot)

    def restore(self, shift_ns: int, history: History) -> None:
        """Take the core's state back from the memory.

        Raises:
            ValueError: a board's state does not fit this map.
        """
        travel_mm, last_ns, speed = self._memory.core
        self._core.set_travel(travel_mm, last_ns + shift_ns if last_ns else 0, speed)
        self._tracker.shift(shift_ns)
        for board in self._tracker.boards:
            if board.slot >= 0:
                passport = self._memory.passports[board.number]
                times, estimates = history.estimates(passport.id, board.entry.time_ns, _TRACE_POINTS)
                board.slot = self._core.load(passport.core, array("q", times), array("d", estimates),
                                             shift_ns=shift_ns)

    def doubt_all(self, reason: str) -> None:
        """Nobody knows who is who inside, and what else is there."""
        self._tracker.doubt_all(reason)

    def give_up(
        self, memory: LaneMemory, reason: str, now_ns: int, to_wall: int, history: History
    ) -> Iterator[Told]:
        """End the boards of a memory that cannot be gone on with: lost, with what is known beside their figures."""
        for board in memory.tracker.boards:
            passport = memory.passports.get(board.number)
            if passport:
                self._memory.passports[board.number] = passport
                board.slot = self._core.enter(now_ns, 0.0, array("q"), array("d"), bytearray())
                board.uncertain = True
                yield self._ended(board, None, reason, now_ns, to_wall, history)

    def _level(self, column: int) -> bool | None:
        return None if self._row.quality[column] != Quality.GOOD else self._row.values[column] != 0

    def _entered(
        self, board: Board, to_wall: int, standing: tuple[str, ...]
    ) -> Told:
        entered = board.entry.time_ns + to_wall
        ready = None if self._state.state == "unknown" else self._state.state in ("ready", "running")
        if self._state.held:
            ready = False
        tracked, least_mm = self._memory.tracker, self._machine.map.capture.min_board_mm
        code, off_mm = self.scanner.take(
            board.entry.travel_mm, tracked.open_mm, tracked.far_mm, least_mm) if self.scanner else (None, 0.0)
        board.uncertain |= off_mm > self._machine.map.capture.max_board_mm
        passport = Passport(new_id(entered), code, entered, self._settings.recipe, ready, list(standing[:_NOTES]))
        if self._state.held:
            _note(passport.settings, self._state.held)
        self._memory.passports[board.number] = passport
        told = BoardEntered(passport.id, passport.barcodes, self._lane.number, passport.recipe, iso(entered), ready)
        return "Board.ProcessStarted", ProcessStarted(told), Inside(entered)

    def _ended(
        self, board: Board, left_ns: int | None, reason: str | None, now_ns: int, to_wall: int, history: History,
        by: str | None = None,
    ) -> Told:
        passport = self._memory.passports.pop(board.number)
        exited = left_ns + to_wall if left_ns is not None else None
        # All times of a record are by one clock: where it was set meanwhile, the one that it shows now.
        entered = passport.entered_wall_ns + set_by(passport.entered_wall_ns - board.entry.time_ns, to_wall)
        facts = Facts(
            id=passport.id, barcodes=passport.barcodes, recipe=passport.recipe, entered_ns=entered,
            exited_ns=exited, length_mm=board.length_mm if board.length_known else None, uncertain=board.uncertain,
            process_ready=passport.process_ready,
            inside=InsideRecord(tuple(passport.alarms), tuple(passport.settings), tuple(passport.controls)),
            serial_number=self._machine.serial_number or self._settings.text(self._machine.map.serial),
            offset_mm=board.offset_mm, setpoint_at=self._settings.setpoint_at, wall_minus_monotonic_ns=to_wall,
            judging=(self._judged_by and self._judged_by(passport.recipe)) or self._machine.judging,
        )  # fmt: skip
        trace, stride = self._core.trace(board.slot), self._core.stride(board.slot)
        record = self._recorder.record(facts, self._core.leave(board.slot), trace, stride)
        seen = history.trace(passport.id, board.entry.time_ns, now_ns)
        inside = Inside(exited if exited is not None else now_ns + to_wall, record, seen)
        if reason is None:
            return "Board.ProcessCompleted", ProcessCompleted(record), inside
        return "Board.Lost", BoardLost(record, reason, by), inside

    def _show(self, board: Board) -> BoardInProcess:
        passport = self._memory.passports[board.number]
        figures: BoardFigures | None = self._core.figures(board.slot) if board.slot >= 0 else None
        estimate = figures.estimate if figures else math.nan
        return BoardInProcess(
            id=passport.id, barcodes=passport.barcodes, lane=self._lane.number, recipe=passport.recipe,
            entered_at=iso(passport.entered_wall_ns), position_mm=round(self._tracker.place(board), 1),
            length_mm=rounded(board.length_mm, 1) if board.length_mm is not None and board.length_known else None,
            identity="uncertain" if board.uncertain else "certain", estimated_celsius=rounded(estimate, 1),
        )  # fmt: skip


def _note(notes: list[str], text: str) -> None:
    if len(notes) < _NOTES and text not in notes:
        notes.append(text)
