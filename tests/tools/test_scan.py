"""A line is scanned: who is there is found, another master is left alone, and the proposal can be used as it is."""

import asyncio
import struct
import termios
import tomllib

import pytest

from edgeagent import config
from edgeagent.tools import proposal
from edgeagent.tools.scan import Scan, Settings, Wanted, settings
from firmware_iface import catalog
from firmware_iface.frames.rtu import framed, request
from tests.acquire.rtu_device import device, right
from tests.tools.line import MAP, edgeagent

ILLEGAL_ADDRESS = 2


def answering(line, *units: int, baud: int = termios.B9600, holding: bool = True):
    """Units that answer at one speed only; without holding registers they refuse those."""
    def answer(asked: bytes):
        if asked[0] not in units or termios.tcgetattr(line._slave)[4] != baud:
            return []
        unit, function = struct.unpack(">BB", asked[:2])
        return [right(asked)] if holding or function != 3 else [framed(bytes([unit, 0x83, ILLEGAL_ADDRESS]))]
    return answer


def wanted(port: str, units=range(1, 5), maps=None, anyway=False, bauds=(19200, 9600), listen_s=0.05) -> Wanted:
    return Wanted(port, settings(bauds, ("none",), (1,)), units, 0.01, listen_s, maps or {}, True, anyway)


async def scanned(capsys, what: Wanted, stop=None) -> tuple[bool, Scan, str, str]:
    capsys.readouterr()
    scan = Scan(what)
    is_found = await scan.run(stop or asyncio.Event())
    told = capsys.readouterr()
    return is_found, scan, told.out, told.err


