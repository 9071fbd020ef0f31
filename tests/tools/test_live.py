"""`check --live` against real units on ptys and real sockets: what is shown is what was on the wire."""

import asyncio
import json
import os
import signal
import struct
import sys

import pytest

from edgeagent import config
from edgeagent.clock import Clock
from edgeagent.simulate import SimulatedOven
from edgeagent.store import Database
from edgeagent.tools import ports
from edgeagent.tools.live import LiveCheck
from firmware_iface import catalog
from firmware_iface.frames.rtu import framed, request
from tests.acquire.rtu_device import device, right
from tests.tools.line import configured, edgeagent

ILLEGAL_ADDRESS = 2

IDENTIFIED = """\
[map]
id = "named"
version = "1"
title = "A controller with a name"
kind = "instrument"
[machine]
manufacturer = "x"
model = "y"
[groups.values]
period_ms = 1000
[groups.values.points]
"controller/1/kind" = {{ table = "holding", address = 12, type = "uint16", kind = "state" }}
[[identity]]
point = "controller/1/kind"
equals = {}
"""


def refusing(*addresses: int):
    """Answers rightly, but refuses what touches these holding registers."""
    def answer(asked: bytes):
        unit, function, address, count = struct.unpack(">BBHH", asked[:6])
        if function == 3 and set(addresses) & set(range(address, address + count)):
            return [framed(bytes([unit, 0x83, ILLEGAL_ADDRESS]))]
        return [right(asked)]
    return answer


async def checked(file, capsys, seconds=0.3, stop=None) -> tuple[bool, dict[str, dict]]:
    """Whether all is good, and path → what was printed."""
    configuration, maps = config.load(file)
    check = LiveCheck(configuration, maps, file.parent / "store.sqlite3", seconds, as_json=True)
    capsys.readouterr()
    is_good = await check.run(stop or asyncio.Event())
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return is_good, {one["point"].rpartition("/")[2]: one for one in printed}


