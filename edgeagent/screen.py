"""What the demonstration shows: a picture that is drawn anew on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections import deque
from typing import Any, TextIO

_LINES_EVERY = 40
"""Snapshots between two plain status lines: ten seconds."""

_FEWEST_ROWS = 3
"""Of events, and of finished boards."""

_KEPT = 50
"""Events and boards kept for a high terminal."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Screen:
    """Draws snapshots, events and finished boards.

    Args:
        out: where to; drawn anew in place when it is a terminal.
        speed: times real time, for the headline.
        addresses: name → address to connect to.
        tunnel_mm: from its entrance to the outlet.
    """

    def __init__(self, out: TextIO, speed: float, addresses: dict[str, str], tunnel_mm: float) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._speed = speed
        self._addresses = addresses
        self._tunnel_mm = tunnel_mm
        self._size: os.terminal_size | None = None
        self._events: deque[str] = deque(maxlen=_KEPT)
        self._boards: deque[str] = deque(maxlen=_KEPT)
        self._notes: list[str] = []
        self._count = 0
        self._told: dict[str, int] = {}
        if not self._is_terminal:
            self._write(f"A simulated oven and the agent against it, at {speed:g} times real time. Ctrl-C ends.")
            for name, address in addresses.items():
                self._write(f"  {name:<23} {address}")

    def say(self, note: str) -> None:
        """Tell something that stays on the screen."""
        self._notes.append(note)
        if not self._is_terminal:
            self._write(note)

    def event(self, method: str, params: dict[str, Any]) -> None:
        """Take a notification."""
        self._told[method] = self._told.get(method, 0) + 1
        if method in ("Status.MeasuredValueChanged", "Event.Heartbeat"):
            return
        told = summary(method, params["data"])
        line = f"{params['time'][11:19]}  {params.get('sequence', ''):>4}  {method:<28} {told}"
        self._events.append(line)
        if not self._is_terminal:
            self._write(line)
        if method == "Board.ProcessCompleted":
            board = _board(params["data"]["board"])
            self._boards.append(board)
            if not self._is_terminal:
                self._write(board)

    def show(self, snapshot: dict[str, Any]) -> None:
        """Take the state of everything, as Event.Snapshot answers it."""
        self._count += 1
        machine = snapshot["machines"][0]
        if self._is_terminal:
            self._draw(snapshot, machine)
        elif self._count % _LINES_EVERY == 1:
            self._write(_line(machine))

    def end(self, finished: int) -> None:
        """Say goodbye with a summary."""
        told = ", ".join(f"{count} {method}" for method, count in sorted(self._told.items()))
        farewell = f"{finished} boards finished. Told: {told or 'nothing'}."
        if self._is_terminal:
            farewell = textwrap.fill(farewell, shutil.get_terminal_size().columns)
        self._write(f"\n{farewell}")

    def _draw(self, snapshot: dict[str, Any], machine: dict[str, Any]) -> None:
        size = shutil.get_terminal_size()
        lines = [_cut(line, size.columns) for line in self._picture(snapshot, machine, *size)]
        # Cleared before it is written: behind a full line the cursor still stands on its last character.
        picture = "".join(f"\x1b[K{line}\n" for line in lines)
        self._out.write(("" if size == self._size else "\x1b[2J") + "\x1b[H" + picture + "\x1b[J")
        self._out.flush()
        self._size = size

    def _picture(self, snapshot: dict[str, Any], machine: dict[str, Any], width: int, height: int) -> list[str]:
        """Lay out all there is in one row less than the height; events and boards share what the rest leaves."""
        status, recipe = machine["status"], machine["status"]["recipe"]
        values = {(v["object"], v["name"]): v for v in machine["values"]}
        blocks = [
            [*_flow([
                "\x1b[1medgeagent demo\x1b[0m", f"{status['machine']} is \x1b[1m{status['state']}\x1b[0m",
                f"recipe {recipe['name'] or '-'} v{recipe['version'] or '-'}", "Ctrl-C ends",
                f"oven time {snapshot['time'][11:19]}, {self._speed:g} times real time",
            ], width), *_flow([f"{name} {address}" for name, address in self._addresses.items()], width), *self._notes],
            _zones(values, width),
            _tunnel(machine["boards"], self._tunnel_mm, width),
            _flow([
                f"belt {_value(values, 'conveyor/1', 'speed')} (set {_value(values, 'conveyor/1', 'speedSetpoint')})",
                f"O2 {_value(values, 'oxygen/1', 'concentration')} (set {_value(values, 'oxygen/1', 'setpoint')})",
                f"alarms {len(machine['alarms'])}", f"boards inside {status['boards']}",
            ], width),
        ]  # fmt: skip
        rows = height - 1 - sum(map(len, blocks)) - 2
        gap = [""] if rows >= 2 * _FEWEST_ROWS + len(blocks) + 1 else []
        rows = max(rows - len(gap) * (len(blocks) + 1), 2 * _FEWEST_ROWS)
        boards = rows // 2
        lines = [line for block in blocks for line in (*block, *gap)]
        lines += ["\x1b[1mevents\x1b[0m", *_last(self._events, rows - boards), *gap]
        lines += ["\x1b[1mfinished boards\x1b[0m", *_last(self._boards, boards)]
        return lines[:height - 1]

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


