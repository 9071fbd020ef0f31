"""The picture on terminals of the usual sizes."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from edgeagent.screen import Screen

ADDRESSES = {
    "HTTP": "http://127.0.0.1:8480/rpc", "WebSocket": "ws://127.0.0.1:8480/rpc", "TCP lines": "127.0.0.1:8481",
    "Modbus TCP of the oven": "127.0.0.1:45020",
}  # fmt: skip
TUNNEL_MM = 4710.0
SIZES = [(80, 24), (120, 40), (160, 50)]


class Terminal(io.StringIO):
    """Keeps what is written to it as if it were a terminal."""

    def isatty(self) -> bool:
        return True

    def frame(self) -> list[str]:
        """The lines of the last picture as they are seen."""
        last = self.getvalue().rpartition("\x1b[H")[2]
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", last).split("\n")


def value(object_: str, name: str, number: float, unit: str) -> dict[str, Any]:
    return {"object": object_, "name": name, "value": number, "unit": unit, "quality": "good"}


def board(number: int, position_mm: float = 0.0) -> dict[str, Any]:
    return {
        "id": f"b{number}", "barcodes": [{"code": f"SIM{number:06}"}], "positionMm": position_mm, "lengthMm": 180.0,
        "enteredAt": "2026-11-21T21:53:00.000Z", "exitedAt": "2026-11-21T21:57:02.000Z",
        "profile": {"peak": 245.1, "timeAboveLiquidus": 65.3, "processWindowIndex": 45.2},
        "verdict": {"process": "pass"},
    }  # fmt: skip


def snapshot(*inside: dict[str, Any]) -> dict[str, Any]:
    values = [value(f"zone/{n}/{side}", name, 100.5 + n, "°C") for n in range(1, 13)
              for side, name in (("top", "setpoint"), ("top", "temperature"), ("bottom", "temperature"))]
    values += [value("conveyor/1", "speed", 70.1, "cm/min"), value("conveyor/1", "speedSetpoint", 70.0, "cm/min"),
               value("oxygen/1", "concentration", 512.0, "ppm"), value("oxygen/1", "setpoint", 500.0, "ppm")]
    status = {"machine": "RO0001", "state": "running", "boards": len(inside),
              "recipe": {"name": "SAC305-A", "version": 3}}
    machine = {"status": status, "values": values, "alarms": [], "boards": list(inside)}
    return {"time": "2026-11-21T21:58:00.000Z", "machines": [machine]}


def drawn(monkeypatch: pytest.MonkeyPatch, columns: int, rows: int, *inside: dict[str, Any]) -> Terminal:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(rows))
    terminal = Terminal()
    screen = Screen(terminal, 30.0, ADDRESSES, TUNNEL_MM)
    screen.say("The nearly warm oven warms up first: 3 min of its time, 6 s at this speed.")
    for number in range(1, 10):
        told = {"time": "2026-11-21T21:57:02.000Z", "sequence": 1000 + number, "data": {"board": board(number)}}
        screen.event("Board.ProcessCompleted", told)
    for _ in range(2):
        screen.show(snapshot(*inside))
    return terminal


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_the_picture_holds_everything_and_fits(monkeypatch: pytest.MonkeyPatch, columns: int, rows: int) -> None:
    lines = drawn(monkeypatch, columns, rows, board(10, 2000.0)).frame()
    text = "\n".join(lines)
    assert len(lines) <= rows
    assert max(map(len, lines)) <= columns
    assert all(f"{name} {address}" in text for name, address in ADDRESSES.items())
    assert [int(n) for line in lines if line.startswith("zone ") for n in line.split()[1:]] == list(range(1, 13))
    assert sum("│ ▶ out" in line for line in lines) == 1
    assert text.count("Board.ProcessCompleted") >= 3
    finished = [line for line in lines if line.startswith("✔ SIM")]
    assert len(finished) >= 3
    assert finished[-1].startswith("✔ SIM000009 pass  left 21:57:02  estimated peak 245.1 °C, above liquidus 65.3")
    for expected in ("RO0001 is running", "Ctrl-C ends", "SIM000010", "belt 70.1 cm/min", "boards inside 1"):
        assert expected in text


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_board_at_the_outlet_is_drawn_at_the_outlet(
    monkeypatch: pytest.MonkeyPatch, columns: int, rows: int
) -> None:
    (tunnel,) = [line for line in drawn(monkeypatch, columns, rows, board(1, TUNNEL_MM)).frame() if "▶ out" in line]
    assert tunnel.endswith("█│ ▶ out")
    assert len(tunnel) == columns
    (tunnel,) = [line for line in drawn(monkeypatch, columns, rows, board(1, 100.0)).frame() if "▶ out" in line]
    assert tunnel.startswith("in ▶ │█")


def test_zones_that_do_not_fit_stand_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(monkeypatch, 60, 40).frame()
    assert [line.split()[1:] for line in lines if line.startswith("zone ")] == [
        ["1", "2", "3", "4", "5", "6"], ["7", "8", "9", "10", "11", "12"],
    ]  # fmt: skip


def test_the_terminal_is_cleared_once_and_again_when_its_size_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = drawn(monkeypatch, 80, 24)
    assert terminal.getvalue().count("\x1b[2J") == 1
    assert terminal.getvalue().count("\x1b[H") == 2


def test_the_summary_is_wrapped_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    screen = Screen(terminal, 30.0, ADDRESSES, TUNNEL_MM)
    for topic in ("Board.BarcodeRead", "Board.ProcessStarted"):
        screen.event(topic, {"time": "2026-11-21T21:57:02.000Z", "data": {"board": board(1)}})
    screen.end(0)
    assert terminal.getvalue() == (
        "\n0 boards finished. Told: 1\nBoard.BarcodeRead, 1\nBoard.ProcessStarted.\n"
    )


def test_a_figure_that_is_unknown_is_said_to_be_unknown() -> None:
    out = io.StringIO()
    told = board(1) | {"exitedAt": None, "verdict": {"process": "unknown"},
                       "profile": {"peak": None, "timeAboveLiquidus": None, "processWindowIndex": None}}
    screen = Screen(out, 30.0, ADDRESSES, TUNNEL_MM)
    screen.event("Board.ProcessCompleted", {"time": "2026-11-21T21:57:02.000Z", "data": {"board": told}})
    assert "? SIM000001 unknown  left ?  estimated peak unknown, above liquidus unknown" in out.getvalue()
