# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Which points of a row are worth telling; not Python because every point of every beat is held against its last."""

from cython cimport final
from libc.math cimport NAN, fabs
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free

cdef enum:
    NEVER = -1  # the quality of a point that has not been told

cdef struct Told:
    Py_ssize_t column
    double deadband
    double silence_ns
    double value
    int64_t at_ns
    int quality


@final
cdef class Moves:
    """What was last told of some points of the current row; for the event loop's thread only.

    Args:
        values, quality: float64[points] and uint8[points] of the current row, looked at by `due`.
        points: tuples (column, deadband in the point's unit, silence in seconds), in the order of the answers.

    Raises:
        ValueError: values and quality differ in length, or a column is outside of the row.
    """

    cdef double[::1] _values
    cdef uint8_t[::1] _quality
    cdef Told *_told
    cdef Py_ssize_t _count

    def __cinit__(self, double[::1] values not None, uint8_t[::1] quality not None, points):
        if values.shape[0] != quality.shape[0]:
            raise ValueError(f"row of {values.shape[0]} values has {quality.shape[0]} qualities; each point has one")
        points = list(points)
        self._values, self._quality, self._count = values, quality, len(points)
        self._told = <Told *>calloc(max(1, self._count), sizeof(Told))
        if self._told == NULL:
            raise MemoryError
        for i, (column, deadband, silence_s) in enumerate(points):
            if not 0 <= column < values.shape[0]:
                raise ValueError(f"column {column} is outside of a row of {values.shape[0]} points")
            self._told[i] = Told(column, deadband, silence_s * 1e9, NAN, 0, NEVER)

    def __dealloc__(self):
        free(self._told)

    def forget(self, Py_ssize_t column):
        """Tell a point at the next look, whatever it holds; nothing where the column is not among the points."""
        cdef Py_ssize_t i
        for i in range(self._count):
            if self._told[i].column == column:
                self._told[i].quality = NEVER

    def due(self, int64_t now_ns):
        """Columns that moved by more than their deadband, changed quality or were silent too long, as told from now on.

        A value that is NaN, or was when it was last told, has not moved.
        """
        cdef Py_ssize_t i
        cdef Told *told
        cdef double value
        cdef uint8_t quality
        columns = []
        for i in range(self._count):
            told = &self._told[i]
            value, quality = self._values[told.column], self._quality[told.column]
            if (quality != told.quality or <double>(now_ns - told.at_ns) >= told.silence_ns
                    or fabs(value - told.value) > told.deadband):
                told.value, told.quality, told.at_ns = value, quality, now_ns
                columns.append(told.column)
        return columns
