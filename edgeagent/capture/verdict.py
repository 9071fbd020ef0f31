"""The verdict on a board: what was measured against the setpoints, with a reason for everything but a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagent.capture.facts import WHOLE
from edgeagent.model.boards import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeagent.capture.facts import Facts, Judgement
    from edgeagent.model.boards import ConveyorRecord, OxygenRecord, SampleRecord
    from edgeagent.model.machine import Tolerances

_BLIND_S = 10.0
"""With a longer silence nothing is judged."""


def verdict(judgements: Iterable[Judgement], doubt: str) -> Verdict:
    """Failures before what is unknown, and at last why the profile is not judged."""
    told = tuple(judgements)
    failed = [reason for reason, judged in told if judged is False]
    unknown = [reason for reason, judged in told if judged is None]
    process = "fail" if failed else "unknown" if unknown else "pass"
    return Verdict(process, "unknown", (*failed, *unknown, f"profile: {doubt}"))


def stay(
    facts: Facts, conveyor: ConveyorRecord, oxygen: Iterable[OxygenRecord], samples: SampleRecord, allowed: Tolerances
) -> Iterator[Judgement]:
    """Judge what every machine has: exit, beats, readiness, belt and oxygen."""
    if facts.exited_ns is None:
        yield "process: its exit was not seen", None
    if samples.longest_gap_seconds > _BLIND_S:
        yield f"process: nothing was measured for {samples.longest_gap_seconds:.1f} s", None
    elif samples.good < WHOLE * samples.expected:
        yield f"process: {samples.missing} of {samples.expected} beats are missing", None
    if facts.process_ready is not True:
        yield ("process: the machine was not ready when the board entered" if facts.process_ready is False
               else "process: whether the machine was ready at entry is unknown"), facts.process_ready
    yield from near("conveyor", conveyor.mean, conveyor.setpoint, conveyor.quality, conveyor.unit,
                    (conveyor.setpoint or 0.0) * allowed.belt_percent / 100)
    if allowed.oxygen_ppm is not None:
        for of in oxygen:
            yield from near(of.object, of.mean, of.setpoint, of.quality, of.unit, allowed.oxygen_ppm)


def near(
    name: str, mean: float | None, setpoint: float | None, quality: str, unit: str, allowed: float
) -> Iterator[Judgement]:
    """Judge a mean against its setpoint; nothing is said where it is as near as allowed."""
    if mean is None or setpoint is None or quality == "bad":
        yield f"process: {name} is not known", None
    elif abs(mean - setpoint) > allowed:
        yield f"process: {name} was {mean:g} {unit}, {setpoint:g} ± {allowed:g} is allowed", False
    elif quality != "good":
        yield f"process: {name} is uncertain", None
