"""Instruments that speak text, over real ptys with the agent's own poller: never a wrong value, and good again soon."""

import asyncio
import logging
import math
import termios

import pytest

from edgeagent.acquire.serial_port import SerialPort
from edgeagent.acquire.wires import Wires
from edgeagent.clock import Clock
from edgeagent.config import LineTable, SerialInstrumentTable
from edgeagent.model.points import Quality
from firmware_iface import catalog
from firmware_iface.frames.bisynch import checksum, framed, request
from firmware_iface.rename import renamed
from firmware_iface.simulated.text_instruments import BisynchController, PolledAnalyser
from tests.acquire.text_device import TextDevice, quick, read

GOOD, BAD = Quality.GOOD, Quality.BAD
PV, OXYGEN = "controller/1/temperature", "analyser/1/concentration"
RAPIDOX = "d2.959E+05,-1.426E+01,2.000E+00,,23:19:40,14/01/00,,,ALM1&2,0"


def controller(*units: int):
    """(what the simulated units say to a question, the units)"""
    simulated = [BisynchController(unit) for unit in units or (1,)]
    return lambda question: [unit.hear(question) for unit in simulated], simulated


def pv(said: bytes):
    """A controller that says this when it is asked for PV."""
    right, _ = controller()
    return lambda question: [said] if question[5:7] == b"PV" else right(question)


def bisynch(value: bytes) -> bytes:
    body = b"PV" + value + b"\x03"
    return b"\x02" + body + checksum(body)


BISYNCH = {
    "A03 a NUL before": (b"\0" + framed("PV", "16.4"), GOOD, 16.4),
    "A03 a NUL inside": (bisynch(b"1\x006.4"), BAD, None),
    "A04 a character of eight bits": (bisynch(b"1\xb66.4"), BAD, None),
    "A05 a wrong checksum": (framed("PV", "16.4")[:-1] + b"\x19", BAD, None),
    "A05 a flipped bit": (framed("PV", "16.4").replace(b"6", b"7"), BAD, None),
    "A06 the checksum is STX": (b"\x02PV16\x03\x02", GOOD, 16.0),
    "A06 the checksum is ETX": (b"\x02PV17\x03\x03", GOOD, 17.0),
    "A06 the checksum is EOT": (b"\x02PV10\x03\x04", GOOD, 10.0),
    "A07 no checksum": (framed("PV", "16.4")[:-1], BAD, None),
    "A08 EOT: unknown": (b"\x04", BAD, None),
    "A09 NAK": (b"\x15", BAD, None),
    "A10 no end": (b"\x02PV" + b"1" * 3000, BAD, None),
    "A11 two answers": (framed("PV", "16.4") + framed("PV", "61.4"), BAD, None),
    "A12 three digits": (framed("PV", "123"), GOOD, 123.0),
    "A12 a sign": (framed("PV", "-99.9"), GOOD, -99.9),
    "A12 eight characters": (framed("PV", "    16.4"), GOOD, 16.4),
    "A13 minus nothing": (framed("PV", "-.0"), GOOD, 0.0),
    "A14 dashes": (framed("PV", "----"), BAD, None),
    "A15 plusses": (framed("PV", "+++++"), BAD, None),
    "A18 a comma": (framed("PV", "16,4"), BAD, None),
    "an empty value": (framed("PV", ""), BAD, None),
    "hexadecimal": (framed("PV", ">00A4"), BAD, None),
    "beyond its range": (framed("PV", "9999.9"), BAD, None),
    "another mnemonic": (framed("SP", "16.4"), BAD, None),
    "an echo before": (request(1, "PV") + framed("PV", "16.4"), GOOD, 16.4),
    "nothing": (b"", BAD, None),
}  # fmt: skip


@pytest.mark.parametrize("case", BISYNCH)
def test_a_controller_that_says(case, tmp_path):
    said, quality, value = BISYNCH[case]

    async def go():
        right, _ = controller()
        async with read(tmp_path, {1: quick("eurotherm2000-bisynch")}, right) as (device, reading):
            assert (reading.quality(PV), reading.value(PV)) == (GOOD, 183.4)
            device.answer = pv(said)
            await reading.beat()
            assert reading.quality(PV) == quality
            assert reading.value(PV) == value if value is not None else math.isnan(reading.value(PV))
            device.answer = right
            await reading.beat()
            assert (reading.quality(PV), reading.value(PV)) == (GOOD, 183.4)

    asyncio.run(go())


