import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface import catalog
from firmware_iface.identity import Identity, compared, misfits, points
from tests.firmware_iface.test_catalog import _load
from tests.firmware_iface.test_map_language import DRIVE

RIGHT = {"drive/type": float(0x1A2F), "drive/serial": "D7", "drive/firmware": "V3.04"}


@pytest.fixture
def drive(tmp_path):
    return _load(tmp_path, DRIVE)


def test_what_is_read_at_connect_is_what_the_map_asks_for(drive):
    assert [register.path for register in points(drive)] == ["drive/type", "drive/serial", "drive/firmware"]
    reflow = catalog.builtin("reflow10")
    assert [register.path for register in points(reflow)] == ["machine/fingerprint"]
    unlimited = replace(drive, firmware_from=None, firmware_to=None, identity=())
    assert points(unlimited) == ()
    assert misfits(unlimited, {}) == []


def test_the_device_of_the_map_fits(drive):
    assert misfits(drive, RIGHT) == []


@pytest.mark.parametrize(("read", "said"), [
    ({"drive/type": float(0x0A30)}, "drive/type is 2608, it must be 2592 or 2624 in the bits 0xFF0 of its raw number:"
     " a drive of the second make"),
    ({"drive/type": math.nan}, "drive/type could not be read, it cannot be told whether it must be 2592 or 2624"),
    ({"drive/type": None}, "drive/type could not be read"),
    ({"drive/type": 0.5}, "drive/type is 0.5"),
    ({"drive/serial": "D8"}, 'drive/serial is "D8", it must be "D7"'),
    ({"drive/serial": None}, "drive/serial could not be read"),
    ({"drive/firmware": "3.03"}, 'the firmware is "3.03", the map is for versions from 3.04 to 4'),
    ({"drive/firmware": "V5"}, 'the firmware is "V5", the map is for versions from 3.04 to 4'),
    ({"drive/firmware": "beta"}, 'the firmware is "beta", which is no version, it cannot be told'),
    ({"drive/firmware": None}, "the firmware could not be read, it cannot be told whether it is from 3.04 to 4"),
])  # fmt: skip
def test_one_sentence_tells_what_does_not_fit(drive, read, said):
    (sentence,) = misfits(drive, RIGHT | read)
    assert sentence.startswith(said)


def test_nothing_that_was_not_read_is_taken_for_right(drive):
    assert len(misfits(drive, {})) == 3
    assert len(misfits(catalog.builtin("reflow10"), {})) == 1


@pytest.mark.parametrize(("identity", "value", "fits"), [
    (Identity("drive/speed", (50.1,)), 501 * 0.1, True),
    (Identity("drive/speed", (50.1,)), 50.2, False),
    (Identity("drive/speed", low=10.0), 10.0, True),
    (Identity("drive/speed", low=10.0), 9.9, False),
    (Identity("drive/speed", high=10.0), 10.0, True),
    (Identity("drive/speed", high=10.0), 10.1, False),
    (Identity("drive/speed", low=10.0, high=20.0), 15.0, True),
    (Identity("drive/speed", mask=0xFF, low=16.0, high=31.0), 0x1234 * 0.1, False),
    (Identity("drive/speed", mask=0xFF, low=16.0, high=31.0), 0x1214 * 0.1, True),
])  # fmt: skip
def test_numbers_are_compared_in_their_unit_and_bits_in_the_raw_number(drive, identity, value, fits):
    about = replace(drive, identity=(identity,))
    assert (misfits(about, RIGHT | {"drive/speed": value}) == []) is fits


def test_the_fingerprint_must_be_the_one_of_the_map():
    reflow = catalog.builtin("reflow10")
    right = float(int(reflow.fingerprint, 16))
    assert misfits(reflow, {"machine/fingerprint": right}) == []
    (sentence,) = misfits(reflow, {"machine/fingerprint": 1.0})
    assert sentence == ("the device was made from another map: its fingerprint is 00000001,"
                        f" that of reflow10 1.0 is {reflow.fingerprint}")  # fmt: skip
    for unread in (math.nan, math.inf, None, "1"):
        assert "could not be read" in misfits(reflow, {"machine/fingerprint": unread})[0]


@pytest.mark.parametrize(("version", "limit", "order"), [
    ("3.04", "3.04", 0), ("3.4", "3.04", 0), ("3.10", "3.9", 1), ("3.04.7", "3.04", 0), ("3", "3.04", -1),
    ("4.9", "4", 0), ("03", "3.0", 0), ("2.99", "3", -1),
])  # fmt: skip
def test_versions_are_compared_part_by_part_as_numbers(version, limit, order):
    assert compared(version, limit) == order


@given(st.dictionaries(st.sampled_from(list(RIGHT)),
                       st.one_of(st.none(), st.floats(), st.text(max_size=300))))  # fmt: skip
def test_whatever_a_device_answers_is_right_or_told_in_a_sentence(tmp_path_factory, answers):
    path = tmp_path_factory.getbasetemp() / "drive.toml"
    if not path.exists():
        path.write_text(DRIVE)
    told = misfits(catalog.load(path), RIGHT | answers)
    for point, value in answers.items():
        about = [sentence for sentence in told if sentence.startswith((point, "the firmware"))]
        if point == "drive/type":
            is_whole = isinstance(value, float) and value.is_integer() and 0 <= value < 65_536
            assert about or (is_whole and int(value) & 0x0FF0 in (0x0A20, 0x0A40))
        else:
            assert about or isinstance(value, str)
