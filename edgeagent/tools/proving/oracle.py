"""Says from logs alone what was lost, reordered, told again or changed; it knows nothing of the agent."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from edgeagent.tools.proving.consumer import ACKNOWLEDGED, CONNECTED, GAP, TOLD

Told = dict[str, Any]
"""The parameters of an event, with its method."""

_MOST_NAMED = 5
_DONE_ENDS = {"Board.ProcessCompleted", "Board.Lost"}
_CLOCK = {"time", "clock"}
"""What is told of the clock is no setting: it need not go on from what was told before."""

_APART_S = 25.0
"""A record whose times are further than this from those of its board is another board's."""


@dataclass
class Findings:
    """What one consumer's log shows.

    Attributes:
        events: what was told, by sequence. faults: what must not be, in sentences.
        repeated: events told again that were not acknowledged: they may be.
        gone: sequences that were told to be gone.
    """

    events: dict[int, Told] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    repeated: int = 0
    acknowledged: int = 0
    gone: set[int] = field(default_factory=set)
    streams: list[str] = field(default_factory=list)


def read(log: Path) -> Findings:
    """Judge a consumer's log, entry by entry.

    On a connection each event follows the one before; over connections none is left out, none is told again that was
    acknowledged, and none says something else when it is told again.
    """
    reading = _Reading(Findings())
    for entry in log.read_bytes().split(b"\n"):
        reading.take(entry[:2], entry[2:])
    return reading.judged(log.stem)


class _Reading:
    """Goes through the entries of one log."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._expected: int | None = None
        self._last = 0
        self._begins = False
        """The next event is the first of a stream that took another one's place: what was before is none of it."""
        self._lost: list[int] = []
        self._wrong: dict[str, list[int]] = {
            "out of order": [], "told again though acknowledged": [], "told again with another content": [],
            "not of the stream": [], "not behind its predecessor": [],
        }  # fmt: skip

    def take(self, kind: bytes, text: bytes) -> None:
        """Go on by an entry; what was cut at the log's end is none."""
        if kind == CONNECTED:
            self._connected(*text.decode().split())
        elif kind == ACKNOWLEDGED:
            self._findings.acknowledged = max(self._findings.acknowledged, int(text))
        elif kind == GAP:
            for gap in json.loads(text)["params"]["data"]["ranges"]:
                self._findings.gone.update(range(gap["from"], gap["to"] + 1))
                self._expected, self._last = gap["to"] + 1, gap["to"]
        elif kind == TOLD:
            message = json.loads(text)
            self._told({"method": message["method"], **message["params"]})

    def judged(self, name: str) -> Findings:
        """The findings, with their faults in sentences."""
        findings = self._findings
        lost = [number for number in self._lost if number not in findings.events and number not in findings.gone]
        for what, sequences in {"not told": lost, **self._wrong}.items():
            findings.faults += _named(f"{name}: {what}", sequences)
        return findings

    def _connected(self, stream: str, following: str) -> None:
        if stream not in self._findings.streams:
            self._begins = bool(self._findings.streams)
            self._findings.streams.append(stream)
        self._expected = int(following)
        if self._last:
            self._lost += range(self._last + 1, self._expected)

    def _told(self, told: Told) -> None:
        findings, sequence = self._findings, told["sequence"]
        if self._expected is not None:
            self._lost += range(self._expected, sequence)
        wrong = {
            "out of order": self._expected is not None and sequence < self._expected,
            "told again though acknowledged": sequence <= findings.acknowledged,
            "told again with another content": body(findings.events.get(sequence, told)) != body(told),
            "not of the stream": told["stream"] != findings.streams[-1],
            "not behind its predecessor": told["previous"] != sequence - 1 and not self._begins,
        }
        for what in (what for what, is_so in wrong.items() if is_so):
            self._wrong[what].append(sequence)
        findings.repeated += sequence in findings.events
        findings.events.setdefault(sequence, told)
        self._expected, self._last, self._begins = sequence + 1, max(self._last, sequence), False


def complete(findings: Findings, name: str, last: int, first: int = 1) -> list[str]:
    """Hold what a consumer was told against the numbers that were given, where nothing may be gone."""
    missing = [number for number in range(first, last + 1) if number not in findings.events]
    beyond = [number for number in findings.events if number > last]
    return _named(f"{name}: not told", missing) + _named(f"{name}: told, and not in the journal", beyond) + _named(
        f"{name}: told as gone", sorted(findings.gone))


def same(findings: Findings, name: str, stored: list[Told], gaps: list[dict[str, int]]) -> list[str]:
    """Hold what a consumer was told against what the journal holds in the end."""
    there = {event["sequence"]: event for event in stored}
    gone = [f"{gap['from']} to {gap['to']}" for gap in gaps]
    missing = [number for number in findings.events if number not in there]
    other = [number for number in findings.events.keys() & there.keys()
             if body(findings.events[number]) != body(there[number])]  # fmt: skip
    faults = [f"the journal says that {', '.join(gone[:_MOST_NAMED])} are gone"] if gone else []
    return faults + _named(f"{name}: told, and not in the journal", missing) + _named(
        f"{name}: told otherwise than the journal has it", other)