TEXT = {
    "A01 CR missing": (RAPIDOX + "\n", GOOD),
    "A02 CR only": (RAPIDOX + "\r", GOOD),
    "neither": (RAPIDOX, BAD),
    "A03 a NUL": (RAPIDOX.replace("959", "9\x0059") + "\r\n", BAD),
    "A04 a character of eight bits": (RAPIDOX.replace("959", "9\xb959") + "\r\n", BAD),
    "A10 a very long line": (RAPIDOX.replace("ALM1&2", "ALM" * 1000) + "\r\n", BAD),
    "A11 two lines merged": (RAPIDOX[:30] + RAPIDOX + "\r\n", BAD),
    "A11 two lines that differ": (RAPIDOX + "\r\n" + RAPIDOX.replace("2.959", "2.958") + "\r\n", BAD),
    "A12 a digit lost": (RAPIDOX.replace("2.959", "2.95") + "\r\n", BAD),
    "A12 the other variant": ("d2.959E+05,1.426E+01,2.000E-03,23:19:40,14/01/00,ALM1&2,0\r\n", GOOD),
    "A14 dashes": (RAPIDOX.replace("2.959E+05", "----") + "\r\n", BAD),
    "A15 plusses": (RAPIDOX.replace("2.959E+05", "+++++") + "\r\n", BAD),
    "A16 heating": ("!Sensor heating\r\n", BAD),
    "A17 another unit": (RAPIDOX.replace("E+05", "E+05%") + "\r\n", BAD),
    "A18 a comma": (RAPIDOX.replace(".", ",") + "\r\n", BAD),
    "a state that is not good": (RAPIDOX[:-1] + "3\r\n", BAD),
    "an empty value": (RAPIDOX.replace("2.959E+05", "") + "\r\n", BAD),
    "an echo before": ("D" + RAPIDOX + "\r\n", GOOD),
    "nothing": ("", BAD),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXT)
def test_an_analyser_that_says(case, tmp_path):
    said, quality = TEXT[case]

    async def go():
        right = PolledAnalyser()
        async with read(tmp_path, {1: quick("oxygen-rapidox1100")}, lambda q: [right.hear(q)]) as (device, reading):
            assert reading.quality(OXYGEN) == GOOD
            device.answer = lambda q: [said.encode("latin-1")]
            await reading.beat()
            assert reading.quality(OXYGEN) == quality
            assert reading.value(OXYGEN) == 295_900 if quality == GOOD else math.isnan(reading.value(OXYGEN))
            device.answer = lambda q: [right.hear(q)]
            await reading.beat()
            assert (reading.quality(OXYGEN), reading.value(OXYGEN)) == (GOOD, 812.5)

    asyncio.run(go())


def test_a_parameter_that_is_not_known_takes_no_other_with_it_and_is_told_once(tmp_path, caplog):
    """A08"""

    async def go():
        right, (unit,) = controller()
        del unit.parameters["OP"]
        async with read(tmp_path, {1: quick("eurotherm2000-bisynch")}, right) as (device, reading):
            await reading.beat()
            assert reading.quality("controller/1/output") == BAD
            assert reading.quality(PV) == reading.quality("controller/1/setpoint") == GOOD
            assert not reading.readers[0].errors
            assert len(device.requests) == 8
            unit.parameters["OP"] = "42.0"
            await reading.beat()
            assert reading.value("controller/1/output") == 42

    caplog.set_level(logging.INFO)
    asyncio.run(go())
    told = [record.message for record in caplog.records]
    assert sum("no controller/1/output: unknown mnemonic" in line for line in told) == 1
    assert sum("controller/1/output has a value again" in line for line in told) == 1


def test_a_broken_sensor_is_told_and_its_value_is_bad(tmp_path):
    async def go():
        right, (unit,) = controller()
        async with read(tmp_path, {1: quick("eurotherm2000-bisynch")}, right) as (_, reading):
            assert reading.value("controller/1/sensorBreak") == 0
            unit.parameters["FS"] = ">0030"
            await reading.beat()
            assert reading.value("controller/1/sensorBreak") == 1
            assert reading.quality(PV) == BAD, "what the controller says of its sensor beats the value"

    asyncio.run(go())


def test_an_analyser_that_is_not_ready_says_why_once(tmp_path, caplog):
    """A16"""

    async def go():
        right = PolledAnalyser()
        right.not_ready = "Sensor heating"
        async with read(tmp_path, {1: quick("oxygen-rapidox1100")}, lambda q: [right.hear(q)]) as (_, reading):
            await reading.beat()
            assert reading.quality(OXYGEN) == BAD
            assert not reading.readers[0].errors, "it lives"
            right.not_ready = ""
            await reading.beat()
            assert reading.quality(OXYGEN) == GOOD

    caplog.set_level(logging.INFO)
    asyncio.run(go())
    assert [line.message.partition(": ")[2] for line in caplog.records if OXYGEN in line.message] == [
        f"no {OXYGEN}: it says '!Sensor heating'", f"{OXYGEN} has a value again"]


def test_several_controllers_share_a_line_and_a_dead_one_costs_the_others_no_beat(tmp_path):
    second = renamed(quick("eurotherm2000-bisynch"), {"controller/1": "controller/2"})

    async def go():
        right, units = controller(1, 47)
        units[1].parameters["PV"] = "99.5"
        maps = {1: quick("eurotherm2000-bisynch"), 47: second}
        async with read(tmp_path, maps, right) as (device, reading):
            assert (reading.value(PV), reading.value("controller/2/temperature")) == (183.4, 99.5)
            device.answer = lambda question: [units[0].hear(question)]
            device.requests.clear()
            for _ in range(12):
                await reading.beat()
                assert reading.value(PV) == 183.4
                assert reading.quality("controller/2/temperature") == BAD
            asked = sum(question.startswith(b"\x044477") for question in device.requests)
            assert 3 <= asked < 10, "left alone after three questions without an answer"

    asyncio.run(go())