def _zones(values: dict[tuple[str, str], dict[str, Any]], width: int) -> list[str]:
    numbers = sorted({int(object_.split("/")[1]) for object_, _ in values if object_.startswith("zone/")})
    fitting = max(1, (width - 8) // 6)
    blocks = -(-len(numbers) // fitting)
    each = -(-len(numbers) // max(1, blocks))
    return [line for first in range(0, len(numbers), max(1, each))
            for line in _zone_block(values, numbers[first:first + each])]  # fmt: skip


def _zone_block(values: dict[tuple[str, str], dict[str, Any]], numbers: list[int]) -> list[str]:
    def row(title: str, side: str, name: str) -> str:
        cells = [values.get((f"zone/{n}/{side}", name), {}).get("value") for n in numbers]
        return f"{title:<8}" + "".join(f"{c:6.1f}" if isinstance(c, float | int) else "     -" for c in cells)

    return [
        "zone    " + "".join(f"{n:6}" for n in numbers), row("setpoint", "top", "setpoint"),
        row("top", "top", "temperature"), row("bottom", "bottom", "temperature"),
    ]  # fmt: skip


def _tunnel(boards: list[dict[str, Any]], tunnel_mm: float, width: int) -> list[str]:
    """The tunnel from inlet to outlet over the whole width, and the names of its boards where they fit."""
    before, behind = "in ▶ │", "│ ▶ out"
    count = max(1, width - len(before) - len(behind))
    cells, names = [" "] * count, [" "] * count
    for board in boards:
        lead = board["positionMm"] / tunnel_mm * count
        length = (board["lengthMm"] or 0) / tunnel_mm * count
        last = min(max(int(lead), 0), count - 1)
        first = min(max(int(lead - length), 0), last)
        cells[first:last + 1] = "█" * (last + 1 - first)
        name = f"{_name(board)} "
        start = max(0, min(first, count - len(name)))
        if not "".join(names[start:start + len(name)]).strip():
            names[start:start + len(name)] = name
    return [f"{before}{''.join(cells)}{behind}", " " * len(before) + "".join(names)[:count]]


def _name(board: dict[str, Any]) -> str:
    code: str = board["barcodes"][0]["code"] if board["barcodes"] else board["id"][-12:]
    return code


def _value(values: dict[tuple[str, str], dict[str, Any]], object_: str, name: str) -> str:
    value = values.get((object_, name))
    if not value or value["value"] is None:
        return "unknown"
    quality = "" if value["quality"] == "good" else f" ({value['quality']})"
    return f"{value['value']} {value['unit'] or ''}".strip() + quality


def _line(machine: dict[str, Any]) -> str:
    values = {(v["object"], v["name"]): v for v in machine["values"]}
    zones = [v["value"] for (o, name), v in values.items() if o.endswith("/top") and name == "temperature"]
    boards = "  ".join(f"{b['positionMm']:.0f} mm" for b in machine["boards"]) or "none"
    tops = " ".join("-" if z is None else f"{z:.0f}" for z in zones)
    return (f"          {machine['status']['state']}: zones {tops} °C, belt {_value(values, 'conveyor/1', 'speed')}, "
            f"O2 {_value(values, 'oxygen/1', 'concentration')}, boards at {boards}")


def _board(board: dict[str, Any]) -> str:
    """One line, the most important first: a narrow terminal cuts its end."""
    profile, verdict = board["profile"], board["verdict"]["process"]
    left = board["exitedAt"][11:19] if board["exitedAt"] else "?"
    figures = ", ".join(
        f"{name} {'unknown' if profile[key] is None else f'{profile[key]:g}{unit}'}"
        for name, key, unit in (("peak", "peak", " °C"), ("above liquidus", "timeAboveLiquidus", " s"),
                                ("window index", "processWindowIndex", ""))
    )  # fmt: skip
    return (f"{_MARKS.get(verdict, '?')} {_name(board)} {verdict}  left {left}  estimated {figures}, "
            f"entered {board['enteredAt'][11:19]}")


_MARKS = {"pass": "✔", "fail": "✘"}


def summary(method: str, data: dict[str, Any]) -> str:
    """What an event tells, in a few words."""
    if "alarm" in data:
        return f"{data['alarm']['code']} {data['alarm']['text']}"
    if "board" in data:
        codes = data["board"]["barcodes"]
        return f"{codes[0]['code'] if codes else data['board']['id']} {data.get('reason') or ''}"
    if "values" in data:
        return ", ".join(f"{v['object']} {v['name']} {v['value']} {v['unit'] or ''}".rstrip() for v in data["values"])
    if method == "Recipe.SettingChanged":
        return ", ".join(f"{c['object']} {c['from']} to {c['to']}" for c in data["changes"])
    return ", ".join(f"{key} {value}" for key, value in data.items() if value is not None)


def _flow(parts: list[str], width: int) -> list[str]:
    """Put parts beside one another, as many in a line as fit."""
    lines: list[str] = []
    for part in parts:
        if lines and len(_plain(f"{lines[-1]}   {part}")) <= width:
            lines[-1] += f"   {part}"
        else:
            lines.append(part)
    return lines


def _last(lines: deque[str], count: int) -> list[str]:
    """The last lines, filled up to the count so that what stands below does not jump."""
    shown = list(lines)[-count:]
    return shown + [""] * (count - len(shown))


def _plain(line: str) -> str:
    return _STYLE.sub("", line)


def _cut(line: str, width: int) -> str:
    """Cut a line to what a terminal shows of it; one that is too long loses its colours."""
    plain = _plain(line)
    return line if len(plain) <= width else f"{plain[:width - 1]}…"