def test_every_point_is_shown_as_on_the_wire_with_why_it_is_not_good(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as unit:
            is_good, points = await checked(configured(tmp_path, unit.port), capsys)
        assert not is_good
        assert (points["temperature"]["raw"], points["temperature"]["value"]) == ("000A", 10)
        assert (points["power"]["raw"], points["power"]["value"]) == ("0014 0015", 0x140015)
        assert (points["alarm"]["raw"], points["alarm"]["value"], points["alarm"]["why"]) == ("1", True, "")
        assert (points["output"]["quality"], points["output"]["value"]) == ("bad", None)
        assert points["output"]["why"] == "out of range: 11 is not from 0 to 10"
        assert points["setpoint"]["why"] == "not available: the device says that it has no value"

    asyncio.run(go())


def test_a_refused_block_is_asked_for_point_by_point_so_that_the_wrong_address_shows(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as unit:
            unit.answer = refusing(11)
            _, points = await checked(configured(tmp_path, unit.port), capsys)
        assert points["output"]["why"] == "refused: illegal address (2)"
        assert points["output"]["raw"] == ""
        assert (points["temperature"]["value"], points["temperature"]["quality"]) == (10, "good")

    asyncio.run(go())


def test_another_device_than_the_map_describes_is_told_although_all_its_points_are_good(tmp_path, capsys):
    async def go(answered: int) -> tuple[bool, str]:
        async with device(tmp_path) as unit:
            file = configured(tmp_path, unit.port)
            named = tmp_path / "named.toml"
            named.write_text(IDENTIFIED.format(answered))
            file.write_text(file.read_text().replace('map = "./controller.toml"', 'map = "./named.toml"'))
            configuration, maps = config.load(file)
            check = LiveCheck(configuration, maps, tmp_path / "store.sqlite3", 0.3, as_json=True)
            return await check.run(asyncio.Event()), capsys.readouterr().err

    assert asyncio.run(go(12))[0]
    is_good, told = asyncio.run(go(13))
    assert not is_good
    assert "not the device that named describes: controller/1/kind is 12, it must be 13" in told


def test_a_silent_unit_is_told_as_silent(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as unit:
            unit.answer = lambda asked: []
            is_good, points = await checked(configured(tmp_path, unit.port), capsys)
        assert not is_good
        assert {one["why"] for one in points.values()} == {"silent"}

    asyncio.run(go())


def test_where_another_master_asks_nothing_is_sent_and_what_was_heard_is_shown(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as line:
            asked = request(5, 3, 10, 1)

            async def other_master():
                while True:
                    line.send(asked + right(asked))
                    await asyncio.sleep(0.05)

            task = asyncio.create_task(other_master())
            is_good, points = await checked(configured(tmp_path, line.port, master=False), capsys)
            task.cancel()
            assert line.requests == [], "nothing is sent on a line of another master"
        assert not is_good
        assert (points["temperature"]["value"], points["temperature"]["quality"]) == (10, "good")
        assert points["output"]["why"] == "nobody was heard asking for it in 0.3 s"

    asyncio.run(go())


def test_a_port_that_another_program_uses_is_told_as_such(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as unit:
            import serial

            with serial.Serial(unit.port, exclusive=True):
                _, points = await checked(configured(tmp_path, unit.port), capsys)
        assert points["temperature"]["why"].endswith("in use by another program")

    asyncio.run(go())


def test_a_check_that_is_stopped_ends_with_what_was_read_and_is_not_good(tmp_path, capsys):
    async def go():
        stop = asyncio.Event()
        async with device(tmp_path) as line:
            asyncio.get_running_loop().call_later(0.1, stop.set)
            is_good, _ = await checked(configured(tmp_path, line.port, master=False), capsys, seconds=1000, stop=stop)
        assert not is_good

    asyncio.run(go())


@pytest.mark.parametrize("as_json", [True, False])
def test_a_simulated_oven_is_good_from_the_command_line_in_every_point(tmp_path, as_json):
    async def go():
        oven = SimulatedOven(catalog.builtin("reflow10"), Clock(1.0))
        port = await oven.start()
        (tmp_path / "a.toml").write_text(
            '[[machines]]\nid = "RO1"\n[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\n'
            f'host = "127.0.0.1"\nport = {port}\n')
        code, out, err = await edgeagent("check", tmp_path / "a.toml", "--live", *(["--json"] if as_json else []))
        await oven.stop()
        count = len(catalog.builtin("reflow10").registers)
        assert code == 0, err + out
        assert f"{count} points, {count} good, 0 not" in err
        assert len(out.splitlines()) == count + (0 if as_json else 2)
        assert "zone/1/top/temperature" in out

    asyncio.run(go())


def test_a_device_that_is_not_there_ends_with_1_and_says_so_for_every_point(tmp_path):
    async def go():
        (tmp_path / "a.toml").write_text(
            '[[machines]]\nid = "RO1"\n[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\n'
            'host = "127.0.0.1"\nport = 1\n')
        code, out, err = await edgeagent("check", tmp_path / "a.toml", "--live")
        assert code == 1
        assert " 0 good" in err
        assert out.count("does not accept a connection") == len(catalog.builtin("reflow10").registers)

    asyncio.run(go())


def test_ctrl_c_ends_a_check_cleanly_and_a_running_agent_is_told(tmp_path):
    async def go():
        async with device(tmp_path) as line:
            file = configured(tmp_path, line.port, master=False)
            database = Database(tmp_path / "edgeagent.sqlite3")
            database.open()
            check = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "edgeagent", "check", str(file), "--live", "--seconds", "1000",
                stderr=asyncio.subprocess.PIPE)  # fmt: skip
            told = [(await asyncio.wait_for(check.stderr.readline(), 20)).decode() for _ in range(2)]
            check.send_signal(signal.SIGINT)
            _, rest = await asyncio.wait_for(check.communicate(), 20)
            await asyncio.to_thread(database.close)
        assert f"the agent is running with this configuration (process {os.getpid()})" in told[0]
        assert "master = false, so nothing is sent" in told[1]
        assert (check.returncode, rest.decode()) == (1, "0 points, 0 good, 0 not; stopped before the end\n")

    asyncio.run(go())


def test_a_port_whose_name_may_change_is_warned_of_and_not_refused(tmp_path):
    (tmp_path / "usb-adapter").symlink_to("/dev/ttyUSB7")
    assert ports.stable_name("/dev/ttyUSB7", [tmp_path]) == str(tmp_path / "usb-adapter")
    code, _, err = asyncio.run(edgeagent("check", configured(tmp_path, "/dev/ttyUSB7")))
    assert code == 1  # it is not there
    assert "lines[0].port: /dev/ttyUSB7 may be another adapter after the next start" in err
    code, _, err = asyncio.run(edgeagent("check", configured(tmp_path, "/dev/serial/by-id/usb-FTDI_A1-if00")))
    assert (code, err) == (1, "")
