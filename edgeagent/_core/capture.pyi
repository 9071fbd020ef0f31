from array import array
from collections.abc import Sequence
from typing import NamedTuple, final

Zone = tuple[float, float, bool, tuple[int, ...]]
Thermal = tuple[float, float, float, float, float, float]
Statistics = tuple[int, float, float, float]
CentredStatistics = tuple[int, float, float, float, float]

class ZoneFigures(NamedTuple):
    entered_ns: int
    seconds: float
    rows: int
    longest_gap_s: float
    columns: tuple[CentredStatistics, ...]

class BoardFigures(NamedTuple):
    entered_ns: int
    last_ns: int
    place_mm: float
    length_mm: float
    expected: int
    good: int
    longest_gap_s: float
    estimate: float
    stay: tuple[Statistics, ...]
    zones: tuple[ZoneFigures, ...]

@final
class Capture:
    def __init__(
        self,
        values: array[float] | memoryview,
        quality: bytearray | memoryview,
        *,
        speed: int,
        millimetres_per_second: float,
        period_ns: int,
        inlet_mm: float,
        zones: Sequence[Zone],
        stay: Sequence[int],
        thermal: Thermal,
        slots: int = 64,
        trace_points: int = 4096,
    ) -> None: ...
    @property
    def travel_mm(self) -> float: ...
    def set_travel(self, mm: float, t_ns: int, speed_mm_s: float) -> None: ...
    def lane_state(self) -> tuple[float, int, float]: ...
    def feed(self, t_ns: int) -> int: ...
    def feed_rows(self, times: array[int], values: array[float], quality: bytearray) -> int: ...
    def enter(
        self, t_ns: int, length_mm: float, times: array[int], values: array[float], quality: bytearray
    ) -> int: ...
    def slots(self) -> tuple[int, ...]: ...
    def place(self, slot: int) -> float: ...
    def move(self, slot: int, mm: float) -> None: ...
    def hold(self, slot: int, held: bool) -> None: ...
    def figures(self, slot: int) -> BoardFigures: ...
    def leave(self, slot: int) -> BoardFigures: ...
    def trace(self, slot: int) -> tuple[array[int], array[float]]: ...
    def stride(self, slot: int) -> int: ...
    def dump(self, slot: int) -> bytes: ...
    def load(
        self, state: bytes, trace_times: array[int], trace_values: array[float], *, shift_ns: int = 0
    ) -> int: ...
