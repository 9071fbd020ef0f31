"""The board record: the core's figures, put into the words of the OpenApps profile and judged."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import edgeagent
from edgeagent.capture.facts import quality
from edgeagent.capture.stations import Stations
from edgeagent.capture.tunnel import Tunnel
from edgeagent.capture.verdict import stay, verdict
from edgeagent.clock import iso, utc_offset
from edgeagent.model.boards import BoardRecord, ConveyorRecord, MachineName, OxygenRecord, SampleRecord
from edgeagent.model.samples import rounded

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from edgeagent._core.capture import BoardFigures
    from edgeagent.capture.facts import Facts
    from edgeagent.model.machine import Machine
    from firmware_iface.registers import Lane


class Recorder:
    """Makes the records of one lane's boards.

    Args:
        stay: columns whose statistics over the stay the core keeps: the belt's speed first, then oxygen.
    """

    def __init__(self, machine: Machine, lane: Lane, stay: tuple[int, ...]) -> None:
        self._machine = machine
        self._lane = lane
        self._stay = stay
        self._kind = Stations(machine) if machine.map.kind == "wave" else Tunnel(machine)

    def record(
        self, facts: Facts, figures: BoardFigures, trace: tuple[array[int], array[float]], stride: int
    ) -> BoardRecord:
        """Put everything together."""
        machine = self._machine
        conveyor = self._conveyor(facts, figures)
        oxygen = tuple(self._oxygen(facts, figures))
        process = self._kind.process(facts, figures, trace, stride)
        samples = SampleRecord(figures.expected, figures.good, max(0, figures.expected - figures.good),
                               round(figures.longest_gap_s, 3))
        of_stay = stay(facts, conveyor, oxygen, samples, facts.judging.tolerances)
        return BoardRecord(
            id=facts.id, barcodes=facts.barcodes,
            machine=MachineName(machine.id, facts.serial_number, machine.map.id, machine.map.fingerprint),
            agent=edgeagent.__version__, lane=self._lane.number, side=None, pass_=1, order=None, operator=None,
            length_mm=rounded(facts.length_mm, 1) if facts.length_mm is not None else None,
            identity="uncertain" if facts.uncertain else "certain", recipe=facts.recipe,
            entered_at=iso(facts.entered_ns), exited_at=iso(facts.exited_ns) if facts.exited_ns else None,
            utc_offset=utc_offset(facts.entered_ns), process_ready=facts.process_ready, conveyor=conveyor,
            oxygen=oxygen, while_inside=facts.inside, samples=samples,
            verdict=verdict(chain(of_stay, process.judgements), process.doubt), **process.members,
        )  # fmt: skip

    def _conveyor(self, facts: Facts, figures: BoardFigures) -> ConveyorRecord:
        point = self._machine.points[self._stay[0]]
        count, mean, minimum, maximum = figures.stay[0]
        setpoint = facts.setpoint_at(self._lane.speed_setpoint, figures.entered_ns)
        return ConveyorRecord(
            unit=point.unit or "", setpoint=rounded(setpoint, point.decimals), mean=rounded(mean, point.decimals),
            minimum=rounded(minimum, point.decimals), maximum=rounded(maximum, point.decimals),
            quality=quality(count, figures.expected, figures.longest_gap_s),
            exit_offset_mm=round(facts.offset_mm, 1) if facts.offset_mm is not None else None,
        )  # fmt: skip

    def _oxygen(self, facts: Facts, figures: BoardFigures) -> Iterator[OxygenRecord]:
        for column, (count, mean, minimum, maximum) in zip(self._stay[1:], figures.stay[1:], strict=True):
            point = self._machine.points[column]
            setpoint = facts.setpoint_at(f"{point.object}/setpoint", figures.entered_ns)
            yield OxygenRecord(
                object=point.object, unit=point.unit or "", mean=rounded(mean, point.decimals),
                minimum=rounded(minimum, point.decimals), maximum=rounded(maximum, point.decimals),
                setpoint=rounded(setpoint, point.decimals),
                quality=quality(count, figures.expected, figures.longest_gap_s),
            )  # fmt: skip
