import math
import struct
from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeagent._core.decode import Decoder
from tests.core.oracles import CODES, DIGITS, believed, decoded

INFINITY = math.inf
GOOD, UNCERTAIN, BAD = 0, 1, 3
SECOND = 1_000_000_000


def a_field(type_, *, column=0, offset=0, bit=-1, words="big", octets="big", scale=1.0, shift=0.0,
            low=-INFINITY, high=INFINITY, sentinels=(), max_rate=INFINITY):  # fmt: skip
    return (column, type_, offset, bit, words, octets, scale, shift, low, high, sentinels, max_rate)


def read(data, *fields):
    values, quality = array("d", [7.0]) * len(fields), bytearray([2]) * len(fields)
    decoder = Decoder([(i, *field[1:]) for i, field in enumerate(fields)], len(data), values, quality)
    bad = decoder.decode(data, 0)
    assert bad == sum(q != GOOD for q in quality)
    assert all((q == GOOD) != math.isnan(v) and q in (GOOD, BAD) for v, q in zip(values, quality, strict=True))
    return list(values)


@pytest.mark.parametrize(("data", "field", "value"), [
    ("3F80 20C5", a_field("float32"), 1.001),
    ("20C5 3F80", a_field("float32", words="little"), 1.001),
    ("803F C520", a_field("float32", octets="little"), 1.001),
    ("C520 803F", a_field("float32", words="little", octets="little"), 1.001),
    ("0000 4296", a_field("float32", words="little"), 75.0),
    ("4189 EC00", a_field("float32"), 17.240234),
    ("00B2 00D8", a_field("int16", scale=0.1), 17.8),
    ("00B2 00D8", a_field("int16", offset=2, scale=0.1), 21.6),
    ("0012 0016", a_field("int16"), 18.0),
    ("0012 0016", a_field("int16", offset=2), 22.0),
    ("FFFE", a_field("int16"), -2.0),
    ("0001 D4C0", a_field("uint32"), 120000.0),
    ("1770 0000", a_field("uint16", scale=0.01), 60.0),
    ("0818", a_field("uint16", scale=0.01), 20.72),
    ("041A", a_field("int16", scale=0.1), 105.0),
])  # fmt: skip
def test_the_numbers_of_the_vendors_documents_are_read(data, field, value):
    assert read(bytes.fromhex(data), field)[0] == pytest.approx(value, rel=1e-6)


def test_bits_count_from_the_least_significant_in_registers_and_in_tables():
    register = [a_field("bit", bit=bit) for bit in range(16)]
    assert [i for i, value in enumerate(read(bytes.fromhex("8005"), *register)) if value] == [0, 2, 15]
    table = [a_field("bit", offset=i) for i in range(16)]
    assert [i for i, value in enumerate(read(b"\x05\x02", *table)) if value] == [0, 2, 9]
    assert read(bytes.fromhex("0001"), a_field("bit", bit=8, octets="little")) == [1.0]


@pytest.mark.parametrize(("data", "field", "value"), [
    ("1234", a_field("bcd16"), 1234.0),
    ("0000", a_field("bcd16"), 0.0),
    ("9999", a_field("bcd16", scale=0.1), 999.9),
    ("3412", a_field("bcd16", octets="little"), 1234.0),
    ("1234 5678", a_field("bcd32"), 12_345_678.0),
    ("5678 1234", a_field("bcd32", words="little"), 12_345_678.0),
    ("7856 3412", a_field("bcd32", words="little", octets="little"), 12_345_678.0),
])  # fmt: skip
def test_decimal_digits_of_four_bits_are_read(data, field, value):
    assert read(bytes.fromhex(data), field)[0] == pytest.approx(value)


@pytest.mark.parametrize("data", ["000A", "A000", "0F00", "FFFF"])
def test_four_bits_over_nine_are_no_digit_and_the_number_is_bad(data):
    assert math.isnan(read(bytes.fromhex(data), a_field("bcd16"))[0])
    assert math.isnan(read(bytes.fromhex("0001" + data), a_field("bcd32"))[0])


