import math
import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent._core.decode import Decoder
from tests.core.oracles import CODES, decoded

INFINITY = math.inf
GOOD, BAD = 0, 3


def a_field(type_, *, column=0, offset=0, bit=-1, words="big", octets="big", scale=1.0, shift=0.0,
            low=-INFINITY, high=INFINITY, sentinels=()):  # fmt: skip
    return (column, type_, offset, bit, words, octets, scale, shift, low, high, sentinels)


def read(data, *fields):
    values, quality = array("d", [7.0]) * len(fields), bytearray([2]) * len(fields)
    decoder = Decoder([(i, *field[1:]) for i, field in enumerate(fields)], len(data), values, quality)
    bad = decoder.decode(data)
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
        decoder.decode(b"abc")
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
])  # fmt: skip
def test_a_field_outside_of_the_answer_or_the_row_is_refused(field, said):
    with pytest.raises(ValueError, match=said):
        Decoder([field], 4, array("d", [0.0]), bytearray(1))


def test_a_decoder_without_fields_and_without_bytes_reads_nothing():
    assert Decoder([], 0, array("d"), bytearray()).decode(b"") == 0


orders = st.sampled_from(["big", "little"])


@given(
    st.binary(min_size=16, max_size=16),
    st.lists(st.tuples(st.sampled_from([*CODES, "bit", "bit in table"]), st.integers(0, 8), st.integers(0, 15),
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
