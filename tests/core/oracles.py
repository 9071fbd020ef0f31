"""What the compiled core must compute, in plain Python: slow, straightforward, and read beside the tests."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

CODES = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f",
         "int64": "q", "uint64": "Q", "float64": "d"}  # fmt: skip
DIGITS = {"bcd16": 4, "bcd32": 8}
HELD_NS = 5_000_000_000


def decoded(data: bytes, described: tuple[Any, ...]) -> float:
    """Value of one field, NaN where it is not good."""
    _, type_, offset, bit, word_order, byte_order, scale, shift, low, high, not_available, _ = described
    if type_ == "bit" and bit == -1:
        raw = number = data[offset // 8] >> offset % 8 & 1
    else:
        words = DIGITS[type_] // 4 if type_ in DIGITS else struct.calcsize(CODES[type_]) // 2 if type_ != "bit" else 1
        parts = [data[i : i + 2] for i in range(offset, offset + 2 * words, 2)]
        if byte_order == "little":
            parts = [part[::-1] for part in parts]
        if word_order == "little":
            parts.reverse()
        packed = b"".join(parts)
        raw = int.from_bytes(packed, "big")
        if type_ == "bit":
            raw = number = raw >> bit & 1
        elif type_ in DIGITS:
            if not packed.hex().isdigit():
                return math.nan
            number = int(packed.hex())
        else:
            (number,) = struct.unpack(">" + CODES[type_], packed)
    if raw in not_available or (type_ in ("int64", "uint64") and abs(number) > 2**53):
        return math.nan
    value = number * scale + shift
    return value if math.isfinite(value) and low <= value <= high else math.nan


def believed(readings: Iterable[tuple[float, float]], max_rate: float, step: float) -> list[bool]:
    """Which of the readings (s, value) are good by their rate of change; a value of NaN was not read."""
    base: tuple[float, float] | None = None
    suspect: tuple[float, float] | None = None
    told = []
    for time, value in readings:
        earlier = [base] if base else []
        earlier += [suspect] if suspect and time > suspect[0] else []
        is_good = not math.isnan(value) and (
            base is None or any(abs(value - other) <= max_rate * (time - at) + step for at, other in earlier)
        )
        if is_good:
            base, suspect = (time, value), None
        elif not math.isnan(value):
            suspect = time, value
        told.append(is_good)
    return told


def crossings(trace: list[tuple[float, float]], level: float) -> tuple[list[float], list[float]]:
    """Times at which a trace without holes rises to a level, and at which it falls below it."""
    up, down = [], []
    for (t0, a), (t1, b) in pairwise(trace):
        moment = t0 + (level - a) / (b - a) * (t1 - t0) if a != b else t0
        if a < level <= b:
            up.append(moment)
        elif a >= level > b:
            down.append(moment)
    return up, down


@dataclass
class Tally:
    count: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    at_centre: float = math.nan

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)

    def figures(self) -> tuple[int, float, float, float]:
        nan = math.nan
        return (self.count, self.total / self.count, self.low, self.high) if self.count else (0, nan, nan, nan)


@dataclass
class Passage:
    tallies: list[Tally]
    entered: int | None = None
    left: int | None = None
    last: int = 0
    longest: int = 0
    rows: int = 0
    centred: bool = False


@dataclass
class Board:
    entered: int
    place: float
    length: float
    celsius: float
    passages: list[Passage]
    stay: list[Tally]
    last: int | None = None
    good_at: int = 0
    speed: float = math.nan
    good: int = 0
    longest: int = 0
    held: bool = False
    standing: bool = False
    trace: list[tuple[int, float]] = field(default_factory=list)


class Oven:
    """One lane: the same answers as `Capture`, fed with whole rows."""

    def __init__(self, *, speed, millimetres_per_second, period_ns, inlet_mm, zones, stay, thermal):
        self.speed, self.unit, self.period, self.inlet = speed, millimetres_per_second, period_ns, inlet_mm
        self.zones, self.stay = zones, stay
        self.heated = [zone for zone in zones if zone[2]]
        self.tau, self.ramp_start, self.ramp_end, self.decay, self.exit, self.ambient = thermal
        self.nodes = [(self.ramp_start, None), (self.ramp_end, 0)]
        self.nodes += [(edge, k) for k, z in enumerate(self.heated) for edge in z[:2] if edge > self.ramp_end]
        self.boards: list[Board] = []
        self.travel, self.good_at, self.belt = 0.0, None, math.nan
        self.air: list[tuple[float, int]] = [(math.nan, -(1 << 63))] * len(self.heated)
        self.air_before = self.air

    def feed(self, t, values, quality):
        if not self._run(t, values, quality):
            for board in self.boards:
                board.last = t
            return
        limit = math.inf
        for board in self.boards:
            self._carry(board, t, values, quality, limit)
            if board.standing:
                limit = board.place - board.length

    def enter(self, t, length):
        """A board at the inlet now: the row of this time is fed to it afterwards, by `first_row`."""
        passages = [Passage([Tally() for _ in columns]) for *_, columns in self.zones]
        board = Board(t, self.inlet, length, self.ambient, passages, [Tally() for _ in self.stay], good_at=t)
        self.boards.append(board)
        return board

    def first_row(self, board, t, values, quality):
        """The row at the entry, already fed to the belt."""
        board.last = t
        if self._is_good(values, quality):
            self._carry(board, t, values, quality, math.inf)

    def _is_good(self, values, quality):
        return quality[self.speed] == 0 and math.isfinite(values[self.speed] * self.unit)

    def _run(self, t, values, quality):
        if not self._is_good(values, quality):
            return False
        v = values[self.speed] * self.unit
        if self.good_at is not None:
            self.travel += (self.belt + v) / 2 * (t - self.good_at) * 1e-9
        self.good_at, self.belt = t, v
        self.air_before, self.air = self.air, []
        for (_, _, _, columns), (old, seen) in zip(self.heated, self.air_before, strict=True):
            good = [values[c] for c in columns if usable(values, quality, c)]
            if good:
                self.air.append((sum(good) / len(good), t))
            else:
                self.air.append((old if t - seen <= HELD_NS else math.nan, seen))
        return True

    def _carry(self, board, t, values, quality, limit):
        board.last = t
        speed = board.speed if board.good else self.belt
        place = board.place
        if not board.held:
            place += (speed + self.belt) / 2 * (t - board.good_at) * 1e-9
            board.standing = place > limit
            if board.standing:
                place = max(board.place, limit)
        m0, m1 = board.place - board.length / 2, place - board.length / 2
        self._warm(board, t, m0, m1)
        for zone, passage in zip(self.zones, board.passages, strict=True):
            if self.inlet - board.length / 2 < zone[1] and m1 >= zone[0] and passage.left is None:
                self._pass(board, zone, passage, t, m0, m1, values, quality)
        for column, tally in zip(self.stay, board.stay, strict=True):
            if usable(values, quality, column):
                tally.add(values[column])
        board.longest = max(board.longest, t - board.good_at)
        board.place, board.good_at, board.speed = place, t, self.belt
        board.good += 1
        board.trace.append((t - board.entered, board.celsius))

    def _pass(self, board, zone, passage, t, m0, m1, values, quality):
        start, end, _, columns = zone
        if passage.entered is None:
            passage.entered = passage.last = crossing(board.good_at, t, m0, m1, start)
        if m1 >= (start + end) / 2 and not passage.centred:
            passage.centred = True
            for column, tally in zip(columns, passage.tallies, strict=True):
                if usable(values, quality, column):
                    tally.at_centre = values[column]
        if m1 >= end:
            passage.left = crossing(board.good_at, t, m0, m1, end)
            passage.longest = max(passage.longest, passage.left - passage.last)
            return
        passage.rows += 1
        passage.longest = max(passage.longest, t - passage.last)
        passage.last = t
        for column, tally in zip(columns, passage.tallies, strict=True):
            if usable(values, quality, column):
                tally.add(values[column])

    def _warm(self, board, t, m0, m1):
        dt = t - board.good_at
        n = math.ceil(dt / 500_000_000)
        before = self._air(board, m0, 0.0)
        for i in range(1, n + 1):
            after = self._air(board, m0 + (m1 - m0) * (i / n), i / n)
            mean = (before + after) / 2
            board.celsius = mean + (board.celsius - mean) * math.exp(-(dt * 1e-9 / n) / self.tau)
            before = after

    def _source(self, board, k, f):
        if k is None:
            return self.ambient
        now, before = (air if seen >= board.entered else math.nan for air, seen in (self.air[k], self.air_before[k]))
        if f >= 1.0 or board.good == 0:
            return now
        return before if f <= 0.0 else before + (now - before) * f

    def _air(self, board, x, f):
        if x < self.nodes[0][0]:
            return self.ambient
        mm, k = self.nodes[-1]
        if x >= mm:
            return self.exit + (self._source(board, k, f) - self.exit) * math.exp(-(x - mm) / self.decay)
        for (a, ka), (b, kb) in pairwise(self.nodes):
            if a <= x < b:
                left = self._source(board, ka, f)
                return left if ka == kb else left + (self._source(board, kb, f) - left) * (x - a) / (b - a)
        raise AssertionError(x)

    def _gap(self, ns):
        return ns * 1e-9 if ns > 1.5 * self.period else 0.0

    def figures(self, board):
        last = board.entered if board.last is None else board.last
        expected = max((last - board.entered + self.period // 2) // self.period + 1, board.good)
        zones = tuple(
            (-1 if p.entered is None else p.entered,
             math.nan if p.left is None else (p.left - p.entered) * 1e-9,
             p.rows, self._gap(p.longest), tuple((*tally.figures(), tally.at_centre) for tally in p.tallies))
            for p in board.passages)  # fmt: skip
        return (board.entered, last, board.place, board.length, expected, board.good,
                self._gap(max(board.longest, last - board.good_at)), board.celsius,
                tuple(tally.figures() for tally in board.stay), zones)  # fmt: skip


def usable(values, quality, column):
    return quality[column] == 0 and math.isfinite(values[column])


def crossing(t0, t1, m0, m1, edge):
    return t0 if m0 >= edge or m1 <= m0 else t0 + math.floor((edge - m0) / (m1 - m0) * (t1 - t0) + 0.5)


class Telling:
    """What is worth telling: the same columns as `Moves`, and as telemetry where the points have texts."""

    def __init__(self, points):
        self.points = points
        self.value = {column: math.nan for column, *_ in points}
        self.quality = {column: -1 for column, *_ in points}
        self.told_ns = {column: 0 for column, *_ in points}
        self.text = {}

    def due(self, values, quality, texts, now_ns):
        told = []
        for column, deadband, silence_s, is_text in self.points:
            if quality[column] == self.quality[column] and now_ns - self.told_ns[column] < silence_s * 1e9:
                if is_text:
                    if texts.get(column) == self.text.get(column):
                        continue
                elif not abs(values[column] - self.value[column]) > deadband:
                    continue
            self.value[column], self.quality[column], self.told_ns[column] = values[column], quality[column], now_ns
            if is_text:
                self.text[column] = texts.get(column)
            told.append(column)
        return told
