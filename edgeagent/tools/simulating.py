"""`edgeagent simulate`: simulated devices on a wire, and the options that it shares with the demonstration."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgeagent.arguments import number, port
from edgeagent.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    import asyncio
    from collections.abc import Sequence

    from edgeagent.tools.commands import Add
    from firmware_iface.registers import RegisterMap


def add_to(add: Add) -> None:
    """Add simulate."""
    parser = add("simulate", _simulate, "serve simulated devices over Modbus TCP or on a serial line", logging.INFO)
    parser.add_argument("--map", action="append", metavar="NAME[:UNIT]", dest="maps",
                        help="name or file of a register map (reflow10); several share the wire, each as its unit")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=port, default=5020, help="5020; 0 takes any free port")
    parser.add_argument("--serial", metavar="PATH",
                        help="serve Modbus RTU instead, or text where the map does: on a serial port, or on a pty that"
                             " gets this name")
    parser.add_argument("--baud", type=_baud, default=19200, help="of the serial line (19200)")
    parser.add_argument("--parity", choices=("none", "even", "odd"), default="even", help="of the serial line (even)")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=1, help="of the serial line (1)")
    parser.add_argument("--boards", type=_boards, metavar="N", help="let N boards enter, then no more; 0 for none")
    oven_options(parser)


def oven_options(parser: argparse.ArgumentParser) -> None:
    """Let the simulated oven be another one."""
    parser.add_argument("--speed", type=_speed, default=10.0, metavar="X", help="times real time, 0.1 to 60 (10)")
    parser.add_argument("--cold", action="store_true", help="start from a cold oven")
    parser.add_argument("--seed", type=int, default=1, help="of the oven's noise (1)")
    parser.add_argument("--interval", type=_seconds, default=60.0, metavar="S", help="oven seconds between boards (60)")
    parser.add_argument("--fault", action="append", default=[], metavar="SPEC",
                        help="a fault, for example heater-dead:zone/3/top@120+60; may be given several times; a wrong"
                             " name is answered with all there are")


async def _simulate(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent.simulate import Serial, Tcp, serve  # noqa: PLC0415
    from edgeagent.tools.stopping import until  # noqa: PLC0415

    maps = _units(options.maps or ["reflow10"])
    if any(register_map.instrument for register_map in maps.values()):
        await until(stop, _speak(maps, options))
        return True
    wire: Serial | Tcp = Tcp(options.host, options.port)
    if options.serial:
        wire = Serial(options.serial, options.baud, options.parity, options.stop_bits)
    await until(stop, serve(
        maps, wire, _say, speed=options.speed, cold=options.cold, seed=options.seed, boards=options.boards,
        interval_s=options.interval, faults=options.fault,
    ))  # fmt: skip
    return True


async def _speak(maps: dict[int, RegisterMap], options: argparse.Namespace) -> None:
    """Serve instruments that speak text; raises ConfigError."""
    from edgeagent.simulate import speak  # noqa: PLC0415

    if not options.serial:
        raise _wrong("--serial", "an instrument that speaks text needs a line")
    if options.fault:
        raise _wrong("--fault", "an instrument that speaks text takes no faults")
    await speak(maps, options.serial, options.baud, options.parity, options.stop_bits, _say)


def _units(names: Sequence[str]) -> dict[int, RegisterMap]:
    """Load maps by `name[:unit]`, one for each unit; raises ConfigError."""
    from edgeagent.tools.firmware import map_of  # noqa: PLC0415

    maps: dict[int, RegisterMap] = {}
    for name in names:
        file, colon, given = name.rpartition(":")
        has_unit = bool(colon) and given.isdecimal()
        register_map = map_of(file if has_unit else name)
        unit = int(given) if has_unit else register_map.device.unit
        if unit in maps or unit > 255:
            reason = f"unit {unit} is {maps[unit].id} already" if unit in maps else f"there is no unit {given}"
            raise _wrong("--map", reason, "write --map NAME:UNIT")
        maps[unit] = register_map
    return maps


def _wrong(option: str, reason: str, mend: str = "") -> ConfigError:
    from firmware_iface.map_reader import FileFault  # noqa: PLC0415

    return ConfigError([FileFault("command line", None, option, reason, mend)])


def _say(line: str) -> None:
    print(line, flush=True)


def _baud(text: str) -> int:
    return round(number(text, int, 300, 4_000_000))


def _boards(text: str) -> int:
    return round(number(text, int, 0, 1_000_000))


def _speed(text: str) -> float:
    return number(text, float, 0.1, 60)


def _seconds(text: str) -> float:
    return number(text, float, 5, 86_400)
