"""The table of docs/reliability.md: `python -m tests.faults.table` in a checkout measures every case and prints it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

from tests.faults.cases import CASES, ELSEWHERE, GOOD, UNTESTED, Case
from tests.faults.measure import Outcome, measure_all

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
_BEGIN, _END = "<!-- measured by tests.faults.table -->\n", "<!-- end -->\n"
_HEAD = ("case", "what happens", "points meanwhile", "good again at beat", "beats lost by the other", "connects")
_PARTS = {"T": "Modbus TCP", "R": "Modbus RTU", "A": "Serial ASCII", "S": "The device itself", "H": "The computer"}


def told(case: Case) -> str:
    """The points' quality in the words of the table."""
    return f"{case.quality}: {', '.join(case.points)}" if case.points else case.quality


def rows(text: str) -> Iterator[list[str]]:
    """The table's rows as they are printed, without their heads."""
    printed = text.partition(_BEGIN)[2].partition(_END)[0]
    for line in printed.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if len(row) == len(_HEAD) and row[0] not in {_HEAD[0], "---"}:
            yield row


def printed(outcomes: dict[str, Outcome]) -> str:
    """The table, part by part, and what is not told yet."""
    lines = {case.id: _measured(case, outcomes[case.id]) for case in CASES.values()}
    lines |= {case: (case, text, f"`{name}`", "", "", "") for case, (text, _, name) in ELSEWHERE.items()}
    lines |= {case: (case, *told, "", "", "") for case, told in UNTESTED.items()}
    parts = []
    for letter, title in _PARTS.items():
        part = [lines[case] for case in sorted(lines) if case[0] == letter]
        table = [_HEAD, ("---",) * len(_HEAD), *part]
        parts.append(f"### {title}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in table))
    return "\n".join([*parts, _open()])


def _measured(case: Case, outcome: Outcome) -> tuple[str, ...]:
    quality = f"**{GOOD}, and not true**" if outcome.wrong else told(case)
    again = "never" if outcome.again is None else str(outcome.again)
    connects = str(outcome.connects) if case.wire == "TCP" else ""
    return (case.id, case.fault.name, quality, again, str(outcome.others), connects)


def _open() -> str:
    why: dict[str, list[str]] = {}
    for case in CASES.values():
        if case.open:
            why.setdefault(case.open, []).append(case.id)
    return "".join(f"- {', '.join(ids)}: {reason}.\n" for reason, ids in why.items())


def main() -> None:
    """Measure, and put the table in its place in the document."""
    logging.disable(logging.CRITICAL)
    outcomes = asyncio.run(measure_all(CASES.values()))
    before, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    DOCUMENT.write_text(f"{before}{_BEGIN}\n{printed(outcomes)}\n{_END}{after}")


if __name__ == "__main__":
    main()
