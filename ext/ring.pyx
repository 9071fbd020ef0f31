# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The last rows of a machine; not Python because a quarter of an hour of rows as objects is 30 times the memory."""

from array import array

from cpython cimport array as arrays
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cython cimport final
from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef enum:
    BAD = 3

cdef arrays.array DOUBLES = array("d")
cdef arrays.array TIMES = array("q")


@final
cdef class Ring:
    """Some columns of the last `capacity` rows, one writer, times never going back; for the event loop's thread only.

    Args:
        values, quality: float64[points] and uint8[points] of the current row, copied by `push`.
        columns: which of the points are kept.

    Raises:
        ValueError: capacity below 1, or values and quality differ in length. IndexError: there is no such column.
    """

    cdef double[::1] _values
    cdef uint8_t[::1] _quality
    cdef Py_ssize_t *_columns
    cdef int64_t *_rows_ns
    cdef double *_rows_values
    cdef uint8_t *_rows_quality
    cdef Py_ssize_t _first, _count, _points, _width
    cdef readonly Py_ssize_t capacity

    def __cinit__(self, Py_ssize_t capacity, double[::1] values not None, uint8_t[::1] quality not None, columns):
        if capacity < 1:
            raise ValueError(f"a ring of {capacity} rows cannot be; give 1 or more")
        if values.shape[0] != quality.shape[0]:
            raise ValueError(f"row of {values.shape[0]} values has {quality.shape[0]} qualities; each point has one")
        kept = sorted(set(columns))
        self.capacity = capacity
        self._values, self._quality = values, quality
        self._points, self._width = values.shape[0], len(kept)
        self._columns = <Py_ssize_t *>calloc(max(1, self._width), sizeof(Py_ssize_t))
        self._rows_ns = <int64_t *>calloc(capacity, sizeof(int64_t))
        self._rows_values = <double *>calloc(capacity * max(1, self._width), sizeof(double))
        self._rows_quality = <uint8_t *>calloc(capacity * max(1, self._width), 1)
        if not (self._columns and self._rows_ns and self._rows_values and self._rows_quality):
            raise MemoryError
        for nth, column in enumerate(kept):
            if not 0 <= column < self._points:
                raise IndexError(f"column {column} is outside of a row of {self._points} points")
            self._columns[nth] = column

    def __dealloc__(self):
        free(self._columns)
        free(self._rows_ns)
        free(self._rows_values)
        free(self._rows_quality)

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
        cdef double *values = self._rows_values + place * self._width
        cdef uint8_t *quality = self._rows_quality + place * self._width
        cdef Py_ssize_t i
        for i in range(self._width):
            values[i], quality[i] = self._values[self._columns[i]], self._quality[self._columns[i]]

    def since(self, int64_t t_ns):
        """Rows from a time on, oldest first.

        Returns:
            int64[n] times, float64[n*points] values and uint8[n*points] quality, row after row; NaN and bad in the
            columns that are not kept.
        """
        cdef Py_ssize_t start = self._find(t_ns), n = self._count - start, row, i, place
        cdef arrays.array times = arrays.clone(TIMES, n, False), values = arrays.clone(DOUBLES, n * self._points, False)
        quality = PyByteArray_FromStringAndSize(NULL, n * self._points)
        cdef double *to_values = values.data.as_doubles
        cdef char *to_quality = PyByteArray_AS_STRING(quality)
        memset(to_quality, BAD, n * self._points)
        for i in range(n * self._points):
            to_values[i] = NAN
        for row in range(n):
            place = self._place(start + row)
            times.data.as_longlongs[row] = self._rows_ns[place]
            for i in range(self._width):
                to_values[row * self._points + self._columns[i]] = self._rows_values[place * self._width + i]
                to_quality[row * self._points + self._columns[i]] = self._rows_quality[place * self._width + i]
        return times, values, quality
