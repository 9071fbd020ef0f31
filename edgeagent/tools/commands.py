"""The field tools on the command line: their options, and how each begins."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeagent.arguments import number
from edgeagent.tools import (
    access,
    clients,
    controlling,
    keeping,
    keeping_certificates,
    keeping_users,
    prove,
    simulating,
)
from edgeagent.tools.asking import INSTALLED, parsed

if TYPE_CHECKING:
    import asyncio

    from firmware_iface.registers import RegisterMap

Work = Callable[[argparse.Namespace, "asyncio.Event"], Coroutine[Any, Any, bool]]
"""A command with its options, to be ended early by the event; says whether it went well."""
Add = Callable[[str, Work, str, int], argparse.ArgumentParser]
"""Adds a command by its name, its work, its text and its log level."""

# What a command needs is imported where it begins, so that all the others start without it.


def add_to(add: Add) -> None:
    """Add simulate, record, replay, scan, prove, and what an administrator needs."""
    simulating.add_to(add)
    recording = add("record", _record, "run the agent without outlets and record its wires, see replay", logging.INFO)
    recording.add_argument("configuration", type=Path)
    recording.add_argument("file", type=Path, help="a new file")
    recording.add_argument("--seconds", type=_duration, metavar="S", help="end after this time")
    size_option(recording)
    playing = add("replay", _replay, "play a recording through the agent and print its events", logging.ERROR)
    playing.add_argument("file", type=Path)
    playing.add_argument("--config", type=Path, metavar="CONFIG", help="play it with another configuration or map")
    playing.add_argument("--store", type=Path, metavar="FILE", help="keep the database here")
    playing.add_argument("--frames", action="store_true", help="print the raw frames instead of playing")
    _support_options(add("support", _support, "pack what helps to find a fault into one file", logging.ERROR))
    _root_options(add("install", _install, "install the service: user, folders, unit, udev rule", logging.ERROR))
    removing = add("uninstall", _uninstall, "remove the service; configuration and store stay", logging.ERROR)
    _root_options(removing)
    removing.add_argument("--purge", action="store_true", help="remove configuration, store and user as well")
    _client_options(add("client", _client, "write a typed client, or the contract that it is made from", logging.ERROR))
    _scan_options(add("scan", _scan, "find the units on a serial line; without a port, list the ports", logging.ERROR))
    keeping.add_to(add)
    keeping_users.add_to(add, keeping.which_store)
    keeping_certificates.add_to(add, keeping.which_store)
    controlling.add_to(add)
    prove.add_to(add)


def _support_options(support: argparse.ArgumentParser) -> None:
    support.add_argument("--config", type=Path, metavar="FILE", help=f"the agent's configuration ({INSTALLED})")
    support.add_argument("--output", type=Path, metavar="FILE",
                         help="a new file (edgeagent-support-DATE-TIME.tar.gz); none is ever overwritten")
    support.add_argument("--agent", type=parsed, metavar="URL",
                         help="where the agent is, if the configuration does not say it")
    access.add_options(support)


def record_options(run: argparse.ArgumentParser) -> None:
    """Let the running agent record."""
    run.add_argument("--record", type=Path, metavar="FILE", help="record the wires to a new file, see replay")
    size_option(run)


def size_option(parser: argparse.ArgumentParser) -> None:
    """Bound a recording."""
    parser.add_argument("--megabytes", type=_megabytes, default=1000.0, metavar="MB",
                        help="a recording ends at this size (1000)")


def live_options(check: argparse.ArgumentParser) -> None:
    """Let a configuration be checked against the devices."""
    check.add_argument("--live", action="store_true", help="ask every device once for everything, and show each point")
    check.add_argument("--json", action="store_true",
                       help="print one JSON object; with --live, one for each point")
    check.add_argument("--seconds", type=_duration, default=10.0, metavar="S",
                       help="with --live: how long to listen on lines with master = false (10)")


def _client_options(client: argparse.ArgumentParser) -> None:
    client.add_argument("what", choices=clients.WRITTEN,
                        help="a client in this language, the OpenRPC document, or a page about it")
    client.add_argument("--output", type=Path, metavar="FILE", help="write here instead of printing")
    client.add_argument("--from", dest="url", metavar="URL",
                        help="take the document of a running agent, for example http://127.0.0.1:8480/rpc")
    access.add_options(client)


def _scan_options(scan: argparse.ArgumentParser) -> None:
    scan.add_argument("port", nargs="?", help="listened to first; asked only when nobody else was heard")
    scan.add_argument("--baud", type=_baud, nargs="+", default=[19200, 9600, 38400, 115200], metavar="BAUD",
                      help="speeds to try (19200 9600 38400 115200)")
    scan.add_argument("--parity", nargs="+", default=["even", "none"], choices=("even", "none", "odd"),
                      help="parities to try (even none)")
    scan.add_argument("--stop-bits", type=int, nargs="+", default=[1], choices=(1, 2), help="stop bits to try (1)")
    scan.add_argument("--units", type=_units, default=range(1, 248), metavar="A-B", help="units to ask (1-247)")
    scan.add_argument("--timeout", type=_milliseconds, default=100.0, metavar="MS", help="wait for an answer (100)")
    scan.add_argument("--listen", type=_duration, default=2.0, metavar="S", help="listen so long with each setting (2)")
    scan.add_argument("--map", action="append", default=[],
                      help="hold this map against each unit (all shipped ones that have an identity)")
    scan.add_argument("--anyway", action="store_true", help="send although somebody else talks on the line")


def _root_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="work on the tree of an image (/)")


async def check_live(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    """Ask every device of a configuration; raises ConfigError."""
    from edgeagent import config  # noqa: PLC0415
    from edgeagent.tools.live import LiveCheck  # noqa: PLC0415
    from edgeagent.tools.ports import warnings  # noqa: PLC0415

    configuration, maps = config.load(options.configuration)
    for warning in warnings(configuration.lines):
        print(f"{options.configuration}: {warning}", file=sys.stderr)
    store = options.configuration.parent / configuration.agent.store
    return await LiveCheck(configuration, maps, store, options.seconds, options.json).run(stop)


async def _record(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent import config  # noqa: PLC0415
    from edgeagent.tools.record import record  # noqa: PLC0415

    configuration, maps = config.load(options.configuration)
    await record(options.file, options.megabytes, options.configuration, configuration, maps, options.seconds, stop)
    return True


async def _replay(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent.recording.reader import Recording  # noqa: PLC0415
    from edgeagent.tools import frames, replay  # noqa: PLC0415

    if options.frames:
        for line in frames.lines(Recording(options.file).entries()):
            print(line)
    else:
        await replay.replay(options.file, options.config, options.store, stop)
    return True


async def _support(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent.tools.support import pack  # noqa: PLC0415

    pack(options, print)
    return True


async def _install(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent.tools.install import install  # noqa: PLC0415

    return await install(options.root, options.yes, stop)


async def _uninstall(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent.tools.install import uninstall  # noqa: PLC0415

    return await uninstall(options.root, options.yes, options.purge, stop)


async def _scan(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    from edgeagent.tools import ports  # noqa: PLC0415
    from edgeagent.tools.scan import Scan, Wanted, settings  # noqa: PLC0415

    if options.port is None:
        found = ports.ports()
        for port in found:
            print(f"{port.stable or port.name}  {port.name}  {port.text}")
        if not found:
            print("this computer has no serial port", file=sys.stderr)
        return bool(found)
    if warning := ports.warning(options.port):
        print(warning, file=sys.stderr)
    maps = _maps(options.map)
    tried = settings(options.baud, options.parity, options.stop_bits)
    return await Scan(Wanted(options.port, tried, options.units, options.timeout / 1000, options.listen, maps,
                             bool(options.map), options.anyway)).run(stop)


async def _client(options: argparse.Namespace, _: asyncio.Event) -> bool:
    from edgeagent.tools import client  # noqa: PLC0415

    client.put(client.write(options.what, options.url, access.access_of(options)), options.output)
    return True


def _maps(names: list[str]) -> dict[str, RegisterMap]:
    """The maps of these names, or all that come with the agent and tell a device from others; raises ConfigError."""
    from edgeagent import config  # noqa: PLC0415
    from edgeagent.errors import ConfigError  # noqa: PLC0415
    from firmware_iface import catalog, identity  # noqa: PLC0415

    try:
        if names:
            return {name: config.find_map(Path(), name) for name in names}
    except catalog.MapError as error:
        raise ConfigError(error.faults) from None
    maps = {name: catalog.builtin(name) for name in catalog.builtin_names()}
    return {name: register_map for name, register_map in maps.items() if identity.points(register_map)}


def _duration(text: str) -> float:
    return number(text, float, 0.1, 86_400)


def _megabytes(text: str) -> float:
    return number(text, float, 0.01, 100_000)


def _milliseconds(text: str) -> float:
    return number(text, float, 1, 10_000)


def _baud(text: str) -> int:
    return round(number(text, int, 300, 1_000_000))


def _units(text: str) -> range:
    first, _, last = text.partition("-")
    units = range(round(number(first, int, 1, 247)), round(number(last or first, int, 1, 247)) + 1)
    if not units:
        raise argparse.ArgumentTypeError(f"{text!r} holds no unit; give the lower one first")
    return units
