"""What the demonstration shows: a picture that is drawn anew on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
from collections import deque
from typing import Any, TextIO

_TUNNEL_CELLS = 94
_LINES_EVERY = 40
"""Snapshots between two plain status lines: ten seconds."""


class Screen:
    """Draws snapshots, events and finished boards.

    Args:
        out: where to; drawn anew in place when it is a terminal.
        speed: times real time, for the headline.
        addresses: name → address to connect to.
    """

    def __init__(self, out: TextIO, speed: float, addresses: dict[str, str]) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._speed = speed
        self._addresses = addresses
        self._events: deque[str] = deque(maxlen=8)
        self._boards: deque[str] = deque(maxlen=8)
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
        summary = _summary(method, params["data"])
        line = f"{params['time'][11:19]}  {params.get('sequence', ''):>4}  {method:<28} {summary}"
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
        self._write(f"\n{finished} boards finished. Told: {told or 'nothing'}.")

    def _draw(self, snapshot: dict[str, Any], machine: dict[str, Any]) -> None:
        status = machine["status"]
        values = {(v["object"], v["name"]): v for v in machine["values"]}
        recipe = status["recipe"]
        lines = [
            f"\x1b[1medgeagent demo\x1b[0m   {status['machine']} is \x1b[1m{status['state']}\x1b[0m   "
            f"recipe {recipe['name'] or '-'} v{recipe['version'] or '-'}   oven time {snapshot['time'][11:19]}, "
            f"{self._speed:g} times real time   Ctrl-C ends",
            "   ".join(f"{name} {address}" for name, address in self._addresses.items()),
            *self._notes, "", *_zones(values), "", *_tunnel(machine), "",
            f"belt {_value(values, 'conveyor/1', 'speed')} (set {_value(values, 'conveyor/1', 'speedSetpoint')})   "
            f"O2 {_value(values, 'oxygen/1', 'concentration')} (set {_value(values, 'oxygen/1', 'setpoint')})   "
            f"alarms {len(machine['alarms'])}   boards inside {status['boards']}",
            "", "\x1b[1mevents\x1b[0m", *self._events, "", "\x1b[1mfinished boards\x1b[0m", *self._boards,
        ]  # fmt: skip
        width, height = shutil.get_terminal_size()
        shown = [_cut(line, width) for line in lines[: height - 1]]
        self._out.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in shown) + "\x1b[J")
        self._out.flush()

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


def _zones(values: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    numbers = sorted({int(object_.split("/")[1]) for object_, _ in values if object_.startswith("zone/")})

    def row(title: str, side: str, name: str) -> str:
        cells = [values.get((f"zone/{n}/{side}", name), {}).get("value") for n in numbers]
        return f"{title:<10}" + "".join(f"{c:7.1f}" if isinstance(c, float | int) else "      -" for c in cells)

    return [
        "zone      " + "".join(f"{n:7}" for n in numbers), row("setpoint", "top", "setpoint"),
        row("top", "top", "temperature"), row("bottom", "bottom", "temperature"),
    ]  # fmt: skip


def _tunnel(machine: dict[str, Any]) -> list[str]:
    cells, names = [" "] * _TUNNEL_CELLS, [" "] * (_TUNNEL_CELLS + 12)
    for board in machine["boards"]:
        lead = board["positionMm"] / _TUNNEL_MM * _TUNNEL_CELLS
        length = (board["lengthMm"] or 0) / _TUNNEL_MM * _TUNNEL_CELLS
        first, last = max(0, int(lead - length)), min(_TUNNEL_CELLS - 1, int(lead))
        cells[first:last + 1] = "█" * (last + 1 - first)
        name = board["barcodes"][0]["code"] if board["barcodes"] else board["id"][-6:]
        names[first:first + len(name)] = name
    return [f"  in ▶ │{''.join(cells)}│ ▶ out", f"        {''.join(names)}"]


_TUNNEL_MM = 4710.0
"""Length of the demonstration's oven."""


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
    profile, verdict = board["profile"], board["verdict"]
    name = board["barcodes"][0]["code"] if board["barcodes"] else board["id"]
    return (f"  ✔ {name}  entered {board['enteredAt'][11:19]}, left {board['exitedAt'][11:19]}  "
            f"peak {profile['peak']} °C, above liquidus {profile['timeAboveLiquidus']} s, window index "
            f"{profile['processWindowIndex']} (estimated)  process {verdict['process']}")


def _summary(method: str, data: dict[str, Any]) -> str:
    if "alarm" in data:
        return f"{data['alarm']['code']} {data['alarm']['text']}"
    if "board" in data:
        codes = data["board"]["barcodes"]
        return f"{codes[0]['code'] if codes else data['board']['id']} {data.get('reason') or ''}"
    if method == "Recipe.SettingChanged":
        return ", ".join(f"{c['object']} {c['from']} to {c['to']}" for c in data["changes"])
    return ", ".join(f"{key} {value}" for key, value in data.items() if value is not None)


def _cut(line: str, width: int) -> str:
    """Cut a line to the terminal's width, leaving its colours whole."""
    if "\x1b" in line:
        return line
    return line[:width]
