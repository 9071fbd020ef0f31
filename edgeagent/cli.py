"""The command line: what people and systemd type."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgeagent
from edgeagent import logs
from edgeagent.arguments import count, port
from edgeagent.errors import AgentRefused, AgentUnreachable, ConfigError, EdgeAgentError
from edgeagent.tools import commands as tools
from edgeagent.tools import look
from edgeagent.tools.simulating import oven_options

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Sequence

OK, FAILED, USAGE, UNREACHABLE, REFUSED, BAD_CONFIGURATION = 0, 1, 2, 3, 4, 78
"""Exit codes; 78 is EX_CONFIG of sysexits.h."""

_EXIT_CODES = """\
Exit codes: 0 well, 1 failed, 2 wrong usage, 3 the agent cannot be reached, 4 the agent refused,
78 wrong configuration."""

_GROUPS = {
    "run": ("demo", "run", "check", "remote", "push"),
    "look at a running agent": ("status", "boards", "board", "recipes", "tail", "call"),
    "tools for the field": ("scan", "record", "replay", "simulate", "prove", "firmware", "client"),
    "administer": ("install", "uninstall", "users", "keys", "opcua", "backup", "restore", "store", "audit", "support",
                   "schema", "completion"),
}
"""How the help is ordered; commands that are not named here stand at the end."""

# What a command needs is imported where it begins, so that all the others start without it.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no ° is no reason to fail
    options = parser().parse_args(arguments)
    logs.set_up(logging.DEBUG if options.verbose else options.level, options.log)
    try:
        code: int = options.command(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    except BrokenPipeError:
        _read_no_more()
        return OK
    except (EdgeAgentError, OSError) as error:
        print(f"edgeagent: {error}", file=sys.stderr)
        return {AgentUnreachable: UNREACHABLE, AgentRefused: REFUSED}.get(type(error), FAILED)
    except KeyboardInterrupt:
        return OK
    return code


def _open_streams() -> None:
    """Give a program that was begun without a standard stream (`>&-`) an empty one: no file may take its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _read_no_more() -> None:
    """Whoever read the output has enough; without this Python complains once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """The whole command line, whose help tells its commands by what they are for."""

    def format_help(self) -> str:
        """The help in 80 columns."""
        commands = next(action for action in self._actions if isinstance(action, argparse._SubParsersAction))
        texts = {str(choice.dest): choice.help or "" for choice in commands._choices_actions}
        named = {name for group in _GROUPS.values() for name in group}
        lines = ["usage: edgeagent [-h] [--version] COMMAND ...", "", self.description or ""]
        for title, names in _GROUPS.items():
            group = [*names, *(texts.keys() - named if title == "administer" else ())]
            lines += ["", f"{title}:"]
            lines += [line for name in (names or sorted(group)) for line in _entry(name, texts[name])]
        lines += ["", *textwrap.wrap("edgeagent COMMAND --help tells more. " + " ".join(_EXIT_CODES.split()), 80)]
        return "\n".join(lines) + "\n"


def _entry(name: str, text: str) -> list[str]:
    return textwrap.wrap(text, 80, initial_indent=f"  {name:<12} ", subsequent_indent=" " * 15)


def parser() -> argparse.ArgumentParser:
    """Everything that can be typed."""
    whole = _Parser(prog="edgeagent", description="The edge agent of a soldering machine.")
    whole.add_argument("--version", action="version", version=f"edgeagent {edgeagent.__version__}")
    commands = whole.add_subparsers(title="commands", required=True, metavar="COMMAND",
                                    parser_class=argparse.ArgumentParser)

    def command(name: str, run: Any, text: str, level: int = logging.INFO) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, epilog=_EXIT_CODES)
        added.set_defaults(command=run, level=level, log=None)
        added.add_argument("-v", "--verbose", action="store_true", help="log everything")
        return added

    demo = "run a simulated oven and the agent against it, and show what happens"
    _demo_options(command("demo", _demo, demo, logging.ERROR))
    run = command("run", _run, "run the agent with a configuration")
    run.add_argument("configuration", type=Path)
    run.add_argument("--log", choices=("json", "text"), help="how logs look (json under systemd, else text)")
    tools.record_options(run)
    check = command("check", _check, "check a configuration, its maps, and whether the agent can run with it here")
    check.add_argument("configuration", type=Path)
    tools.live_options(check)
    look.add_to(lambda name, work, text: command(name, _well(work), text, logging.ERROR))
    tools.add_to(lambda name, work, text, level: command(name, _tool(work), text, level))
    firmware = command("firmware", _firmware, "write what is made from a register map")
    firmware.add_argument("what", choices=("header", "page", "schema"),
                          help="a C99 header, a Markdown page, or the JSON Schema of the map language")
    firmware.add_argument("map", nargs="?", help="name or file of a register map (not for schema)")
    command("schema", _schema, "write the JSON Schema of the configuration, for editors")
    completion = command("completion", _completion, "write what a shell completes: source it, or put it in its folder")
    completion.add_argument("shell", choices=("bash", "zsh"))
    return whole


def _demo_options(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--boards", type=count, metavar="N", help="end after N finished boards")
    demo.add_argument("--json", action="store_true", help="print the JSON-RPC notifications as lines instead")
    demo.add_argument("--http-port", type=port, default=8480, metavar="PORT", help="8480; 0 takes any free port")
    demo.add_argument("--tcp-port", type=port, default=8481, metavar="PORT", help="8481; 0 takes any free port")
    demo.add_argument("--opcua-port", type=port, default=4840, metavar="PORT", help="4840; 0 takes any free port")
    demo.add_argument("--modbus-port", type=port, default=0, metavar="PORT", help="of the oven; 0 takes any free port")
    oven_options(demo)


def _well(work: Callable[[argparse.Namespace], bool]) -> Callable[[argparse.Namespace], int]:
    return lambda options: OK if work(options) else FAILED


def _tool(work: tools.Work) -> Callable[[argparse.Namespace], int]:
    """A field tool as a command."""
    async def run(options: argparse.Namespace) -> int:
        return OK if await work(options, _signals()) else FAILED

    return lambda options: _loop(run(options))


def _demo(options: argparse.Namespace) -> int:
    from edgeagent.demo import Demo  # noqa: PLC0415

    return _loop(Demo(options).run())


def _firmware(options: argparse.Namespace) -> int:
    from edgeagent.tools.firmware import write  # noqa: PLC0415

    return OK if write(options.what, options.map) else USAGE


def _schema(_: argparse.Namespace) -> int:
    from edgeagent.config.schema import schema_text  # noqa: PLC0415

    sys.stdout.write(schema_text())
    return OK


def _completion(options: argparse.Namespace) -> int:
    from edgeagent.tools.completion import script  # noqa: PLC0415

    print(script(parser(), options.shell))
    return OK


def _check(options: argparse.Namespace) -> int:
    if options.live:
        return _tool(tools.check_live)(options)
    from edgeagent.tools.check import check  # noqa: PLC0415

    return OK if check(options.configuration, as_json=options.json) else FAILED


def _run(options: argparse.Namespace) -> int:
    return _loop(_serve(options))


async def _serve(options: argparse.Namespace) -> int:
    from edgeagent.service import Service  # noqa: PLC0415

    await Service(options.configuration, options.record, options.megabytes, _say).run()
    return OK


def _say(line: str) -> None:
    """Print a line; that nobody takes it is no reason for an agent to end."""
    try:
        print(line, flush=True)
    except OSError:
        _read_no_more()


def _signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    import asyncio  # noqa: PLC0415
    import signal  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _loop(work: Coroutine[Any, Any, int]) -> int:
    if sys.platform == "win32":
        import asyncio  # noqa: PLC0415

        return asyncio.run(work)
    import uvloop  # noqa: PLC0415

    return uvloop.run(work)
