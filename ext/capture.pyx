# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Every board in the tunnel: its place, its zones, what it felt; not Python because each beat moves all of them."""

import struct
import zlib
from array import array
from collections import namedtuple

from cpython cimport array as arrays
from cython cimport final
from libc.math cimport INFINITY, NAN, exp, isfinite, llround
from libc.stdint cimport INT64_MIN, int64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cdef enum:
    GOOD = 0

cdef int64_t NEVER = INT64_MIN

cdef arrays.array DOUBLES = array("d")
cdef arrays.array TIMES = array("q")

cdef struct Zone:
    double start, end, centre
    int first, columns, heated    # first in lane.columns, how many, index of its air or -1

cdef struct Tally:
    int64_t count
    double total, low, high, at_centre

cdef struct Passage:
    int64_t entered_ns, left_ns, last_ns, longest_ns, rows, centred    # last_ns is NEVER while outside of the zone

cdef struct Board:
    int64_t entered_ns, last_ns, good_ns, longest_ns, good, stride, points, zone, segment, held, standing, used
    double place, length, speed, celsius

cdef struct Node:
    double mm
    int air

cdef struct Belt:
    int64_t last_ns, good_ns, decay_ns
    double travel, speed, decay
    double *air             # of the last good row, per heated zone and at last the room's
    double *air_before      # of the good row before
    int64_t *seen
    int64_t *seen_before

cdef struct Lane:
    int speed, zones_n, columns_n, stay_n, tallies_n, heated_n, last_node, trace_points
    int64_t period_ns
    double unit, inlet, tau, decay_mm, exit, ambient
    Zone *zones
    int *columns            # of the zones, then of the stay
    Node *nodes

cdef struct Seat:
    Board board
    Passage *passages       # per zone
    Tally *tallies          # of the stay, then of the zones' columns
    int64_t *trace_ns
    double *trace


cdef inline bint usable(const double *values, const uint8_t *quality, int column) noexcept nogil:
    return quality[column] == GOOD and isfinite(values[column])


include "capture_air.pxi"
include "capture_board.pxi"
include "capture_state.pxi"


