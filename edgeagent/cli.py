"""The command line: what people and systemd type."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import edgeagent
from edgeagent import config, logs
from edgeagent.arguments import number as _number
from edgeagent.errors import ConfigError, EdgeAgentError
from edgeagent.tools import commands as tools
from edgeagent.tools.ports import warnings
from firmware_iface import catalog
from firmware_iface.map_reader import FileFault
from firmware_iface.registers import RegisterMap

OK, FAILED, USAGE, BAD_CONFIGURATION = 0, 1, 2, 78
"""Exit codes; 78 is EX_CONFIG of sysexits.h."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    logs.set_up(logging.DEBUG if options.verbose else options.level, options.log)
    try:
        code: int = options.command(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    except BrokenPipeError:
        # Whoever read the output has enough; without this Python complains once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (EdgeAgentError, OSError) as error:
        print(f"edgeagent: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return OK
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edgeagent", description="The edge agent of a soldering machine.")
    parser.add_argument("--version", action="version", version=f"edgeagent {edgeagent.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, level: int = logging.INFO) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=run, level=level, log=None)
        added.add_argument("-v", "--verbose", action="store_true", help="log everything")
        return added

    demo = command("demo", _demo, "run a simulated oven and the agent against it, and show what happens", logging.ERROR)
    demo.add_argument("--boards", type=_count, metavar="N", help="end after N finished boards")
    demo.add_argument("--json", action="store_true", help="print the JSON-RPC notifications as lines instead")
    demo.add_argument("--http-port", type=_port, default=8480, metavar="PORT", help="8480; 0 takes any free port")
    demo.add_argument("--tcp-port", type=_port, default=8481, metavar="PORT", help="8481; 0 takes any free port")
    demo.add_argument("--modbus-port", type=_port, default=0, metavar="PORT", help="of the oven; 0 takes any free port")
    _oven_options(demo)

    simulate = command("simulate", _simulate, "serve simulated devices over Modbus TCP or on a serial line")
    _simulate_options(simulate)

    run = command("run", _run, "run the agent with a configuration")
    run.add_argument("configuration", type=Path)
    run.add_argument("--log", choices=("json", "text"), help="how logs look (json under systemd, else text)")
    tools.record_options(run)
    check = command("check", _check, "check a configuration and the maps that it names")
    check.add_argument("configuration", type=Path)
    tools.live_options(check)
    firmware = command("firmware", _firmware, "write what is made from a register map")
    firmware.add_argument("what", choices=("header", "page", "schema"),
                          help="a C99 header, a Markdown page, or the JSON Schema of the map language")
    firmware.add_argument("map", nargs="?", help="name or file of a register map (not for schema)")
    tools.add_to(lambda name, work, text, level: command(name, _tool(work), text, level))
    return parser


def _simulate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--map", action="append", metavar="NAME[:UNIT]", dest="maps",
                        help="name or file of a register map (reflow10); several share the wire, each as its unit")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=5020, help="5020; 0 takes any free port")
    parser.add_argument("--serial", metavar="PATH",
                        help="serve Modbus RTU instead, or text where the map does: on a serial port, or on a pty that"
                             " gets this name")
    parser.add_argument("--baud", type=_baud, default=19200, help="of the serial line (19200)")
    parser.add_argument("--parity", choices=("none", "even", "odd"), default="even", help="of the serial line (even)")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=1, help="of the serial line (1)")
    parser.add_argument("--boards", type=_count, metavar="N", help="let N boards enter, then no more")
    _oven_options(parser)


def _tool(work: tools.Work) -> Callable[[argparse.Namespace], int]:
    """A field tool as a command."""
    async def run(options: argparse.Namespace) -> int:
        return OK if await work(options, _signals()) else FAILED

    return lambda options: _loop(run(options))


def _oven_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--speed", type=_speed, default=10.0, metavar="X", help="times real time, 0.1 to 60 (10)")
    parser.add_argument("--cold", action="store_true", help="start from a cold oven")
    parser.add_argument("--seed", type=int, default=1, help="of the oven's noise (1)")
    parser.add_argument("--interval", type=_seconds, default=60.0, metavar="S", help="oven seconds between boards (60)")
    parser.add_argument("--fault", action="append", default=[], metavar="SPEC",
                        help="a fault, for example heater-dead:zone/3/top@120+60; may be given several times")


def _demo(options: argparse.Namespace) -> int:
    from edgeagent.demo import Demo  # noqa: PLC0415  the other commands start without it

    return _loop(Demo(options).run())


