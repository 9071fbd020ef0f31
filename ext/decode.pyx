# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Register bytes → one row, by a precompiled plan; not Python because every register of every beat passes here."""

from cython cimport final
from libc.math cimport INFINITY, NAN, fabs, isfinite
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cdef enum:
    INT16, UINT16, INT32, UINT32, FLOAT32, INT64, UINT64, FLOAT64, BCD16, BCD32, REGISTER_BIT, TABLE_BIT

cdef enum:
    GOOD = 0
    UNCERTAIN = 1
    BAD = 3

cdef int64_t EXACT = 1LL << 53
"""Whole numbers beyond this cannot be told apart as float64."""

KINDS = {"int16": INT16, "uint16": UINT16, "int32": INT32, "uint32": UINT32, "float32": FLOAT32,
         "int64": INT64, "uint64": UINT64, "float64": FLOAT64, "bcd16": BCD16, "bcd32": BCD32, "bit": REGISTER_BIT}
WORDS = {INT16: 1, UINT16: 1, INT32: 2, UINT32: 2, FLOAT32: 2, INT64: 4, UINT64: 4, FLOAT64: 4, BCD16: 1, BCD32: 2,
         REGISTER_BIT: 1}
ORDERS = ("big", "little")

cdef struct Field:
    int column
    int offset
    uint8_t kind
    uint8_t words
    uint8_t bit
    uint8_t low_word_first
    uint8_t bytes_swapped
    uint8_t sentinels
    int first_sentinel
    double scale
    double shift
    double low
    double high

cdef struct Pace:
    int column
    double rate, step    # most per second, and what one raw number more or less is
    double believed, suspected    # NaN where there is none
    int64_t believed_ns, suspected_ns


cdef inline uint16_t word_at(const uint8_t *at, bint swapped) noexcept nogil:
    return (at[1] << 8 | at[0]) if swapped else (at[0] << 8 | at[1])


cdef inline uint64_t raw_of(const Field *field, const uint8_t *data) noexcept nogil:
    """Put the words of a field together as one unsigned number."""
    cdef const uint8_t *at = data + field.offset
    cdef uint64_t raw = 0, word
    cdef int i
    if field.kind == TABLE_BIT:
        return data[field.offset >> 3] >> (field.offset & 7) & 1
    if field.words == 1:
        raw = word_at(at, field.bytes_swapped)
        return raw >> field.bit & 1 if field.kind == REGISTER_BIT else raw
    for i in range(field.words):
        word = word_at(at + 2 * i, field.bytes_swapped)
        raw |= word << 16 * (i if field.low_word_first else field.words - 1 - i)
    return raw


cdef inline double bcd_of(uint64_t raw) noexcept nogil:
    """Read a decimal digit of each four bits; NaN where four bits are no digit."""
    cdef double number = 0, weight = 1
    while raw:
        if raw & 15 > 9:
            return NAN
        number += (raw & 15) * weight
        weight *= 10
        raw >>= 4
    return number


cdef inline double number_of(int kind, uint64_t raw) noexcept nogil:
    """Read the raw bits as their type; NaN for whole numbers that float64 cannot hold."""
    cdef uint32_t half = <uint32_t>raw
    cdef float single
    cdef double full
    if kind == INT16:
        return <int16_t>raw
    if kind == INT32:
        return <int32_t>half
    if kind == FLOAT32:
        memcpy(&single, &half, 4)
        return single
    if kind == FLOAT64:
        memcpy(&full, &raw, 8)
        return full
    if kind == INT64:
        return <double><int64_t>raw if -EXACT <= <int64_t>raw <= EXACT else NAN
    if kind == BCD16 or kind == BCD32:
        return bcd_of(raw)
    return <double>raw if raw <= <uint64_t>EXACT else NAN


cdef inline bint is_near(double value, double other, int64_t since_ns, int64_t now_ns, const Pace *pace) noexcept nogil:
    """Say whether a value can have come from another in the time; NaN is near to nothing."""
    return fabs(value - other) <= pace.rate * 1e-9 * max(0, now_ns - since_ns) + pace.step


cdef inline bint believe(Pace *pace, double value, int64_t now_ns) noexcept nogil:
    """Believe a value that can have come from the last believed one, or that another read before it bears out."""
    if (pace.believed != pace.believed or is_near(value, pace.believed, pace.believed_ns, now_ns, pace)
            or (now_ns > pace.suspected_ns and is_near(value, pace.suspected, pace.suspected_ns, now_ns, pace))):
        pace.believed, pace.believed_ns, pace.suspected = value, now_ns, NAN
        return True
    pace.suspected, pace.suspected_ns = value, now_ns
    return False


