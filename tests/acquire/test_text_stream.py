"""An instrument that talks by itself, over a real pty: the newest whole line, as old as it is, and nothing sent."""

import asyncio
import logging
import math

import pytest

from edgeagent.model.points import Quality
from firmware_iface.simulated.text_instruments import StreamingSensor
from tests.acquire.text_device import quick, read

GOOD, BAD = Quality.GOOD, Quality.BAD
OXYGEN, PRESSURE = "analyser/1/concentration", "analyser/1/pressure"
LINE = b"O 0213.5 T +24.3 P 1013 % 021.05 e 0000\r\n"
NEWER = LINE.replace(b"021.05", b"020.00")


def streaming(tmp_path):
    return read(tmp_path, {1: quick("oxygen-luminox")}, lambda q: [], master=False)


async def hear(device, reading, data: bytes) -> None:
    """Send, and wait until it has been heard; time stands still."""
    reader = reading.readers[0]
    before = reader._heard_ns
    reading.clock.now += 1
    device.send(data)
    for _ in range(100_000):
        await asyncio.sleep(0)
        if reader._heard_ns != before:
            return
    raise AssertionError("what was sent is not heard")


async def begun(device, reading) -> None:
    """The first line after the port was opened may be the rest of one, and is not believed."""
    await hear(device, reading, b"rest of a line\r\n")


def test_the_newest_line_is_read_with_the_time_at_which_it_was_heard(tmp_path):
    async def go():
        async with streaming(tmp_path) as (device, reading):
            assert reading.quality(OXYGEN) == BAD
            await begun(device, reading)
            await hear(device, reading, LINE)
            heard = reading.clock.now
            await reading.beat(1.5)
            assert (reading.quality(OXYGEN), reading.value(OXYGEN)) == (GOOD, 210_500)
            assert reading.value(PRESSURE) == 1013
            assert reading.row.times[0] == heard
            assert reading.row.stamps[0] == 10**18 + heard
            await hear(device, reading, LINE + NEWER)
            await reading.beat()
            assert reading.value(OXYGEN) == 200_000
            assert device.requests == []

    asyncio.run(go())


def test_a_line_is_good_until_its_longest_age_and_no_longer(tmp_path):
    async def go():
        async with streaming(tmp_path) as (device, reading):
            await begun(device, reading)
            await hear(device, reading, LINE)
            seen = []
            for _ in range(5):
                await reading.beat()
                seen.append(reading.quality(OXYGEN))
            assert seen == [GOOD, GOOD, GOOD, BAD, BAD]
            assert math.isnan(reading.value(OXYGEN))
            assert reading.readers[0].errors["not heard"] == 2
            await hear(device, reading, LINE)
            await reading.beat()
            assert reading.quality(OXYGEN) == GOOD

    asyncio.run(go())


def test_the_simulated_sensor_is_read_second_by_second(tmp_path):
    async def go():
        sensor = StreamingSensor()
        async with streaming(tmp_path) as (device, reading):
            await begun(device, reading)
            for percent in (20.95, 0.05, 1.5):
                sensor.oxygen_percent = percent
                await hear(device, reading, sensor.second())
                await reading.beat()
                assert reading.value(OXYGEN) == pytest.approx(percent * 10_000)
            sensor.status = 1
            await hear(device, reading, sensor.second())
            await reading.beat()
            assert reading.quality(OXYGEN) == BAD, "at once, not when the last line is too old"

    asyncio.run(go())


STRANGE = {
    "A03 a NUL": LINE.replace(b"021.05", b"021.\x005"),
    "A04 a character of eight bits": LINE.replace(b"021.05", b"021.\xb05"),
    "A10 a very long line": LINE[:20] + b"0" * 10_000 + LINE[20:],
    "A11 two lines merged": LINE[:-2] + LINE,
    "A12 a digit lost": LINE.replace(b"021.05", b"21.05"),
    "A14 dashes": LINE.replace(b"021.05", b"------"),
    "A15 plusses": LINE.replace(b"021.05", b"++++++"),
    "A17 another unit": LINE.replace(b"%", b"ppm"),
    "A18 a comma": LINE.replace(b"021.05", b"021,05"),
    "half a line": LINE[:20], "no line": LINE[:-2],
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGE)
def test_no_value_comes_of(case, tmp_path, caplog):
    async def go():
        async with streaming(tmp_path) as (device, reading):
            await begun(device, reading)
            await hear(device, reading, STRANGE[case])
            for _ in range(4):
                await reading.beat()
                assert reading.quality(OXYGEN) == BAD
            await hear(device, reading, b"\r\n")
            await hear(device, reading, NEWER)
            await reading.beat()
            assert reading.value(OXYGEN) == 200_000

    caplog.set_level(logging.INFO)
    asyncio.run(go())
    assert any("no line that the map describes" in record.message for record in caplog.records)


def test_a_line_that_says_not_ready_is_told_once(tmp_path, caplog):
    """A16"""

    async def go():
        async with streaming(tmp_path) as (device, reading):
            await begun(device, reading)
            for line in (b"E 02\r\n", b"E 03\r\n", LINE[:-3] + b"1\r\n", NEWER[:-3] + b"2\r\n"):
                await hear(device, reading, line)
                await reading.beat()
                assert reading.quality(OXYGEN) == BAD

    asyncio.run(go())
    told = [record.message.partition(": ")[2] for record in caplog.records if f"no {OXYGEN}" in record.message]
    assert told == [f"no {OXYGEN}: it says 'E 02'", f"no {OXYGEN}: it says {LINE[:-3].decode() + '1'!r}"]


def test_the_rest_of_a_line_and_a_line_with_a_pause_in_it_are_not_believed(tmp_path):
    async def go():
        async with streaming(tmp_path) as (device, reading):
            await hear(device, reading, LINE)
            await reading.beat()
            assert reading.quality(OXYGEN) == BAD, "it may have begun before the port was open"
            await hear(device, reading, LINE[:12])
            reading.clock.go_on(0.3)
            await hear(device, reading, LINE[12:])
            await reading.beat(0.7)
            assert reading.quality(OXYGEN) == BAD, "two lines may have lost their middle"
            await hear(device, reading, LINE)
            await reading.beat()
            assert reading.quality(OXYGEN) == GOOD

    asyncio.run(go())


def test_an_adapter_that_is_pulled_out_gives_bad_values_and_is_found_again(tmp_path):
    async def go():
        async with streaming(tmp_path) as (device, reading):
            await begun(device, reading)
            await hear(device, reading, LINE)
            await reading.beat()
            assert reading.quality(OXYGEN) == GOOD
            device.unplug()
            await reading.beat()
            assert reading.quality(OXYGEN) == BAD
            device.plug(tmp_path / "tty-instrument")
            await reading.beat()
            await reading.beat()
            await begun(device, reading)
            await hear(device, reading, NEWER)
            await reading.beat()
            assert (reading.quality(OXYGEN), reading.value(OXYGEN)) == (GOOD, 200_000)

    asyncio.run(go())


def test_a_port_that_is_not_there_is_told_and_not_tried_at_every_beat(tmp_path, caplog):
    async def go():
        async with streaming(tmp_path) as (device, reading):
            device.unplug()
            (tmp_path / "tty-instrument").unlink()
            for _ in range(8):
                await reading.beat()
            assert reading.quality(OXYGEN) == BAD
            assert 2 <= reading.readers[0].errors["unreachable"] <= 5

    asyncio.run(go())
    assert sum("no such port" in record.message for record in caplog.records) == 1