def _simulate(options: argparse.Namespace) -> int:
    from edgeagent.simulate import Serial, Tcp, serve  # noqa: PLC0415

    maps = _units(options.maps or ["reflow10"])
    if any(register_map.instrument for register_map in maps.values()):
        return _loop(_until_signalled(_speak(maps, options)))
    wire: Serial | Tcp = Tcp(options.host, options.port)
    if options.serial:
        wire = Serial(options.serial, options.baud, options.parity, options.stop_bits)
    return _loop(_until_signalled(serve(
        maps, wire, lambda line: print(line, flush=True), speed=options.speed, cold=options.cold, seed=options.seed,
        boards=options.boards, interval_s=options.interval, faults=options.fault,
    )))  # fmt: skip


async def _speak(maps: dict[int, RegisterMap], options: argparse.Namespace) -> None:
    """Serve instruments that speak text; raises ConfigError."""
    from edgeagent.simulate import speak  # noqa: PLC0415

    for key, is_wrong, reason in (("--serial", not options.serial, "an instrument that speaks text needs a line"),
                                  ("--fault", options.fault, "an instrument that speaks text takes no faults")):
        if is_wrong:
            raise ConfigError([FileFault("command line", None, key, reason)])
    await speak(maps, options.serial, options.baud, options.parity, options.stop_bits,
                lambda line: print(line, flush=True))


def _units(names: Sequence[str]) -> dict[int, RegisterMap]:
    """Load maps by `name[:unit]`, one for each unit; raises ConfigError."""
    maps: dict[int, RegisterMap] = {}
    for name in names:
        file, colon, given = name.rpartition(":")
        has_unit = bool(colon) and given.isdecimal()
        register_map = _map(file if has_unit else name)
        unit = int(given) if has_unit else register_map.device.unit
        if unit in maps or unit > 255:
            reason = f"unit {unit} is {maps[unit].id} already" if unit in maps else f"there is no unit {given}"
            raise ConfigError([FileFault("command line", None, "--map", reason, "write --map NAME:UNIT")])
        maps[unit] = register_map
    return maps


def _firmware(options: argparse.Namespace) -> int:
    from firmware_iface import header, pages, schema  # noqa: PLC0415

    if options.what == "schema":
        sys.stdout.write(schema.schema_text())
        return OK
    if options.map is None:
        print(f"edgeagent: name a map: edgeagent firmware {options.what} reflow10", file=sys.stderr)
        return USAGE
    register_map = _map(options.map)
    if options.what == "header" and register_map.instrument:
        raise ConfigError([FileFault(options.map, None, "instrument", "it speaks text: no firmware has its registers")])
    make = {"header": header.header_text, "page": pages.page_text}[options.what]
    sys.stdout.write(make(register_map))
    return OK


def _map(name: str) -> RegisterMap:
    """Load a map by its name or file; raises ConfigError."""
    try:
        return catalog.load(name) if name.endswith(".toml") else catalog.builtin(name)
    except catalog.MapError as error:
        raise ConfigError(error.faults) from None


def _run(options: argparse.Namespace) -> int:
    return _loop(_serve(options))


def _check(options: argparse.Namespace) -> int:
    configuration, maps = config.load(options.configuration)
    for warning in warnings(configuration.lines):
        print(f"{options.configuration}: {warning}", file=sys.stderr)
    if options.live:
        return _tool(tools.check_live)(options)
    for machine in configuration.machines:
        for source, register_map in zip(machine.sources, maps[machine.id], strict=True):
            print(f"{machine.id}: {config.place_of(source, register_map)} speaks {register_map.id} "
                  f"{register_map.version} ({len(register_map.registers)} points, "
                  f"fingerprint {register_map.fingerprint})")
    print(f"{options.configuration} can be used")
    return OK


async def _serve(options: argparse.Namespace) -> int:
    from edgeagent.service import Service  # noqa: PLC0415

    await Service(options.configuration, options.record, options.megabytes, lambda line: print(line, flush=True)).run()
    return OK


async def _until_signalled(work: Coroutine[Any, Any, None]) -> int:
    stop = _signals()
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return OK


def _signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _loop(work: Coroutine[Any, Any, int]) -> int:
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop  # noqa: PLC0415

    return uvloop.run(work)


def _port(text: str) -> int:
    return round(_number(text, int, 0, 65535))


def _baud(text: str) -> int:
    return round(_number(text, int, 300, 4_000_000))


def _count(text: str) -> int:
    return round(_number(text, int, 1, 1_000_000))


def _speed(text: str) -> float:
    return _number(text, float, 0.1, 60)


def _seconds(text: str) -> float:
    return _number(text, float, 5, 86_400)