@final
cdef class Decoder:
    """Writes the answer of one read into the row it is bound to; for the event loop's thread only.

    Args:
        fields: tuples (column, type, offset, bit, word_order, byte_order, scale, offset_value, low, high,
            not_available, max_rate); value = raw * scale + offset_value; `offset` is in bytes, but in bits, LSB first,
            for a bit of a table of bits, whose `bit` is -1; `max_rate` is the largest believable change per second,
            infinite for any.
        size: bytes of an answer.
        values, quality: float64[points] and uint8[points] of the current row.

    Raises:
        ValueError: a field lies outside of the answer or the row, or has an unknown type or order.
    """

    cdef Field *_fields
    cdef uint64_t *_sentinels
    cdef Pace *_paces
    cdef int _count, _paced
    cdef readonly int size
    cdef double[::1] _values
    cdef uint8_t[::1] _quality

    def __cinit__(self, fields, int size, double[::1] values not None, uint8_t[::1] quality not None):
        if values.shape[0] != quality.shape[0]:
            raise ValueError(f"row of {values.shape[0]} values has {quality.shape[0]} qualities; each point has one")
        if size < 0:
            raise ValueError(f"an answer of {size} bytes cannot be; give the bytes of the registers read")
        fields = list(fields)
        self.size = size
        self._values = values
        self._quality = quality
        self._count = len(fields)
        self._fields = <Field *>calloc(max(1, self._count), sizeof(Field))
        self._sentinels = <uint64_t *>calloc(max(1, sum(len(field[10]) for field in fields)), sizeof(uint64_t))
        self._paces = <Pace *>calloc(max(1, self._count), sizeof(Pace))
        if self._fields == NULL or self._sentinels == NULL or self._paces == NULL:
            raise MemoryError
        used = 0
        for i, field in enumerate(fields):
            used = self._plan(i, field, used)

    def __dealloc__(self):
        free(self._fields)
        free(self._sentinels)
        free(self._paces)

    cdef int _plan(self, int i, tuple described, int used) except -1:
        """Turn one description into a field; returns how many sentinels are used so far."""
        cdef Field *field = &self._fields[i]
        (column, type_, offset, bit, word_order, byte_order, scale, shift, low, high, not_available,
         max_rate) = described
        if type_ not in KINDS or word_order not in ORDERS or byte_order not in ORDERS:
            raise ValueError(f"field {i}: type {type_!r} in {word_order!r} and {byte_order!r} order is unknown; "
                             f"known are {', '.join(KINDS)} and the orders big, little")
        if not 0 <= column < self._values.shape[0]:
            raise ValueError(f"field {i}: column {column} is outside of a row of {self._values.shape[0]} points")
        table = type_ == "bit" and bit == -1
        field.kind = TABLE_BIT if table else KINDS[type_]
        field.words = 0 if table else WORDS[KINDS[type_]]
        if offset < 0 or (offset >= 8 * self.size if table else offset + 2 * field.words > self.size):
            raise ValueError(f"field {i}: {type_} at offset {offset} is outside of an answer of {self.size} bytes")
        if type_ == "bit" and not -1 <= bit <= 15:
            raise ValueError(f"field {i}: bit {bit} of a register cannot be; bits are 0 to 15")
        if len(not_available) > 255:
            raise ValueError(f"field {i}: {len(not_available)} numbers for not available; at most 255")
        if not max_rate > 0:
            raise ValueError(f"field {i}: a largest change of {max_rate} per second cannot be; infinite is for any")
        if max_rate < INFINITY:
            step = 0.0 if type_ in ("float32", "float64") else fabs(scale)
            self._paces[self._paced] = Pace(column, max_rate, step, NAN, NAN, 0, 0)
            self._paced += 1
        field.column = column
        field.offset = offset
        field.bit = max(0, bit) if type_ == "bit" else 0
        field.low_word_first = word_order == "little"
        field.bytes_swapped = byte_order == "little"
        field.scale, field.shift, field.low, field.high = scale, shift, low, high
        field.first_sentinel, field.sentinels = used, len(not_available)
        for j, raw in enumerate(not_available):
            self._sentinels[used + j] = raw
        return used + len(not_available)

    cdef inline bint _available(self, const Field *field, uint64_t raw) noexcept nogil:
        cdef int i
        for i in range(field.first_sentinel, field.first_sentinel + field.sentinels):
            if self._sentinels[i] == raw:
                return False
        return True

    def decode(self, const uint8_t[::1] data not None, int64_t now_ns):
        """Write every field's value, or NaN and bad where the device has none or it cannot be true.

        A value that moved faster than its `max_rate`, with one raw step allowed, since the last believed one is
        uncertain; the next read bears it out, or comes back and it is forgotten. The same read, decoded again at the
        same time, bears out nothing. The first value is believed.

        Args:
            data: what was read, `size` bytes.
            now_ns: monotonic time of the read.

        Returns:
            How many fields are not good.

        Raises:
            ValueError: the answer has another length than expected; nothing is written then.
        """
        if data.shape[0] != self.size:
            raise ValueError(f"answer has {data.shape[0]} bytes, expected {self.size}")
        if not self._count:
            return 0
        cdef const uint8_t *start = &data[0]
        cdef double *values = &self._values[0]
        cdef uint8_t *quality = &self._quality[0]
        cdef const Field *field
        cdef uint64_t raw
        cdef double value
        cdef int i, bad = 0
        for i in range(self._count):
            field = &self._fields[i]
            raw = raw_of(field, start)
            value = number_of(field.kind, raw) * field.scale + field.shift
            if field.low <= value <= field.high and isfinite(value) and self._available(field, raw):
                values[field.column] = value
                quality[field.column] = GOOD
            else:
                values[field.column] = NAN
                quality[field.column] = BAD
                bad += 1
        for i in range(self._paced):
            if (quality[self._paces[i].column] == GOOD
                    and not believe(&self._paces[i], values[self._paces[i].column], now_ns)):
                quality[self._paces[i].column] = UNCERTAIN
                bad += 1
        return bad

    def miss(self):
        """A beat without an answer: every field is NaN and bad."""
        cdef int i
        for i in range(self._count):
            self._values[self._fields[i].column] = NAN
            self._quality[self._fields[i].column] = BAD
