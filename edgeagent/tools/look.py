"""The commands that look at a running agent: their options, and what each prints."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeagent.arguments import number
from edgeagent.tools import access
from edgeagent.tools.asking import INSTALLED, address_of, ask, parsed

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    Add = Callable[[str, Callable[[Namespace], bool], str], ArgumentParser]
    """Adds a command by its name, its work, its text; the work says whether it went well."""

_PAGE = 200
"""Records that the agent gives at once."""

_MOST = 1 << 20
"""Bytes of a call's parameters."""

_SHOWN = 25
"""Rows of a trace for people."""


def add_to(add: Add) -> None:
    """Add status, boards, board, recipes, tail and call."""
    _agent_options(add("status", _status, "show the state of each machine"), "one JSON object")
    finding = add("boards", _boards, "list the boards that left, newest first")
    finding.add_argument("--barcode", help="with this code")
    finding.add_argument("--recipe", help="under this recipe")
    finding.add_argument("--verdict", choices=("pass", "fail", "unknown"), help="of the process")
    finding.add_argument("--machine", help="of this machine")
    finding.add_argument("--since", type=_time, metavar="TIME", help="entered then or later; 2026-11-21 or"
                         " 2026-11-21T22:53 in local time, or with an offset")
    finding.add_argument("--until", type=_time, metavar="TIME", help="entered before")
    finding.add_argument("--limit", type=_limit, default=20, metavar="N", help="at most so many (20)")
    _agent_options(finding, "one JSON object")
    one = add("board", _board, "show the record of one board")
    one.add_argument("id", metavar="ID", help="of the board, see boards")
    one.add_argument("--trace", action="store_true", help="show its temperatures over time instead")
    _agent_options(one, "one JSON object")
    _recipes_options(add("recipes", _recipes, "keep recipes, as files too, and start them"))
    following = add("tail", _tail, "follow the events, over restarts of the agent, until Ctrl-C")
    following.add_argument("--topic", action="append", metavar="T", dest="topics",
                           help="Board.ProcessCompleted, 'Alarm.*' or '*' (all but measured values); several times")
    following.add_argument("--from", type=_place, default="now", metavar="PLACE", dest="begin",
                           help="now, beginning, or the sequence of the first wanted event (now)")
    following.add_argument("--machine", help="of this machine")
    _agent_options(following, "one JSON-RPC notification a line")
    calling = add("call", _call, "call a function, for example: edgeagent call Status.Get")
    calling.add_argument("function", metavar="FUNCTION", help="rpc.discover describes them all")
    calling.add_argument("parameters", nargs="?", type=_json, default="{}", metavar="JSON",
                         help="an object of its parameters; - reads it from standard input")
    _agent_options(calling, "the result in one line")


def _recipes_options(recipes: ArgumentParser) -> None:
    actions = recipes.add_subparsers(title="actions", required=True, metavar="ACTION", dest="what")

    def action(name: str, text: str, *names: str) -> ArgumentParser:
        parser: ArgumentParser = actions.add_parser(name, help=text, description=text)
        for each in names:
            parser.add_argument(each.lower(), metavar=each)
        parser.add_argument("--machine", help="of this machine; may be left out where the agent serves one")
        _agent_options(parser, "one JSON object")
        return parser

    action("list", "list what runs and what is kept")
    versioned = [action("show", "show a recipe as it is kept, and as the machine that runs it has it", "NAME")]
    action("history", "list every version of a recipe", "NAME")
    exporting = action("export", "write a recipe as a file: TOML with units, or JSON where its name ends so", "NAME")
    exporting.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a new file, instead of printing")
    importing = action("import", "keep the recipe of a TOML or JSON file: as a new one, or as a new version")
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument("--check", action="store_true", help="only say whether the machine can do it")
    importing.add_argument("--based-on", type=int, metavar="N",
                           help="the version that it was made from: refused where there is a newer one")
    action("diff", "show where two recipes differ: files, names, or names with versions like SAC305-A@3",
           "FIRST", "SECOND")
    starting = action("start", "start a recipe, and follow it until the machine is ready for it", "NAME")
    starting.add_argument("--no-wait", action="store_true", help="say which job it is, and do not follow it")
    for parser in (*versioned, exporting, starting):
        parser.add_argument("--version", type=int, metavar="N", help="in this version (the newest)")
    action("delete", "delete a recipe in all its versions", "NAME").add_argument(
        "--yes", action="store_true", help="do not ask")