def test_units_are_found_at_their_speed_and_nothing_is_asked_at_another_one_after_that(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as line:
            line.answer = answering(line, 2, 4)
            is_found, scan, out, err = await scanned(capsys, wanted(line.port, bauds=(19200, 9600, 38400)))
        assert is_found
        at, found = scan.found
        assert at == Settings(9600, "none", 1)
        assert [(one.unit, one.proof) for one in found] == [
            (2, "holding 0: 0000, input 0: 0000"), (4, "holding 0: 0000, input 0: 0000")]
        assert "asking 4 units with 3 settings at most" in err
        assert "38400 8N1: asking" not in err
        document = tomllib.loads(out)
        assert document["lines"] == [{"id": "line1", "port": line.port, "baud": 9600, "parity": "none",
                                      "stop_bits": 1, "master": True}]
        assert [machine["sources"][0]["unit"] for machine in document["machines"]] == [2, 4]

    asyncio.run(go())


def test_a_refusal_proves_a_unit_as_well_as_data_does(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as line:
            line.answer = answering(line, 3, holding=False)
            _, scan, _, _ = await scanned(capsys, wanted(line.port))
        assert [one.proof for one in scan.found[1]] == ["holding 0: refused: illegal address (2), input 0: 0000"]

    asyncio.run(go())


def test_every_question_is_a_read_of_one_register(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as line:
            line.answer = answering(line, 1)
            await scanned(capsys, wanted(line.port))
            asked = {struct.unpack(">BHH", one[1:6]) for one in line.requests}
        assert asked == {(3, 0, 1), (4, 0, 1)}

    asyncio.run(go())


def test_a_map_that_a_unit_answers_for_is_named_and_the_proposal_is_a_configuration(tmp_path, capsys):
    (tmp_path / "controller.toml").write_text(MAP.replace("max_gap", "latency_ms = 20\nmax_gap"))
    name = str(tmp_path / "controller.toml")

    async def go():
        async with device(tmp_path) as line:
            line.answer = answering(line, 3, 4)
            _, scan, out, err = await scanned(capsys, wanted(line.port, maps={name: catalog.load(name)}))
        assert scan.found[1][0].fits == (proposal.Fit(name, 5, 5),)
        assert "5 of its 5 points are answered, 3 of them good" in err
        (tmp_path / "agent.toml").write_text(out)
        configuration, maps = config.load(tmp_path / "agent.toml")
        assert (maps["M3"][0].id, maps["M4"][0].id) == ("controller", "controller")
        assert configuration.lines[0].master

    asyncio.run(go())


def test_of_two_maps_the_one_whose_identity_fits_is_proposed(tmp_path, capsys):
    maps = {}
    for code in (4711, 10):
        name = str(tmp_path / f"{code}.toml")
        identity = f'[[identity]]\npoint = "controller/1/temperature"\nequals = {code}\n'
        (tmp_path / f"{code}.toml").write_text(MAP + identity)
        maps[name] = catalog.load(name)

    async def go():
        async with device(tmp_path) as line:
            line.answer = answering(line, 3)
            _, scan, out, err = await scanned(capsys, wanted(line.port, maps=maps))
        assert [fit.name for fit in scan.found[1][0].fits] == [str(tmp_path / "10.toml")]
        assert "4711.toml: controller/1/temperature is 10, it must be 4711" in err
        assert tomllib.loads(out)["machines"][0]["sources"][0]["map"] == str(tmp_path / "10.toml")

    asyncio.run(go())


async def conversation(line) -> None:
    """Another master asks unit 7, which does not answer, again and again."""
    while True:
        line.send(request(7, 3, 100, 2))
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("anyway", [False, True])
def test_another_master_is_told_and_left_alone_unless_it_is_wanted_otherwise(tmp_path, capsys, anyway):
    async def go():
        async with device(tmp_path) as line:
            line.answer = answering(line, 2)
            other = asyncio.create_task(conversation(line))
            what = wanted(line.port, anyway=anyway, listen_s=0.2, bauds=(9600,), units=range(1, 3))
            is_found, _, out, err = await scanned(capsys, what)
            other.cancel()
            assert is_found
            assert bool(line.requests) == anyway
        assert "9600 8N1: another master asks on this line" in err
        assert "unit 7 is asked for 2 of table holding from 100" in err
        if not anyway:
            assert "nothing is sent" in err
            assert tomllib.loads(out)["lines"][0]["master"] is False
            assert [source["unit"] for source in tomllib.loads(out)["machines"][0]["sources"]] == [7]

    asyncio.run(go())


def test_somebody_who_talks_at_another_speed_is_left_alone_too(tmp_path, capsys):
    async def babble(line):
        while True:
            line.send(b"\x9c\x00\xf8\x80")
            await asyncio.sleep(0.01)

    async def go():
        async with device(tmp_path) as line:
            other = asyncio.create_task(babble(line))
            is_found, _, out, err = await scanned(capsys, wanted(line.port, listen_s=0.2))
            other.cancel()
            assert line.requests == []
        assert (is_found, out) == (False, "")
        assert "somebody talks, but not understandably" in err

    asyncio.run(go())


def test_a_scan_that_is_stopped_proposes_what_was_found_so_far(tmp_path, capsys):
    async def go():
        stop = asyncio.Event()
        async with device(tmp_path) as line:
            answer = answering(line, 2)

            def until_unit_3(asked):
                if asked[0] == 3:
                    stop.set()
                return answer(asked)

            line.answer = until_unit_3
            what = wanted(line.port, bauds=(9600,), units=range(1, 248))
            is_found, _, out, err = await scanned(capsys, what, stop)
        assert is_found
        assert "stopped" in err
        assert [source["unit"] for source in tomllib.loads(out)["machines"][0]["sources"]] == [2]

    asyncio.run(go())


def test_settings_that_the_port_does_not_take_are_told_and_passed_over(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as line:
            line.answer = answering(line, 1)
            what = wanted(line.port)._replace(settings=settings((9600,), ("none", "even"), (1,)), units=range(2, 3))
            is_found, _, _, err = await scanned(capsys, what)
        assert not is_found
        assert "9600 8E1: " in err
        assert "does not take this speed, parity" in err
        assert "9600 8N1: asking" in err

    asyncio.run(go())


def test_settings_that_the_port_does_not_take_twice_are_told_and_passed_over(tmp_path, capsys):
    async def go():
        async with device(tmp_path) as line:
            line.answer = answering(line, 2)
            what = wanted(line.port)._replace(settings=settings((9600,), ("even", "none"), (1,)), units=range(2, 3))
            is_found, scan, _, err = await scanned(capsys, what)
        assert is_found, err
        assert "9600 8E1: asking" in err
        assert scan.found[1][0].unit == 2

    asyncio.run(go())


def test_a_scan_from_the_command_line_finds_a_unit_or_says_that_nobody_is_there(tmp_path):
    async def go():
        async with device(tmp_path) as line:
            line.answer = answering(line, 2)
            options = ("--baud", 9600, "--parity", "none", "--timeout", 20, "--listen", 0.1)
            code, out, err = await edgeagent("scan", line.port, *options, "--units", "1-3")
            assert (code, tomllib.loads(out)["lines"][0]["parity"]) == (0, "none"), err
            code, out, err = await edgeagent("scan", line.port, *options, "--units", 5)
            assert (code, out) == (1, "")
            assert "nobody found" in err
        code, _, err = await edgeagent("scan", tmp_path / "no-such-port", *options)
        assert code == 1
        assert "there is no such port" in err
        code, _, err = await edgeagent("scan", "x", "--units", "9-3")
        assert code == 2
        assert "give the lower one first" in err
        code, out, err = await edgeagent("scan")
        assert bool(out) == (code == 0)
        assert bool(out) != ("no serial port" in err)

    asyncio.run(go())
