# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The last rows of a machine; not Python because a quarter of an hour of rows as objects is 30 times the memory."""

from array import array

from cpython cimport array as arrays
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cython cimport final
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cdef arrays.array DOUBLES = array("d")
cdef arrays.array TIMES = array("q")


@final
cdef class Ring:
    """The last `capacity` rows, one writer, times never going back; for the event loop's thread only.

    Args:
        values, quality, times: float64[points], uint8[points] and int64[groups] of the current row, copied by `push`.

    Raises:
        ValueError: capacity below 1, or values and quality differ in length.
    """

    cdef double[::1] _values
    cdef uint8_t[::1] _quality
    cdef int64_t[::1] _times
    cdef int64_t *_rows_ns
    cdef double *_rows_values
    cdef uint8_t *_rows_quality
    cdef int64_t *_rows_times
    cdef Py_ssize_t _first, _count, _points, _groups
    cdef readonly Py_ssize_t capacity

    def __cinit__(self, Py_ssize_t capacity, double[::1] values not None, uint8_t[::1] quality not None,
                  int64_t[::1] times not None):
        if capacity < 1:
            raise ValueError(f"a ring of {capacity} rows cannot be; give 1 or more")
        if values.shape[0] != quality.shape[0]:
            raise ValueError(f"row of {values.shape[0]} values has {quality.shape[0]} qualities; each point has one")
        self.capacity = capacity
        self._values, self._quality, self._times = values, quality, times
        self._points, self._groups = values.shape[0], times.shape[0]
        self._rows_ns = <int64_t *>calloc(capacity, sizeof(int64_t))
        self._rows_values = <double *>calloc(capacity * max(1, self._points), sizeof(double))
        self._rows_quality = <uint8_t *>calloc(capacity * max(1, self._points), 1)
        self._rows_times = <int64_t *>calloc(capacity * max(1, self._groups), sizeof(int64_t))
        if not (self._rows_ns and self._rows_values and self._rows_quality and self._rows_times):
            raise MemoryError

    def __dealloc__(self):
        free(self._rows_ns)
        free(self._rows_values)
        free(self._rows_quality)
        free(self._rows_times)

    def __len__(self):
        return self._count

    cdef inline Py_ssize_t _place(self, Py_ssize_t nth) noexcept:
        """Where the nth oldest row lies."""
        cdef Py_ssize_t place = self._first + nth
        return place - self.capacity if place >= self.capacity else place

    cdef Py_ssize_t _find(self, int64_t t_ns) noexcept:
        """How many rows are older than a time."""
        cdef Py_ssize_t low = 0, high = self._count, middle
        while low < high:
            middle = (low + high) // 2
            if self._rows_ns[self._place(middle)] < t_ns:
                low = middle + 1
            else:
                high = middle
        return low

    cdef void _copy(self, void *target, const void *rows, Py_ssize_t start, Py_ssize_t width) noexcept:
        """Copy all rows from the nth oldest on; the ring may wrap once in between."""
        cdef Py_ssize_t place = self._place(start), count = self._count - start
        cdef Py_ssize_t unwrapped = min(count, self.capacity - place)
        if count * width == 0:
            return
        memcpy(target, <const char *>rows + place * width, unwrapped * width)
        memcpy(<char *>target + unwrapped * width, rows, (count - unwrapped) * width)

    def push(self, int64_t t_ns):
        """Keep a copy of the current row, read at t_ns; ValueError when time goes back."""
        if self._count and t_ns < self._rows_ns[self._place(self._count - 1)]:
            raise ValueError(f"row at {t_ns} ns is older than the last one at "
                             f"{self._rows_ns[self._place(self._count - 1)]} ns; times must not go back")
        cdef Py_ssize_t place = self._place(self._count) if self._count < self.capacity else self._first
        if self._count < self.capacity:
            self._count += 1
        else:
            self._first = self._place(1)
        self._rows_ns[place] = t_ns
        if self._points:
            memcpy(self._rows_values + place * self._points, &self._values[0], self._points * sizeof(double))
            memcpy(self._rows_quality + place * self._points, &self._quality[0], self._points)
        if self._groups:
            memcpy(self._rows_times + place * self._groups, &self._times[0], self._groups * sizeof(int64_t))

    cdef arrays.array _row_times(self, Py_ssize_t start):
        cdef arrays.array out = arrays.clone(TIMES, self._count - start, False)
        self._copy(out.data.as_voidptr, self._rows_ns, start, sizeof(int64_t))
        return out

    def since(self, int64_t t_ns):
        """Rows from a time on, oldest first.

        Returns:
            int64[n] times, float64[n*points] values and uint8[n*points] quality, row after row.
        """
        cdef Py_ssize_t start = self._find(t_ns), size = (self._count - start) * self._points
        cdef arrays.array values = arrays.clone(DOUBLES, size, False)
        quality = PyByteArray_FromStringAndSize(NULL, size)
        self._copy(values.data.as_voidptr, self._rows_values, start, self._points * sizeof(double))
        self._copy(PyByteArray_AS_STRING(quality), self._rows_quality, start, self._points)
        return self._row_times(start), values, quality

    def column(self, Py_ssize_t index, int64_t since_ns):
        """One column from a time on: int64[n] times, float64[n] values, uint8[n] quality; IndexError if there is none."""
        if not 0 <= index < self._points:
            raise IndexError(f"column {index} is outside of a row of {self._points} points")
        cdef Py_ssize_t start = self._find(since_ns), n = self._count - start, i, place
        cdef arrays.array values = arrays.clone(DOUBLES, n, False)
        quality = PyByteArray_FromStringAndSize(NULL, n)
        cdef char *qualities = PyByteArray_AS_STRING(quality)
        for i in range(n):
            place = self._place(start + i) * self._points + index
            values.data.as_doubles[i] = self._rows_values[place]
            qualities[i] = <char>self._rows_quality[place]
        return self._row_times(start), values, quality

    def group_times(self, int64_t since_ns):
        """The groups' own times of the rows from a time on: int64[n*groups], row after row."""
        cdef Py_ssize_t start = self._find(since_ns)
        cdef arrays.array out = arrays.clone(TIMES, (self._count - start) * self._groups, False)
        self._copy(out.data.as_voidptr, self._rows_times, start, self._groups * sizeof(int64_t))
        return out
