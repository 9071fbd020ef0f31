"""One belt with its boards: places in mm from the tunnel's entrance, of the leading edge where not said otherwise."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from firmware_iface.registers import Lane
from firmware_iface.simulated.heaters import STEP_S

GAP_MM = 5.0
"""Least distance between two boards that queue."""

STOPPER_MM = 30.0
"""How far past the outlet barrier a blocked board stands."""

ENTRY_GAP_MM = 40.0
BOUNCE_S = 0.12
BOUNCE_PERIOD_S = 0.03
RIPPLE = 0.002
RIPPLE_PERIOD_S = 7.0
DRIVE_TAU_S = 1.0
ENCODER_SIGMA = 0.03
WIDTH_MM_PER_S = 5.0
"""Pace of the rails."""

MAX_FINISHED = 1000


@dataclass(slots=True)
class Board:
    """A board on the belt, and the truth about it.

    Attributes:
        place_mm: of its leading edge. temperature, peak: °C, at its middle.
        entered_s: oven time at which its leading edge was at the inlet; None before, or when nobody saw it enter.
        left_s: oven time at which it was out.
    """

    number: int
    barcode: str | None
    length_mm: float
    tau_s: float
    place_mm: float
    temperature: float
    peak: float
    entered_s: float | None = None
    left_s: float | None = None
    limit_mm: float = math.inf

    @property
    def rear_mm(self) -> float:
        """Place of its trailing edge."""
        return self.place_mm - self.length_mm

    def place_after(self, travel_mm: float) -> float:
        """Place after some travel of the belt, not beyond what stops it."""
        return min(self.place_mm + travel_mm, max(self.place_mm, self.limit_mm))


Feel = Callable[[Board, float], float]
"""A board that has just moved, and where it was before → its temperature after that time step."""


class Conveyor:
    """A belt that carries boards through a machine.

    Attributes:
        boards: first is nearest to the outlet. finished: the last 1000 that left.
        speed: what the encoder measures, true_speed: what the boards make, cm/min.
        width_mm: of the rails. has_squeezed: they have moved while a board lay between them.
    """

    def __init__(self, lane: Lane, speed: float, width_mm: float = 0.0) -> None:
        self.lane = lane
        self.boards: list[Board] = []
        self.finished: deque[Board] = deque(maxlen=MAX_FINISHED)
        self.speed = speed
        self.true_speed = speed
        self.start_mm = lane.scanner.position_mm if lane.scanner else lane.inlet_mm - 1.0
        self.width_mm = width_mm
        self.has_squeezed = False
        self._drive = speed

    def has_room(self) -> bool:
        """Say whether a board can be laid before the inlet."""
        return all(board.rear_mm >= self.start_mm + ENTRY_GAP_MM for board in self.boards)

    def lay(self, board: Board) -> None:
        """Put a board in its order among the others."""
        self.boards.append(board)
        self.boards.sort(key=lambda other: -other.place_mm)

    def free_place(self, length_mm: float) -> float | None:
        """Place inside the tunnel for a board of this length, near its middle; None when there is none."""
        middle = (self.lane.inlet_mm + self.lane.outlet_mm + length_mm) / 2
        for distance in range(0, int(middle - self.lane.inlet_mm - length_mm), 50):
            place = middle - distance
            rear = place - length_mm
            if all(board.rear_mm > place + GAP_MM or board.place_mm < rear - GAP_MM for board in self.boards):
                return place
        return None

    def drive(self, setpoint: float, slip: float, time_s: float, random: Random) -> None:
        """Let the drive follow its setpoint in cm/min; slip 0.9: boards make 90 % of what the encoder says."""
        self._drive += (setpoint - self._drive) * STEP_S / DRIVE_TAU_S if setpoint else -self._drive
        encoder = self._drive * (1.0 + RIPPLE * math.sin(2 * math.pi * time_s / RIPPLE_PERIOD_S))
        self.true_speed = encoder * slip
        self.speed = max(0.0, random.gauss(encoder, ENCODER_SIGMA)) if encoder > 0.01 else 0.0

    def adjust(self, width_mm: float) -> None:
        """Let the rails follow their setpoint at their own pace."""
        most = WIDTH_MM_PER_S * STEP_S
        move = min(most, max(-most, width_mm - self.width_mm))
        self.width_mm += move
        self.has_squeezed |= move != 0 and bool(self.boards)

    def stop_at(self, is_blocked: bool) -> None:
        """Find how far each board may go: a blocked outlet holds the first that is not past it, the rest queue up."""
        limit = self.lane.outlet_mm + STOPPER_MM if is_blocked else math.inf
        for board in self.boards:
            board.limit_mm = limit if board.place_mm <= limit else math.inf
            limit = min(limit, board.rear_mm - GAP_MM) if is_blocked and board.limit_mm < math.inf else limit

    def carry(self, feel: Feel, time_s: float) -> list[Board]:
        """Move and warm the boards for one time step that begins at `time_s`; the boards that entered."""
        travel = self.true_speed / 6.0 * STEP_S
        entered = []
        for board in self.boards:
            before = board.place_mm
            board.place_mm = board.place_after(travel)
            board.temperature = feel(board, before)
            board.peak = max(board.peak, board.temperature)
            if before < self.lane.inlet_mm <= board.place_mm:
                board.entered_s = time_s + STEP_S * (self.lane.inlet_mm - before) / travel
                entered.append(board)
            if board.rear_mm > self.lane.outlet_mm + STOPPER_MM:
                board.left_s = time_s + STEP_S
        self.finished.extend(board for board in self.boards if board.left_s is not None)
        self.boards = [board for board in self.boards if board.left_s is None]
        return entered

    def covers(self, barrier_mm: float, since_step_s: float, bounces: bool) -> bool:
        """Say whether a board covers a barrier, some seconds after the last time step."""
        speed = self.true_speed / 6.0
        covered = False
        for board in self.boards:
            place = board.place_after(speed * since_step_s)
            if place - board.length_mm < barrier_mm <= place:
                covered = True
            if bounces and speed > 0:
                for edge in (place, place - board.length_mm):
                    since_edge = (edge - barrier_mm) / speed
                    if 0 <= since_edge < BOUNCE_S and int(since_edge / BOUNCE_PERIOD_S) % 2:
                        return edge != place
        return covered
