"""One case, measured: what the points were while its fault stood, when they were good again, what it cost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.cases import BACK_OFF, BAD, FAULT_BEATS, GOOD, MENDED, Case
from tests.faults.rig import SPEED, Beat, Rig, rtu_rig, tcp_rig

_AT_ONCE = 64
_AGAIN_AT_ONCE = 6
_HOUR_NS = 3600 * 10**9
_STALL_S = 2.0
_BEAT_S = 2.0
_PATIENCE_S = 600.0
"""So long a fresh line may take until it is read well: many begin at once."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        quality: as in `Case`, or how many of the beats were good when it is none of those.
        wrong: beats with a value that was good and not true.
        again: which beat after the end is the first good one; None when there was none.
        others: beats that unit 2 lost.
        connects: accepted on the line while the fault stood; questions: of unit 1 that came through in that time.
    """

    quality: str
    wrong: int
    causes: frozenset[str]
    again: int | None
    others: int
    connects: int
    questions: int


async def measure(case: Case, seed: int = 1) -> Outcome:
    """Put the fault on a fresh line and take it away again."""
    with tempfile.TemporaryDirectory() as folder:
        async with tcp_rig(seed) if case.wire == "TCP" else rtu_rig(seed, Path(folder)) as rig:
            return await _measured(case, rig)


async def measure_all(cases: Collection[Case]) -> dict[str, Outcome]:
    """Measure many side by side; alone, those that disturb others; and again, twice, those that are not as they should.

    A busy computer can make an answer late that was sent in time. It cannot make a wrong value, so these stay; and
    what is known to go wrong is left for the second round, because it may need its moment.
    """
    outcomes: dict[str, Outcome] = {}
    for at_once, seed in ((_AT_ONCE, 1), (_AGAIN_AT_ONCE, 2), (1, 3)):
        places = asyncio.Semaphore(at_once)
        chosen = [case for case in cases if not case.is_alone and _needs_measuring(case, outcomes)
                  and (seed > 1 or not case.open)]
        outcomes.update(zip((case.id for case in chosen),
                            await asyncio.gather(*(_in(places, case, seed) for case in chosen)), strict=True))
    for case in cases:
        for seed in (1, 2):
            if case.is_alone and _needs_measuring(case, outcomes):
                outcomes[case.id] = await measure(case, seed)
    return outcomes


async def _in(places: asyncio.Semaphore, case: Case, seed: int) -> Outcome:
    async with places:
        return await measure(case, seed)


def _needs_measuring(case: Case, outcomes: dict[str, Outcome]) -> bool:
    outcome = outcomes.get(case.id)
    return outcome is None or (not case.open and not outcome.wrong and bool(differences(case, outcome)))


def differences(case: Case, outcome: Outcome) -> list[str]:
    """What is not as the case says."""
    found = []
    if outcome.wrong > case.residue:
        found.append(f"{outcome.wrong} beats had a good value that was not true, {case.residue} may")
    if outcome.quality != case.quality and not (case.residue and outcome.wrong):
        found.append(f"{outcome.quality} while the fault stood, not {case.quality}")
    if not outcome.causes <= set(case.causes):
        found.append(f"requests failed as {', '.join(outcome.causes)}, not as {', '.join(case.causes) or 'nothing'}")
    if outcome.again is None or outcome.again > case.again:
        found.append(f"good again after {outcome.again} beats, not within {case.again}")
    if outcome.others > case.others:
        found.append(f"the other unit lost {outcome.others} beats, not {case.others}")
    if outcome.connects > case.connects:
        found.append(f"{outcome.connects} connections, not {case.connects}")
    return found


async def _measured(case: Case, rig: Rig) -> Outcome:
    one, two = rig.beats[1], rig.beats[2]
    assert await rig.until(lambda: all(len(b) >= 3 and all(x.is_good for x in b[-3:]) for b in (one, two)), _PATIENCE_S)
    errors, connects, questions, skipped = rig.errors(1), rig.line.connects, rig.line.requests[1], rig.skipped(2)
    began, began_two, start_ns = len(one), len(two), rig.clock.monotonic_ns()
    with _suffering(case.host, rig):
        await rig.line.begin(case.fault, *(() if case.is_of_the_line else (1,)))
        await rig.until(lambda: rig.clock.monotonic_ns() - start_ns >= FAULT_BEATS * rig.period_ns, 60)
        await rig.line.end()
    ended = len(one)
    connects, questions = rig.line.connects - connects, rig.line.requests[1] - questions
    causes = frozenset(rig.errors(1) - errors)
    await rig.until(lambda: len(one) > ended and one[-1].is_good and two[-1].is_good, (BACK_OFF + 4) * _BEAT_S)
    again = next((beat for beat in one[ended:] if beat.is_good), None)
    settled = len(two)
    await rig.until(lambda: len(two) > settled, 2 * _BEAT_S)
    return Outcome(
        quality=_word(one[began:ended], case.points),
        wrong=sum(1 for beat in one[began:] + two[began_two:] if beat.wrong),
        causes=causes,
        again=None if again is None else round((again.time_ns - one[ended - 1].time_ns) / rig.period_ns),
        others=sum(not beat.is_good for beat in two[began_two:]) + rig.skipped(2) - skipped,
        connects=connects,
        questions=questions,
    )  # fmt: skip


def _word(beats: list[Beat], points: tuple[str, ...]) -> str:
    """Put the qualities of several beats in a word; points that the fault does not concern must all be good."""
    good = []
    for beat in beats:
        concerned = {quality == 0 for name, quality in beat.quality.items() if not points or name in points}
        apart = {quality == 0 for name, quality in beat.quality.items() if points and name not in points}
        if False in apart:
            return "others are bad too"
        good.append(concerned == {True})
    if all(good):
        return GOOD
    if not any(good):
        return BAD
    return MENDED if good == [False] + [True] * (len(good) - 1) else f"good in {sum(good)} of {len(good)}"


@contextmanager
def _suffering(host: str, rig: Rig) -> Iterator[None]:
    """What the computer suffers while a fault stands."""
    burners = []
    try:
        if host == "step":
            rig.clock.step_ns = _HOUR_NS
        elif host == "stall":
            time.sleep(_STALL_S / SPEED)
        elif host == "busy":
            burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
        yield
    finally:
        rig.clock.step_ns = -_HOUR_NS if host == "step" else 0
        for burner in burners:
            burner.kill()
            burner.wait()