def test_a_late_answer_is_not_the_next_ones_value(tmp_path):
    async def go():
        right, (unit,) = controller()
        async with read(tmp_path, {1: quick("eurotherm2000-bisynch")}, right) as (device, reading):
            late = []
            device.answer = lambda question: late.append(unit.hear(question)) or []
            await reading.beat()
            assert reading.quality(PV) == BAD
            unit.parameters["PV"] = "20.0"
            device.answer = lambda question: [late.pop() if late else b"", unit.hear(question)]
            await reading.beat()
            assert reading.quality(PV) == BAD, "two answers that differ"
            await reading.beat()
            assert reading.value(PV) == 20

    asyncio.run(go())


def test_a_late_answer_of_one_controller_is_not_the_value_of_the_next(tmp_path):
    """An answer in this protocol does not say whose it is."""
    second = renamed(quick("eurotherm2000-bisynch"), {"controller/1": "controller/2"})

    async def go():
        right, units = controller(1, 47)
        units[1].parameters["PV"] = "99.5"
        maps = {1: quick("eurotherm2000-bisynch"), 47: second}
        async with read(tmp_path, maps, right) as (device, reading):
            await reading.beat()
            late = []

            def first_is_late(question):
                if question == request(1, "PV"):
                    late.append(units[0].hear(question))
                    return []
                return [late.pop(), 0.005, *right(question)] if late else right(question)

            device.answer = first_is_late
            await reading.beat()
            assert not late
            assert reading.quality("controller/2/temperature") == BAD, "two answers that differ"
            device.answer = right
            await reading.beat()
            assert (reading.value(PV), reading.value("controller/2/temperature")) == (183.4, 99.5)

    asyncio.run(go())


def test_a_poll_with_an_address_reaches_its_instrument_and_believes_no_other(tmp_path):
    path = tmp_path / "probe.toml"
    path.write_text("""
map = { id = "probe", version = "1", title = "A probe", kind = "instrument" }
machine = { manufacturer = "M", model = "N" }
device = { timeout_ms = 60, latency_ms = 20 }
[instrument]
protocol = "text-line"
poll = "A{address}D1\\r"
patterns = ['A(?P<address>\\d+) (?P<level>\\S+) (?P<unit>\\S+)']
readings = [{ address = 0, group = "level", unit_group = "unit", unit_is = "%" }]
[groups.all]
period_ms = 1000
points = { "probe/level" = { table = "input", type = "float64", address = 0, unit = "percent" } }
""")

    async def go():
        async with read(tmp_path, {7: catalog.load(path)}, lambda q: [b"A7 20.9 %\r"]) as (device, reading):
            assert device.requests == [b"A7D1\r"]
            assert (reading.quality("probe/level"), reading.value("probe/level")) == (GOOD, 20.9)
            for other in (b"A17 20.9 %\r", b"A7 209 ppm\r"):
                device.answer = lambda q, other=other: [other]
                await reading.beat()
                assert reading.quality("probe/level") == BAD

    asyncio.run(go())


def test_an_adapter_that_is_pulled_out_gives_bad_values_and_is_found_again(tmp_path):
    async def go():
        right, _ = controller()
        async with read(tmp_path, {1: quick("eurotherm2000-bisynch")}, right) as (device, reading):
            device.unplug()
            await reading.beat()
            assert reading.quality(PV) == BAD
            device.plug(tmp_path / "tty-instrument")
            for _ in range(100):
                await reading.beat()
                if reading.quality(PV) == GOOD:
                    break
            assert reading.value(PV) == 183.4

    asyncio.run(go())


def test_the_line_has_seven_bits_and_its_parity_is_checked(tmp_path):
    async def go():
        device = TextDevice()
        device.plug(tmp_path / "tty")
        flags = termios.tcgetattr(device._slave)
        flags[0] |= termios.IGNPAR
        termios.tcsetattr(device._slave, termios.TCSANOW, flags)
        port = SerialPort(device.port, 9600, "even", 1, lambda data: None, data_bits=7)
        assert port.character_s == pytest.approx(10 / 9600)
        port.open()
        flags = termios.tcgetattr(device._slave)
        assert flags[0] & termios.INPCK
        assert not flags[0] & termios.IGNPAR, "a digit that is left out makes another number"
        port.close()
        device.unplug()

    asyncio.run(go())


def test_an_instrument_that_talks_by_itself_cannot_be_asked():
    wires = Wires([LineTable("bus", "/dev/none", master=True)], Clock())
    with pytest.raises(ValueError, match="talks by itself"):
        wires.source(SerialInstrumentTable("oxygen-luminox", "bus"), catalog.builtin("oxygen-luminox"))