def _agent_options(parser: ArgumentParser, printed: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"print {printed}")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--agent", type=parsed, metavar="URL", help="where the agent is (http://127.0.0.1:8480)")
    place.add_argument("--config", type=Path, metavar="FILE", help=f"find the agent by its configuration ({INSTALLED})")
    access.add_options(parser)


def _status(options: Namespace) -> bool:
    from edgeagent.tools import showing  # noqa: PLC0415  with --json it is not needed

    address = address_of(options)
    answer, version = ask(address, "Status.Get", {}), ask(address, "Configuration.GetSoftwareVersion", {})
    alarms = [ask(address, "Alarm.GetActive", {"machine": machine["machine"]})["alarms"]
              for machine in answer["machines"]]  # fmt: skip
    standing = [alarm for of_machine in alarms for alarm in of_machine]
    if options.json:
        _print_json({"software": version, "status": answer, "alarms": standing})
    else:
        _print(*showing.status(version, answer, standing))
    return True


def _boards(options: Namespace) -> bool:
    from edgeagent.tools import showing, tables  # noqa: PLC0415

    address, found, cursor = address_of(options), list[Any](), None
    wanted = {name: getattr(options, name) for name in ("barcode", "recipe", "verdict", "machine", "since", "until")}
    given = {name: value for name, value in wanted.items() if value is not None}
    while len(found) < options.limit:
        page = given | {"limit": min(_PAGE, options.limit - len(found))} | ({"cursor": cursor} if cursor else {})
        answer = ask(address, "Board.Find", page)
        found += answer["boards"]
        cursor = answer["cursor"]
        if cursor is None:
            break
    if options.json:
        _print_json({"boards": found, "cursor": cursor})
    else:
        _print(*showing.boards(found, tables.width()))
    return True


def _board(options: Namespace) -> bool:
    from edgeagent.tools import showing, tables  # noqa: PLC0415

    address, wanted = address_of(options), dict[str, Any](id=options.id)
    if options.trace and not options.json:
        wanted["maxPoints"] = _SHOWN
    answer = ask(address, "Board.GetTrace" if options.trace else "Board.Get", wanted)
    if options.json:
        _print_json(answer)
    else:
        _print(*(showing.trace if options.trace else showing.board)(answer, tables.width()))
    return True


def _recipes(options: Namespace) -> bool:
    from edgeagent.tools import recipes  # noqa: PLC0415

    return recipes.run(options)


def _tail(options: Namespace) -> bool:
    from edgeagent.model.events import TOPICS, matches  # noqa: PLC0415
    from edgeagent.tools import showing, tables  # noqa: PLC0415
    from edgeagent.tools.following import Following  # noqa: PLC0415

    topics = options.topics or ["*"]
    for topic in topics:
        if not any(matches(topic, name) for name in TOPICS):
            print(f"edgeagent: no event that this version knows is called {topic}: write it like "
                  "Board.ProcessCompleted, 'Alarm.*' or '*'", file=sys.stderr, flush=True)  # fmt: skip
    following = Following(address_of(options), topics, options.machine, options.begin, sys.stdout.fileno(),
                          lambda text: print(f"edgeagent: {text}", file=sys.stderr, flush=True))
    today = ""
    for told in following.notifications():
        if not options.topics and told.method == "Status.MeasuredValueChanged":
            continue
        if options.json:
            _print_bytes(told.text)
            continue
        if told.method != "Event.Gap" and (day := showing.day(told.params)) != today:
            today = day
            _print(day)
        _print(showing.event(told.method, told.params, tables.width()))
    return True


def _call(options: Namespace) -> bool:
    result = ask(address_of(options), options.function, options.parameters)
    _print_json(result, indent=None if options.json else 2)
    return True


def _print(*lines: str) -> None:
    """Print lines at once, or not at all where whoever reads them has gone: that raises BrokenPipeError."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _print_json(answer: Any, indent: int | None = None) -> None:
    text = json.dumps(answer, ensure_ascii=False, indent=indent, separators=(",", ": " if indent else ":"))
    _print_bytes(text.encode())


def _print_bytes(line: bytes) -> None:
    """Print JSON, which is UTF-8 whatever the terminal takes."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _json(text: str) -> Any:
    """Read the parameters of a call; raises ArgumentTypeError with the place where they are wrong."""
    source = "the text" if text != "-" else "standard input"
    try:
        if text == "-":
            text = sys.stdin.buffer.read(_MOST + 1).decode()
        if len(text) > _MOST:
            raise ArgumentTypeError(f"{source} is over {_MOST} bytes")
        parameters = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        reason = f"{source} is not JSON: {error.msg}, line {error.lineno} column {error.colno}"
        raise ArgumentTypeError(f"{reason}; write it like '{{\"id\": \"...\"}}'") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ArgumentTypeError(f"{source} is not JSON: {error}") from None
    if not isinstance(parameters, dict | list):
        raise ArgumentTypeError(f"{source} is neither an object nor an array; write it like '{{\"id\": \"...\"}}'")
    return parameters


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number there")


def _time(text: str) -> str:
    """Read a time of the command line, local where it has no offset; as RFC 3339. Raises ArgumentTypeError."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError, OSError):
        raise ArgumentTypeError(f"{text!r} is not a time like 2026-11-21 or 2026-11-21T22:53+01:00") from None


def _limit(text: str) -> int:
    return round(number(text, int, 1, 100_000))


def _place(text: str) -> str | int:
    if text in ("now", "beginning"):
        return text
    if not text.isdecimal() or not 1 <= int(text) < 1 << 63:
        raise ArgumentTypeError(f"{text!r} is neither now nor beginning nor the sequence of an event")
    return int(text)
