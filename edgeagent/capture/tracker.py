"""The boards of one lane: in by the inlet's barrier, on by belt travel, out by the outlet's; first in, first out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from edgeagent.capture.barrier import Barrier, BarrierMemory, Edge
from edgeagent.capture.board import Board, Entered, Happening, Left, Lost, TrackerMemory, Unexpected
from edgeagent.capture.doubt import STOOD_S, Doubt, lasting, rested

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeagent._core.capture import Capture
    from edgeagent._core.ring import Ring
    from firmware_iface.registers import Capture as CaptureSettings
    from firmware_iface.registers import Lane


class Tracker:
    """Follows the boards of one lane from beat to beat. The core moves them; this decides who is who.

    Args:
        period_ns: time between two beats; a longer silence of the belt or of a barrier is an outage.
    """

    def __init__(
        self, lane: Lane, settings: CaptureSettings, core: Capture, ring: Ring, memory: TrackerMemory, period_ns: int
    ) -> None:
        self.memory = memory
        self._lane = lane
        self._settings = settings
        self._core = core
        self._ring = ring
        self._period_ns = period_ns
        debounce_ns = settings.debounce_ms * 1_000_000
        self._inlet, self._outlet = (
            Barrier(seen, debounce_ns, settings.min_board_mm, settings.min_gap_mm, settings.max_board_mm)
            for seen in (memory.inlet, memory.outlet)
        )

    @property
    def boards(self) -> list[Board]:
        """The boards inside, first in first."""
        return self.memory.boards

    def place(self, board: Board) -> float:
        """Where the board's leading edge is, in mm from the entrance."""
        if board.slot >= 0:
            return self._core.place(board.slot)
        return self._lane.inlet_mm + self._core.travel_mm - board.entry.travel_mm

    def update(self, now_ns: int, inlet: bool | None, outlet: bool | None, blocked: bool) -> Iterator[Happening]:
        """Take one beat, after the core has moved the boards; a barrier that was not read is None.

        A beat that does not know the belt's speed is none: what a barrier saw in it has no place.
        """
        if (inlet is None and outlet is None) or self._core.lane_state()[1] != now_ns:
            return
        unseen_mm = self._unseen_mm(now_ns)
        if inlet is not None:
            self._doubt_silence(now_ns, unseen_mm)
        for happening in self._happenings(now_ns, inlet, outlet, blocked, unseen_mm):
            if isinstance(happening, Unexpected):
                self.doubt(happening.reason)
            elif isinstance(happening, Lost):
                self.doubt(f"a board was lost: {happening.reason}", stays=True)
            yield happening
        if self.memory.doubt and outlet is not None:
            stands = blocked or bool(self.memory.outlet.covered)
            self.memory.doubt = rested(self.memory.doubt, self._core.travel_mm, self._through_mm, stands)

    def doubt(self, reason: str, *, stays: bool = False) -> None:
        """Something may be inside that is no board known."""
        self.memory.doubt = lasting(self.memory.doubt, Doubt(reason, self._core.travel_mm, stays))

    def doubt_all(self, reason: str) -> None:
        """Nobody knows who is who inside, and what else is there."""
        for board in self.boards:
            board.uncertain = True
        self.memory.is_endless = True
        self.doubt(reason)

    def book_out(self, board: Board, now_ns: int, reason: str) -> Lost:
        """Take a board out of the lane that somebody took out of the tunnel.

        Whatever covers a barrier on from here is another board, or this one after all: it is looked at anew.
        """
        travel = self._core.travel_mm
        if board.slot < 0:
            self._admit(board, Edge(False, now_ns, travel, math.inf), travel)
            self._inlet.release()
        if board.leaving:
            self._outlet.release()
        self.memory.booked_out_mm = travel
        return self._lost(board, reason)

    def confirm_empty(self, now_ns: int, reason: str) -> Iterator[Lost]:
        """Somebody looked into the tunnel and nothing is in it: every board is booked out, every doubt is over."""
        for board in self.boards.copy():
            yield self.book_out(board, now_ns, reason)
        self._inlet.release()
        self._outlet.release()
        self.memory.doubt = None
        self.memory.outage_s = self.memory.outage_mm = 0.0

    @property
    def _through_mm(self) -> float:
        """Belt travel from the inlet until a board is out for sure."""
        return self._lane.outlet_mm - self._lane.inlet_mm + self._settings.lost_mm

    def _happenings(
        self, now_ns: int, inlet: bool | None, outlet: bool | None, blocked: bool, unseen_mm: float
    ) -> Iterator[Happening]:
        memory, travel = self.memory, self._core.travel_mm
        if memory.last_ns:
            self._notice_outage(now_ns, travel, unseen_mm)
        else:
            memory.last_ns, memory.last_mm = now_ns, travel
        if inlet is not None:
            yield from self._at_inlet(inlet, now_ns, travel, unseen_mm)
        if outlet is not None:
            yield from self._at_outlet(outlet, now_ns, travel, unseen_mm)
            yield from self._touching(now_ns)
        self._hold(blocked)
        yield from self._overdue()

    def _unseen_mm(self, now_ns: int) -> float:
        """How much farther than its odometer says the belt can have moved since the last look.

        It may have stopped or started at any moment; under boards it may have run as fast as ever, though it stands.
        """
        memory = self.memory
        if memory.is_endless:
            return math.inf
        gap_ns = now_ns - memory.last_ns if memory.last_ns else 0
        mm_s = max(memory.last_mm_s, self._core.lane_state()[2])
        if gap_ns > 1.5 * self._period_ns and (self.boards or memory.inlet.covered or memory.inlet.changed):
            mm_s = max(mm_s, memory.ran_mm_s or math.inf)
        return max(0.0, mm_s * gap_ns / 1e9 - (self._core.travel_mm - memory.last_mm))

    def _doubt_silence(self, now_ns: int, unseen_mm: float) -> None:
        """Doubt what is inside when a board could have entered while nobody looked at the inlet."""
        seen, travel = self.memory.inlet, self._core.travel_mm
        silent_s = (now_ns - seen.last_ns) / 1e9 if seen.last_ns else 0.0
        moved_mm = travel - seen.last_mm + unseen_mm if seen.last_ns else 0.0
        if silent_s > STOOD_S or moved_mm >= self._settings.min_board_mm:
            before_mm = self.memory.far_mm if math.isfinite(self.memory.far_mm) else travel
            self.memory.open_mm, self.memory.far_mm = travel, max(before_mm, travel + unseen_mm)
            how_long = "an unknown time" if self.memory.is_endless else f"{silent_s:.1f} s"
            self.doubt(f"nobody looked at the inlet for {how_long}, in which a board could have entered")

    def shift(self, shift_ns: int) -> None:
        """Move all remembered times, after a restart of the computer."""
        self._inlet.shift(shift_ns)
        self._outlet.shift(shift_ns)
        self.memory.last_ns += shift_ns
        for board in self.boards:
            board.entry = msgspec.structs.replace(board.entry, time_ns=board.entry.time_ns + shift_ns)
            if board.leaving:
                board.leaving = msgspec.structs.replace(board.leaving, time_ns=board.leaving.time_ns + shift_ns)

    def _notice_outage(self, now_ns: int, travel: float, unseen_mm: float) -> None:
        """Doubt who is who when the belt moved a board's length while nobody looked, or may have."""
        memory = self.memory
        gap_ns, gap_mm = now_ns - memory.last_ns, travel - memory.last_mm
        speed = self._core.lane_state()[2]
        is_open = gap_mm + unseen_mm >= self._settings.min_board_mm or gap_ns > STOOD_S * 1e9
        memory.last_ns, memory.last_mm, memory.last_mm_s = now_ns, travel, speed if speed > 0 else 0.0
        memory.ran_mm_s, memory.is_endless = max(memory.last_mm_s, memory.ran_mm_s), False
        if not self.boards:
            memory.outage_s = memory.outage_mm = 0.0
        elif gap_ns > 1.5 * self._period_ns and gap_mm > memory.outage_mm:
            memory.outage_s, memory.outage_mm = gap_ns / 1e9, gap_mm
        for board in self.boards:
            board.uncertain |= is_open
            board.adrift |= unseen_mm >= self._settings.min_gap_mm

    def _hidden_mm(self, seen: BarrierMemory, now_ns: int, travel: float, unseen_mm: float) -> float:
        """How far what covers a barrier can have moved while nobody looked at that; 0 where that hides no gap."""
        reach_mm = min(travel - seen.last_mm + unseen_mm, self._settings.max_board_mm)
        is_outage = seen.last_ns and (now_ns - seen.last_ns > 1.5 * self._period_ns or math.isinf(unseen_mm))
        return reach_mm if is_outage and reach_mm >= self._settings.min_gap_mm else 0.0

    def _doubt_entering(self, since: Edge, travel: float, unseen_mm: float) -> None:
        """Doubt what covers the inlet, or did, when its end and the board behind it can have been hidden."""
        if travel + unseen_mm - since.travel_mm < self._settings.min_board_mm + self._settings.min_gap_mm:
            return
        self.memory.hidden_mm = travel
        self.doubt("one board could have followed another at the inlet while nobody looked")
        for board in self.boards:
            if board.slot < 0:
                board.uncertain, board.length_known = True, False

    def _doubt_leaving(self) -> None:
        """Doubt who covers the outlet, and who is next, when the end of the first can have been hidden."""
        out = [place for place, board in enumerate(self.boards) if self._may_be_out(board)]
        for board in self.boards[: out[-1] + 2 if out else 0]:
            board.uncertain = True

    def _may_be_out(self, board: Board) -> bool:
        """Whether a board's trailing edge can have left the outlet by now, as nearly as its place is known."""
        length = board.length_mm if board.length_mm is not None and board.length_known else 0.0
        return board.slot >= 0 and self.place(board) - length >= self._lane.outlet_mm - self._settings.match_mm

    def _at_inlet(self, level: bool, now_ns: int, travel: float, unseen_mm: float) -> Iterator[Happening]:
        seen = self.memory.inlet
        was_unknown, pending = seen.covered is None, seen.changed
        entering = next((board for board in self.boards if board.slot < 0), None)
        since = entering.entry if entering else pending
        if since and since.covered and (hidden_mm := self._hidden_mm(seen, now_ns, travel, unseen_mm)):
            if level or not entering:
                self._doubt_entering(since, travel, unseen_mm)
            self._inlet.blur(hidden_mm)
            if entering:
                entering.entry = entering.entry.blurred(hidden_mm)
        edge = self._inlet.update(level, now_ns, travel, unseen_mm)
        if was_unknown and seen.covered:
            yield Unexpected(now_ns, self._lane.inlet_mm, "it covered the inlet when watching began")
        if entering and self._is_no_gap(pending, seen):
            self._doubt_entering(entering.entry, travel, unseen_mm)
        if edge and edge.covered:
            if not self.boards:
                self.memory.ran_mm_s = self.memory.last_mm_s
            board = Board(number=self.memory.count, entry=edge)
            is_seen = edge.travel_mm >= self.memory.hidden_mm
            board.uncertain = edge.blur_mm >= self._settings.min_board_mm or not is_seen
            board.length_known = is_seen
            self.memory.count += 1
            self.boards.append(board)
            yield Entered(board)
        elif entering and edge:
            self._admit(entering, edge, travel)
        elif entering and travel - entering.entry.travel_mm > self._settings.max_board_mm:
            self._admit(entering, Edge(False, now_ns, travel, math.inf), travel)
            entering.uncertain = True
            yield Unexpected(now_ns, self._lane.inlet_mm,
                             f"something longer than {self._settings.max_board_mm:.0f} mm covers the inlet: "
                             "boards without a gap between them, or a jam")

    def _is_no_gap(self, pending: Edge | None, seen: BarrierMemory) -> bool:
        """Whether a gap turned out to be none, of which an outage may have hidden the most."""
        return bool(pending and not pending.covered and not seen.changed and seen.covered
                    and pending.blur_mm >= self._settings.min_gap_mm)  # fmt: skip

    def _admit(self, board: Board, end: Edge, travel: float) -> None:
        """Its length is known: hand it to the core, with everything that it has seen since its entry."""
        entry = board.entry
        board.length_mm = max(end.travel_mm - entry.travel_mm, self._settings.min_board_mm)
        usual = 3 * max(1.0, self._settings.min_gap_mm)
        board.length_known = board.length_known and entry.blur_mm <= usual and end.blur_mm <= usual
        times, values, quality = self._ring.since(entry.time_ns)
        is_whole = bool(times) and times[0] - entry.time_ns < 1.5 * self._period_ns
        board.slot = self._core.enter(times[0] if is_whole else entry.time_ns, board.length_mm, times, values, quality)
        self._core.move(board.slot, self._lane.inlet_mm + travel - entry.travel_mm)

    def _at_outlet(self, level: bool, now_ns: int, travel: float, unseen_mm: float) -> Iterator[Happening]:
        seen = self.memory.outlet
        was_unknown, pending = seen.covered is None, seen.changed
        hidden_mm = self._hidden_mm(seen, now_ns, travel, unseen_mm)
        if hidden_mm and ((level and seen.covered) or pending):
            self._doubt_leaving()
            self._outlet.blur(hidden_mm)
        edge = self._outlet.update(level, now_ns, travel, unseen_mm)
        if self._is_no_gap(pending, seen):
            self._doubt_leaving()
        if was_unknown and seen.covered:
            yield Unexpected(now_ns, self._lane.outlet_mm, "it covered the outlet when watching began")
        if edge is None:
            return
        if not edge.covered:
            yield from self._gone(edge, travel)
            return
        yield from self._arrived(edge, travel)

    def _gone(self, edge: Edge, travel: float) -> Iterator[Happening]:
        """The outlet is free: the leaving board is out, and with it the next one if that, too, is due to be out by now.

        That happens when an outage hid the gap between them; when exactly the first was out is then not known.
        """
        if (leaving := next((board for board in self.boards if board.leaving), None)) is None:
            return
        behind = next((b for b in self.boards if b.number > leaving.number and b.slot >= 0), None)
        first, late = (max(0.0, abs(self._past_mm(board) - travel + edge.travel_mm) - edge.blur_mm / 2)
                       if board else math.inf for board in (leaving, behind))  # fmt: skip
        yield self._left(leaving, edge.time_ns)
        if behind and leaving.uncertain and behind.uncertain and late <= min(first, self._settings.match_mm):
            behind.offset_mm = self._past_mm(behind) - travel + edge.travel_mm
            yield self._left(behind, edge.time_ns)

    def _past_mm(self, board: Board) -> float:
        """How far its trailing edge is past the outlet."""
        return self.place(board) - (board.length_mm or 0.0) - self._lane.outlet_mm

    def _arrived(self, edge: Edge, travel: float) -> Iterator[Happening]:
        """Find whose leading edge reached the outlet: the one nearest to its expected place; those before it are lost.

        A board can be late, because it slips on the belt, but hardly early; it is expected as late as the last one was.
        Where an outage hid its entry, it may be anywhere in the travel of that. What comes half a board's length before
        its time may be one that nobody saw enter, where there can be such.
        """
        since = travel - edge.travel_mm
        least = self._settings.min_board_mm
        offsets = [(self.place(board) - since - self._lane.outlet_mm, board, board.entry.hidden_mm(least))
                   for board in self.boards if board.slot >= 0 and not board.leaving]  # fmt: skip
        early, late = self._settings.match_mm + edge.blur_mm, self._settings.lost_mm + edge.blur_mm
        near = [(at, it) for at, it, hidden in offsets if -early - hidden <= at <= late + hidden]
        if not near:
            reason = "it came out and nobody saw it enter"
            if self.memory.outage_mm:
                reason += f"; an interruption of {self.memory.outage_s:.1f} s could have hidden its entry"
            if travel - self.memory.booked_out_mm <= self._through_mm:
                reason += "; a board was booked out by hand before and may be this one"
            yield Unexpected(edge.time_ns, self._lane.outlet_mm, reason)
            return
        offset, board = min(near, key=lambda pair: abs(pair[0] - self.memory.late_mm))
        for _, earlier in near:
            if earlier.number < board.number:
                yield self._lost(earlier, "the board behind it came out in its place")
        expected_mm = self.memory.late_mm
        if not (board.uncertain or board.adrift):
            self.memory.late_mm = max(0.0, offset)
        board.uncertain |= abs(offset) > early or any(abs(at) <= early + it.entry.hidden_mm(least)
                                                      for at, it in near if it is not board)  # fmt: skip
        board.uncertain |= self.memory.doubt is not None and offset + edge.blur_mm < expected_mm - least / 2
        board.leaving, board.offset_mm = edge, offset
        self._core.move(board.slot, self._lane.outlet_mm + since)

    def _touching(self, now_ns: int) -> Iterator[Happening]:
        """Boards that queued come out without a gap: when the first is through and the next is there, it is leaving."""
        first = next((board for board in self.boards if board.leaving and board.queued), None)
        if first is None or not self.memory.outlet.covered or self.memory.outlet.changed or first.length_mm is None:
            return
        rear = self.place(first) - first.length_mm
        behind = next((b for b in self.boards if b.number > first.number and b.slot >= 0), None)
        slack = 2 * self._settings.min_gap_mm
        if behind is None or rear < self._lane.outlet_mm + slack or rear - self.place(behind) > slack:
            return
        offset = self.place(behind) - self._lane.outlet_mm
        yield self._left(first, now_ns)
        behind.leaving = Edge(True, now_ns, self._core.travel_mm, 0.0)
        behind.offset_mm, behind.queued = offset, True

    def _hold(self, blocked: bool) -> None:
        for board in self.boards:
            held = blocked and board.leaving is not None
            if board.slot >= 0 and held != board.held:
                board.held = held
                board.queued |= held
                self._core.hold(board.slot, held)

    def _overdue(self) -> Iterator[Happening]:
        limit = self._lane.outlet_mm + self._settings.lost_mm
        for board in [b for b in self.boards if b.slot >= 0 and not b.held]:
            if board.leaving:
                if self.place(board) - (board.length_mm or 0.0) > limit:
                    yield self._lost(board, "it reached the outlet, and something covers the outlet since")
                continue
            if self.place(board) <= limit:
                continue
            reason = f"it was expected at the outlet {self._settings.lost_mm:.0f} mm of belt ago and was not seen there"
            if self.memory.outage_mm:
                reason += f"; an interruption of {self.memory.outage_s:.1f} s could have hidden its exit"
            yield self._lost(board, reason)

    def _left(self, board: Board, time_ns: int) -> Left:
        self.boards.remove(board)
        return Left(board, time_ns)

    def _lost(self, board: Board, reason: str) -> Lost:
        self.boards.remove(board)
        return Lost(board, reason)