def paced(readings, field):
    """Qualities of one field over readings (s, value); NaN for a beat that was missed."""
    values, quality = array("d", [0.0]), bytearray(1)
    decoder = Decoder([field], 2 if field[1] == "int16" else 8, values, quality)
    told = []
    for time, value in readings:
        if math.isnan(value):
            decoder.miss()
        else:
            decoder.decode(struct.pack(">h" if field[1] == "int16" else ">d", value), round(time * SECOND))
            assert values[0] == value, "what was read is told, whatever is thought of it"
        told.append(quality[0])
    return told


TEN_A_SECOND = a_field("int16", max_rate=10.0)


@pytest.mark.parametrize(("readings", "qualities"), [
    ([(0, 200)], [GOOD]),
    ([(0, 200), (1, 210), (2, 199)], [GOOD, GOOD, GOOD]),
    ([(0, 200), (1, 211)], [GOOD, GOOD]),
    ([(0, 200), (1, 212)], [GOOD, UNCERTAIN]),
    ([(0, 200), (1, 300), (2, 201), (3, 202)], [GOOD, UNCERTAIN, GOOD, GOOD]),
    ([(0, 200), (1, 300), (2, 305), (3, 300)], [GOOD, UNCERTAIN, GOOD, GOOD]),
    ([(0, 200), (1, 300), (2, 100), (3, 101)], [GOOD, UNCERTAIN, UNCERTAIN, GOOD]),
    ([(0, 200), (1, 300), (2, 201), (3, 300)], [GOOD, UNCERTAIN, GOOD, UNCERTAIN]),
    ([(0, 200), (1, math.nan), (9, math.nan), (10, 299)], [GOOD, BAD, BAD, GOOD]),
    ([(0, 200), (1, math.nan), (2, 300), (3, 299)], [GOOD, BAD, UNCERTAIN, GOOD]),
    ([(0, 200), (1, 300), (2, math.nan), (3, 310)], [GOOD, UNCERTAIN, BAD, GOOD]),
    ([(0, 200), (0, 201), (0, 203)], [GOOD, GOOD, UNCERTAIN]),
    ([(0, 200), (1, 300), (1, 300), (1, 300), (2, 300)], [GOOD, UNCERTAIN, UNCERTAIN, UNCERTAIN, GOOD]),
], ids=["the first", "slow", "one raw step more", "too fast", "a spike", "a real jump", "two spikes", "a spike twice",
        "slow over an outage", "a spike after an outage", "borne out after an outage", "no time between",
        "one read looked at again"])  # fmt: skip
def test_a_value_that_moves_too_fast_is_uncertain_until_a_second_read_bears_it_out(readings, qualities):
    assert paced(readings, TEN_A_SECOND) == qualities


def test_only_the_field_with_a_pace_is_doubted_and_counted():
    values, quality = array("d", [0.0] * 2), bytearray(2)
    decoder = Decoder([a_field("int16"), a_field("int16", column=1, max_rate=1.0)], 2, values, quality)
    assert decoder.decode(b"\x00\x00", 0) == 0
    assert decoder.decode(b"\x01\x00", SECOND) == 1
    assert list(quality) == [GOOD, UNCERTAIN]


@given(st.lists(st.tuples(st.integers(0, 3000), st.one_of(st.just(math.nan), st.integers(-300, 300).map(float))),
                max_size=12), st.sampled_from([0.5, 10.0, 100.0]))  # fmt: skip
@example([(0, 0.0), (1000, 100.0), (1000, 100.0)], 10.0)
def test_the_doubt_is_the_one_of_the_oracle(moves, max_rate):
    time, readings = 0.0, []
    for pause_ms, value in moves:
        time += pause_ms / 1000
        readings.append((time, value))
    told = paced(readings, a_field("float64", max_rate=max_rate))
    # Where a move is exactly as fast as allowed, the last bit decides.
    exact = {round(abs(a - b), 6) for _, a in readings for _, b in readings} & {
        round(max_rate * (t - u), 6) for t, _ in readings for u, _ in readings
    } - {0.0}
    if not exact:
        assert [quality == GOOD for quality in told] == believed(readings, max_rate, 0.0)