def chained(findings: Findings, name: str) -> list[str]:
    """Hold each change against the one before it: where it does not go on from there, one was lost before it had a
    number, or was given two."""
    stood: dict[tuple[object, ...], object] = {}
    wrong = []
    for sequence, event in sorted(findings.events.items()):
        for what, before, after in _changes(event):
            if stood.get(what, before) != before:
                wrong.append(sequence)
            stood[what] = after
    return _named(f"{name}: does not go on from the change before it", wrong)


def _changes(event: Told) -> Iterator[tuple[tuple[object, ...], object, object]]:
    """What an event says to have changed, from what, to what."""
    where, data = (event["machine"], event["method"]), event["data"]
    if "busy" in data:
        yield (*where, data.get("lane")), not data["busy"], data["busy"]
    for change in data.get("changes", (data,)):
        if "from" in change and change.get("what") not in _CLOCK:
            what = (change.get("what"), change.get("object"), change.get("name"))
            yield (*where, *what), change["from"], change["to"]


class Boards(NamedTuple):
    """How the events of boards stand against what the oven saw.

    Attributes:
        entered: boards that went in. whole: of them with a whole record. excused: of them not judged, for nobody ran
            when their edge passed. faults: what must not be, in sentences.
    """

    entered: int
    whole: int
    excused: int
    faults: list[str]


def boards(findings: Findings, truth: Path, unseen: list[tuple[float, float]]) -> Boards:
    """Hold the events of boards against what the oven saw go in and come out.

    Args:
        unseen: spans of the oven's time in which no agent ran and which were too long to see a board's edge.
    """
    entered: dict[str, float] = {}
    left: dict[str, float] = {}
    for line in truth.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        (entered if told["what"] == "in" else left)[told["barcode"]] = told["at"]
    excused = {barcode for barcode, at_s in entered.items()
               if _is_in(unseen, at_s) or _is_in(unseen, left.get(barcode, -1.0))}  # fmt: skip
    started, ended, lost = Counter[str](), Counter[str](), Counter[str]()
    for event in findings.events.values():
        if event["method"] == "Board.ProcessStarted" or event["method"] in _DONE_ENDS:
            counts = started if event["method"] == "Board.ProcessStarted" else ended
            codes = [code["code"] for code in event["data"]["board"]["barcodes"]]
            counts.update(codes)
            if event["method"] == "Board.Lost":
                lost.update(codes)
    faults: list[str] = []
    for barcode in entered.keys() - excused:
        if started[barcode] != 1:
            faults.append(f"board {barcode} went in and was told {started[barcode]} times")
        if barcode in left and ended[barcode] != 1:
            faults.append(f"board {barcode} came out and has {ended[barcode]} ends")
        if barcode in left and lost[barcode]:
            faults.append(f"board {barcode} came out and was told as lost")
    faults += [f"board {barcode} was told and never was in the oven" for barcode in started if barcode not in entered]
    faults += _again(findings.events.values()) + _guessed(findings.events.values(), entered, left)
    if len(excused) == len(entered):
        faults.append("no board can be judged: none went in, or this computer starts the agent too slowly")
    return Boards(len(entered), sum(ended.values()) - sum(lost.values()), len(excused), faults)


def _again(events: Iterable[Told]) -> list[str]:
    """Boards that began or ended twice, by the agent's own name."""
    told = Counter((event["method"] in _DONE_ENDS, event["data"]["board"]["id"]) for event in events
                   if event["method"] == "Board.ProcessStarted" or event["method"] in _DONE_ENDS)  # fmt: skip
    return [f"board {id_} {'ended' if is_end else 'began'} {times} times"
            for (is_end, id_), times in told.items() if times > 1]  # fmt: skip


def _guessed(events: Iterable[Told], entered: dict[str, float], left: dict[str, float]) -> list[str]:
    """Records that say who they are for certain, and have the times of another board."""
    apart: list[tuple[float, str, str]] = []
    for event in events:
        if event["method"] == "Board.ProcessCompleted":
            board = event["data"]["board"]
            for code in (each["code"] for each in board["barcodes"] if each["code"] in left):
                apart += [(_seconds(board["enteredAt"]) - entered[code], code, board["identity"]),
                          (_seconds(board["exitedAt"]) - left[code], code, board["identity"])]  # fmt: skip
    begun_s = statistics.median(off_s for off_s, _, _ in apart) if apart else 0.0
    wrong = [(off_s - begun_s, code) for off_s, code, identity in apart if identity == "certain"]
    return [f"board {code} is told as certain, with times that are {off_s:.0f} s off"
            for off_s, code in wrong if abs(off_s) > _APART_S]  # fmt: skip


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def body(event: Told) -> tuple[object, ...]:
    """What an event says, however it was told."""
    return event["method"], event["time"], event["machine"], json.dumps(event["data"], sort_keys=True)


def _is_in(spans: list[tuple[float, float]], at_s: float) -> bool:
    return any(begin <= at_s <= end for begin, end in spans)


def _named(what: str, sequences: list[int]) -> list[str]:
    if not sequences:
        return []
    more = f" and {len(sequences) - _MOST_NAMED} more" if len(sequences) > _MOST_NAMED else ""
    return [f"{what}: {', '.join(map(str, sequences[:_MOST_NAMED]))}{more}"]
