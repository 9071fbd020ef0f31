# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Peak, time above liquidus, soak and slopes in one pass; not Python because a trace has thousands of points."""

from collections import namedtuple

from cython cimport final
from libc.math cimport INFINITY, NAN, isfinite
from libc.stdint cimport int64_t

Profile = namedtuple("Profile", "peak peak_ns time_above_liquidus soak max_rise max_fall excursions")


class TraceTooShort(ValueError):
    """Fewer than two points of the trace have a temperature."""


@final
cdef class _Pass:
    """What is known so far of one trace; `measure` feeds it neighbours in order."""

    cdef double liquidus, soak_low, soak_high
    cdef double up, above, soak_from, soak, rise, fall
    cdef bint soaked, hides_peak, hides_slope
    cdef int excursions

    def __cinit__(self, double liquidus, double soak_low, double soak_high, double first):
        self.liquidus, self.soak_low, self.soak_high = liquidus, soak_low, soak_high
        self.up = self.soak_from = self.soak = NAN
        self.rise, self.fall = -INFINITY, INFINITY
        self.excursions = first >= liquidus
        self.above = NAN if first >= liquidus else 0.0

    cdef void join(self, double t0, double a, double t1, double b) noexcept:
        """Two neighbours: slopes, and crossings by linear interpolation."""
        cdef double slope = (b - a) / (t1 - t0)
        self.rise, self.fall = max(self.rise, slope), min(self.fall, slope)
        if a < self.liquidus <= b:
            self.up = t0 + (self.liquidus - a) / slope
            self.excursions += 1
        elif a >= self.liquidus > b:
            self.above += t0 + (self.liquidus - a) / slope - self.up
        if self.soaked:
            return
        if a < self.soak_low <= b:
            self.soak_from = t0 + (self.soak_low - a) / slope
        if a < self.soak_high <= b:
            self.soak = t0 + (self.soak_high - a) / slope - self.soak_from
            self.soaked = True

    cdef void skip(self, double a, double b) noexcept:
        """Two points with a hole between them: what may have happened inside is not known."""
        self.hides_slope = True
        self.hides_peak = self.hides_peak or max(a, b) >= self.soak_high
        if a >= self.liquidus or b >= self.liquidus:
            self.above = NAN
            self.excursions += a < self.liquidus
        if not self.soaked and (a >= self.soak_low or b >= self.soak_low):
            self.soak_from = NAN
            self.soaked = a < self.soak_high <= b


def measure(const int64_t[::1] times_ns not None, const double[::1] temperatures not None, double liquidus,
            double soak_low, double soak_high, double max_gap_s=1.0):
    """Measure what one board felt on its way through the oven.

    Args:
        times_ns: int64[n] ns, strictly rising.
        temperatures: float64[n] °C, NaN where unknown.
        liquidus: melting point of the alloy in °C, 217 for SAC305.
        soak_low, soak_high: °C, the rising band whose time is the soak.
        max_gap_s: neighbours further apart than this have a hole between them, as have those with NaN in between.

    Returns:
        Peak (°C) and the time of its first point (ns), time above liquidus (s, all excursions together, interpolated at
        the crossings), soak (s, last rise through soak_low to first rise through soak_high), steepest rise and fall
        (°C/s between neighbours), and how often the trace rose to liquidus. NaN where it cannot be told: a trace that
        starts or ends above liquidus or never reaches it, a hole at a crossing, above liquidus or inside the soak; the
        peak with a hole above soak_high (its time is -1 then), slopes with any hole.

    Raises:
        TraceTooShort: fewer than two points have a temperature.
        ValueError: lengths differ, times do not rise, or the soak band is empty.

    Source: IPC/JEDEC J-STD-020 (names of the quantities).
    """
    cdef Py_ssize_t n = times_ns.shape[0], i, last = -1, peak = -1, finite = 0
    if temperatures.shape[0] != n:
        raise ValueError(f"trace has {n} times and {temperatures.shape[0]} temperatures; they belong together")
    if not soak_low < soak_high:
        raise ValueError(f"soak from {soak_low} to {soak_high} °C is empty; the low end comes first")
    cdef _Pass seen = None
    cdef double t0, t1
    for i in range(n):
        if i and times_ns[i] <= times_ns[i - 1]:
            raise ValueError(f"trace point {i} at {times_ns[i]} ns is not after {times_ns[i - 1]} ns; times must rise")
        if not isfinite(temperatures[i]):
            continue
        finite += 1
        if last < 0:
            seen = _Pass(liquidus, soak_low, soak_high, temperatures[i])
            peak = i
        else:
            t0, t1 = (times_ns[last] - times_ns[0]) * 1e-9, (times_ns[i] - times_ns[0]) * 1e-9
            if last == i - 1 and t1 - t0 <= max_gap_s + 1e-9:
                seen.join(t0, temperatures[last], t1, temperatures[i])
            else:
                seen.skip(temperatures[last], temperatures[i])
        if temperatures[i] > temperatures[peak]:
            peak = i
        last = i
    if finite < 2:
        raise TraceTooShort(f"trace has {finite} points with a temperature of {n}; two are needed")
    known = seen.excursions > 0 and temperatures[last] < liquidus
    slopes = isfinite(seen.rise) and not seen.hides_slope
    return Profile(NAN if seen.hides_peak else temperatures[peak], -1 if seen.hides_peak else times_ns[peak],
                   seen.above if known else NAN, seen.soak, seen.rise if slopes else NAN, seen.fall if slopes else NAN,
                   seen.excursions)


def window_share(double value, double low, double high):
    """Place of a value in its window: -100 at the low limit, 0 in the middle, 100 at the high limit; NaN for NaN.

    Raises:
        ValueError: the window is empty.
    """
    if not low < high:
        raise ValueError(f"window from {low} to {high} is empty; the low limit comes first")
    return 100.0 * (value - (low + high) / 2) / ((high - low) / 2)