def test_a_number_that_means_no_value_is_bad_and_nan():
    field = a_field("int16", sentinels=(0x8000, 0x7FFF))
    for data in ("8000", "7FFF"):
        assert math.isnan(read(bytes.fromhex(data), field)[0])
    assert read(bytes.fromhex("7FFE"), field) == [32766.0]


def test_infinite_out_of_range_and_inexact_numbers_are_bad():
    ranged = a_field("int16", low=0.0, high=300.0)
    wide = struct.pack(">4q", 2**53, -(2**53), 2**53 + 1, -(2**53) - 1)
    values = read(wide, *(a_field("int64", offset=8 * i) for i in range(4)))
    assert values[:2] == [2.0**53, -(2.0**53)]
    assert all(map(math.isnan, values[2:]))
    assert math.isnan(read(b"\xff" * 8, a_field("uint64"))[0])
    assert math.isnan(read(bytes.fromhex("7F80 0000"), a_field("float32"))[0])
    assert math.isnan(read(bytes.fromhex("7FC0 0000"), a_field("float32"))[0])
    assert [math.isnan(read(struct.pack(">h", n), ranged)[0]) for n in (-1, 0, 300, 301)] == [True, False, False, True]


def test_an_answer_of_the_wrong_length_is_refused_and_nothing_is_written():
    values, quality = array("d", [5.0]), bytearray([GOOD])
    decoder = Decoder([a_field("int16")], 2, values, quality)
    with pytest.raises(ValueError, match="3 bytes, expected 2"):
        decoder.decode(b"abc", 0)
    assert (list(values), list(quality), decoder.size) == ([5.0], [GOOD], 2)


def test_a_missed_beat_is_bad_not_old():
    values, quality = array("d", [5.0, 6.0]), bytearray(2)
    Decoder([a_field("int16", column=1)], 2, values, quality).miss()
    assert values[0] == 5.0
    assert math.isnan(values[1])
    assert list(quality) == [GOOD, BAD]


@pytest.mark.parametrize(("field", "said"), [
    (a_field("int16", column=1), "column 1"),
    (a_field("int32", offset=2), "offset 2"),
    (a_field("int16", offset=-2), "offset -2"),
    (a_field("bit", offset=32), "offset 32"),
    (a_field("bit", bit=16), "bit 16"),
    (a_field("int24"), "int24"),
    (a_field("int16", words="middle"), "middle"),
    (a_field("int16", max_rate=0.0), "change of 0.0 per second"),
    (a_field("int16", max_rate=math.nan), "change of nan per second"),
])  # fmt: skip
def test_a_field_outside_of_the_answer_or_the_row_is_refused(field, said):
    with pytest.raises(ValueError, match=said):
        Decoder([field], 4, array("d", [0.0]), bytearray(1))


def test_a_decoder_without_fields_and_without_bytes_reads_nothing():
    assert Decoder([], 0, array("d"), bytearray()).decode(b"", 0) == 0


orders = st.sampled_from(["big", "little"])


@given(
    st.binary(min_size=16, max_size=16),
    st.lists(st.tuples(st.sampled_from([*CODES, *DIGITS, "bit", "bit in table"]), st.integers(0, 8), st.integers(0, 15),
                       orders, orders, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.sampled_from([INFINITY, 1e4]),
                       st.lists(st.integers(0, 3), max_size=3).map(tuple)), max_size=8),
)  # fmt: skip
def test_every_type_in_every_order_is_what_struct_reads(data, drawn):
    fields = [
        a_field(type_.split()[0], column=i, offset=offset, bit=-1 if "table" in type_ else bit, words=words,
                octets=octets, scale=scale, shift=shift, low=-limit, high=limit, sentinels=sentinels)
        for i, (type_, offset, bit, words, octets, scale, shift, limit, sentinels) in enumerate(drawn)
    ]  # fmt: skip
    assert read(data, *fields) == pytest.approx([decoded(data, field) for field in fields], rel=1e-12, nan_ok=True)