@final
cdef class Capture:
    """All boards of one lane, moved by the measured belt speed; for the event loop's thread only.

    Args:
        values, quality: float64[points] and uint8[points] of the current row.
        speed: column of the belt speed; `millimetres_per_second` is what one of its units is.
        period_ns: time between two beats. inlet_mm: place of the inlet barrier.
        zones: (start_mm, end_mm, heated, columns) in order along the tunnel.
        stay: columns averaged from entry to exit.
        thermal: tau_s, ramp_start_mm, ramp_end_mm, decay_mm, exit_celsius, ambient_celsius of the nominal model.
        slots: most boards at a time. trace_points: most points of a board's trace.

    Raises:
        ValueError: a column outside of the row, zones out of order, or a model that cannot be.
    """

    cdef double[::1] _values
    cdef uint8_t[::1] _quality
    cdef int _points, _slots, _boards
    cdef bint _fed
    cdef Lane _lane
    cdef Seat *_seats
    cdef int *_order
    cdef double *_air
    cdef int64_t *_seen
    cdef Belt _belt, _past

    def __cinit__(self, double[::1] values not None, uint8_t[::1] quality not None, *, int speed,
                  double millimetres_per_second, int64_t period_ns, double inlet_mm, zones, stay, thermal,
                  int slots=64, int trace_points=4096):
        zones, stay = [tuple(zone) for zone in zones], tuple(stay)
        columns = [column for zone in zones for column in zone[3]] + list(stay)
        if values.shape[0] != quality.shape[0]:
            raise ValueError(f"row of {values.shape[0]} values has {quality.shape[0]} qualities; each point has one")
        for column in [speed, *columns]:
            if not 0 <= column < values.shape[0]:
                raise ValueError(f"column {column} is outside of a row of {values.shape[0]} points")
        if period_ns < 1 or slots < 1 or trace_points < 2:
            raise ValueError(f"period {period_ns} ns, {slots} slots, {trace_points} trace points: "
                             "at least 1 ns, 1 slot and 2 points are needed")
        self._values, self._quality, self._points, self._slots = values, quality, values.shape[0], slots
        self._lane.speed, self._lane.unit, self._lane.inlet = speed, millimetres_per_second, inlet_mm
        self._lane.period_ns, self._lane.trace_points = period_ns, trace_points
        self._lane.zones_n, self._lane.stay_n, self._lane.tallies_n = len(zones), len(stay), len(columns)
        self._lane.heated_n = sum([1 for zone in zones if zone[2]])
        self._allocate()
        for i, column in enumerate(columns):
            self._lane.columns[i] = column
        lay_zones(&self._lane, zones)
        lay_air(&self._lane, zones, tuple(thermal))
        forget(&self._lane, &self._belt)

    cdef int _allocate(self) except -1:
        cdef int airs = self._lane.heated_n + 1
        self._lane.zones = <Zone *>calloc(self._lane.zones_n + 1, sizeof(Zone))
        self._lane.columns = <int *>calloc(self._lane.tallies_n + 1, sizeof(int))
        self._lane.nodes = <Node *>calloc(2 * airs, sizeof(Node))
        self._seats = <Seat *>calloc(self._slots, sizeof(Seat))
        self._order = <int *>calloc(self._slots, sizeof(int))
        self._air = <double *>calloc(4 * airs, sizeof(double))
        self._seen = <int64_t *>calloc(4 * airs, sizeof(int64_t))
        if not (self._lane.zones and self._lane.columns and self._lane.nodes and self._seats and self._order
                and self._air and self._seen):
            raise MemoryError
        self._belt.air, self._belt.air_before = self._air, self._air + airs
        self._belt.seen, self._belt.seen_before = self._seen, self._seen + airs
        self._past.air, self._past.air_before = self._air + 2 * airs, self._air + 3 * airs
        self._past.seen, self._past.seen_before = self._seen + 2 * airs, self._seen + 3 * airs

    def __dealloc__(self):
        for slot in range(self._slots if self._seats else 0):
            vacate(&self._seats[slot])
        free(self._lane.zones)
        free(self._lane.columns)
        free(self._lane.nodes)
        free(self._seats)
        free(self._order)
        free(self._air)
        free(self._seen)

    cdef void _beat(self, int64_t t, const double *values, const uint8_t *quality) noexcept:
        cdef bint good = run(&self._lane, &self._belt, t, values, quality)
        cdef double limit = INFINITY
        cdef Seat *seat
        cdef int i
        self._fed = True
        for i in range(self._boards):
            seat = &self._seats[self._order[i]]
            step(&self._lane, seat, &self._belt, t, good, limit, values, quality)
            limit = way_left(&seat.board, limit)

    cdef bint _is_new(self, int64_t t_ns) except -1:
        if t_ns < self._belt.last_ns or t_ns < self._belt.good_ns:
            raise ValueError(f"row at {t_ns} ns is older than the last one at "
                             f"{max(self._belt.last_ns, self._belt.good_ns)} ns; times must not go back")
        return t_ns > self._belt.last_ns

    def feed(self, int64_t t_ns):
        """One beat of the current row: move belt and boards, count, estimate; a row of the same time counts once.

        Returns:
            How many boards are inside.

        Raises:
            ValueError: the time goes back.
        """
        if self._is_new(t_ns):
            self._beat(t_ns, &self._values[0], &self._quality[0])
        return self._boards

    cdef Py_ssize_t _rows(self, Py_ssize_t times, Py_ssize_t values, Py_ssize_t quality) except -1:
        if values != times * self._points or quality != times * self._points:
            raise ValueError(f"{times} rows of {self._points} points came with {values} values and {quality} qualities")
        return times

    def feed_rows(self, const int64_t[::1] times not None, const double[::1] values not None,
                  const uint8_t[::1] quality not None):
        """Feed many rows (int64[n], float64[n*points], uint8[n*points]) through the current row, as `feed` does."""
        cdef Py_ssize_t n = self._rows(times.shape[0], values.shape[0], quality.shape[0]), i
        for i in range(n):
            memcpy(&self._values[0], &values[i * self._points], self._points * sizeof(double))
            memcpy(&self._quality[0], &quality[i * self._points], self._points)
            if self._is_new(times[i]):
                self._beat(times[i], &self._values[0], &self._quality[0])
        return self._boards

    cdef int _free_slot(self) except -1:
        cdef int slot
        for slot in range(self._slots):
            if not self._seats[slot].board.used:
                seat_for(&self._lane, &self._seats[slot])
                return slot
        raise ValueError(f"all {self._slots} slots are taken; a board must leave before another can enter")

    def enter(self, int64_t t_ns, double length_mm, const int64_t[::1] times not None,
              const double[::1] values not None, const uint8_t[::1] quality not None):
        """Take in a board whose leading edge was at the inlet at t_ns; the rows since then happen to it at once.

        Args:
            times, values, quality: int64[n], float64[n*points], uint8[n*points]; rows before t_ns are left out.

        Returns:
            Its slot, until it leaves.

        Raises:
            ValueError: no free slot, a length that cannot be, or rows of another shape.
        """
        cdef Py_ssize_t n = self._rows(times.shape[0], values.shape[0], quality.shape[0]), i
        if not 0 <= length_mm < INFINITY:
            raise ValueError(f"a board of {length_mm} mm cannot be; its length is 0 or more")
        cdef int slot = self._free_slot()
        cdef double limit = INFINITY
        cdef const double *row
        cdef const uint8_t *row_quality
        cdef bint good
        for i in range(self._boards):
            limit = way_left(&self._seats[self._order[i]].board, limit)
        admit(&self._lane, &self._seats[slot], t_ns, length_mm)
        forget(&self._lane, &self._past)
        for i in range(n):
            if times[i] >= t_ns and times[i] > self._past.last_ns:
                row, row_quality = &values[i * self._points], &quality[i * self._points]
                good = run(&self._lane, &self._past, times[i], row, row_quality)
                step(&self._lane, &self._seats[slot], &self._past, times[i], good, limit, row, row_quality)
        self._order[self._boards] = slot
        self._boards += 1
        return slot

    cdef Seat *_of(self, int slot) except NULL:
        if not (0 <= slot < self._slots and self._seats[slot].board.used):
            raise ValueError(f"slot {slot} holds no board; taken are {self.slots()}")
        return &self._seats[slot]

    @property
    def travel_mm(self):
        """Belt travel over all good rows, in mm."""
        return self._belt.travel

    def set_travel(self, double mm, int64_t t_ns, double speed_mm_s):
        """Go on from a kept odometer, last good time and speed; with a speed of NaN nothing is bridged."""
        self._belt.travel, self._belt.speed = mm, speed_mm_s
        self._belt.good_ns = t_ns if isfinite(speed_mm_s) else NEVER

    def lane_state(self):
        """Travel in mm, time of the last good row in ns (-1 before the first) and its speed in mm/s (NaN)."""
        return self._belt.travel, told(self._belt.good_ns), self._belt.speed

    def slots(self):
        """Slots of the boards inside, in order of entry."""
        return tuple([self._order[i] for i in range(self._boards)])

    def place(self, int slot):
        """Leading edge of a board, mm from the tunnel's entrance."""
        return self._of(slot).board.place

    def stride(self, int slot):
        """How many good rows lie between two points of a board's trace."""
        return self._of(slot).board.stride

    def hold(self, int slot, bint held):
        """A held board stands while the belt moves, and boards behind it stop at its rear edge."""
        cdef Board *board = &self._of(slot).board
        board.held = board.standing = held

    def move(self, int slot, double mm):
        """Correct a board's leading edge; what was counted stays, and a zone it is no longer in is left."""
        cdef Seat *seat = self._of(slot)
        if not isfinite(mm):
            raise ValueError(f"a board cannot be at {mm} mm")
        displace(&self._lane, seat, mm)

    def figures(self, int slot):
        """Everything counted of a board so far, as `BoardFigures`; NaN and -1 where there is nothing yet."""
        return board_figures(&self._lane, self._of(slot))

    def leave(self, int slot):
        """Figures of a board whose slot is free from now on."""
        figures = self.figures(slot)
        cdef int i, kept = 0
        for i in range(self._boards):
            if self._order[i] != slot:
                self._order[kept] = self._order[i]
                kept += 1
        self._boards = kept
        self._seats[slot].board.used = 0
        return figures

    def trace(self, int slot):
        """Estimated temperature: int64[n] ns since entry and float64[n] °C, thinned to cover the whole stay."""
        cdef Seat *seat = self._of(slot)
        cdef Py_ssize_t n = seat.board.points
        cdef arrays.array times = arrays.clone(TIMES, n, False), celsius = arrays.clone(DOUBLES, n, False)
        if n:
            memcpy(times.data.as_voidptr, seat.trace_ns, n * sizeof(int64_t))
            memcpy(celsius.data.as_voidptr, seat.trace, n * sizeof(double))
        return times, celsius

    def dump(self, int slot):
        """Everything of a board but its trace, as bytes for `load` on the same kind of computer."""
        return packed(&self._lane, self._of(slot), &self._belt)

    def load(self, bytes state not None, const int64_t[::1] trace_times not None,
             const double[::1] trace_values not None, *, int64_t shift_ns=0):
        """Take back a dumped board behind those inside; all its times are moved by shift_ns.

        Before the first `feed` the air of its last row is taken back too, so that the gap is bridged from there.

        Returns:
            Its slot.

        Raises:
            ValueError: the bytes are damaged or of another layout, the trace does not fit, or no slot is free.
        """
        cdef Py_ssize_t n = trace_times.shape[0]
        body = checked(&self._lane, state)
        if trace_values.shape[0] != n or n > self._lane.trace_points:
            raise ValueError(f"trace of {n} times and {trace_values.shape[0]} values; "
                             f"as many of each, and at most {self._lane.trace_points}, are needed")
        cdef int slot = self._free_slot()
        cdef Seat *seat = &self._seats[slot]
        unpack(&self._lane, seat, NULL if self._fed else &self._belt, body, shift_ns)
        if n:
            memcpy(seat.trace_ns, &trace_times[0], n * sizeof(int64_t))
            memcpy(seat.trace, &trace_values[0], n * sizeof(double))
        seat.board.points = n
        self._order[self._boards] = slot
        self._boards += 1
        return slot
