"""What a machine must have to run, and what its controller remembers of having lost it."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_iface.simulated.faults import FaultList


@dataclass(frozen=True, slots=True)
class Interlock:
    """One thing that can be lost.

    Attributes:
        fault: by which it is lost. present, latch: paths of the points that tell it; None where no point does.
        is_needed: the machine cannot be switched on without it. cuts_heat: its loss switches the heaters off.
        is_local: its latch is reset at the panel only, and keeps the machine from being switched on.
    """

    fault: str
    present: str | None
    latch: str
    is_needed: bool = True
    cuts_heat: bool = False
    is_local: bool = False


INTERLOCKS = (
    Interlock("hood-open", "hood/closed", "hood/openLatched", cuts_heat=True),
    Interlock("exhaust-lost", "exhaust/flowing", "exhaust/lostLatched", cuts_heat=True),
    Interlock("air-lost", "air/present", "air/lostLatched"),
    Interlock("water-lost", "water/flowing", "water/lostLatched"),
    Interlock("nitrogen-lost", "nitrogen/present", "nitrogen/lostLatched", is_needed=False),
    Interlock("overtemperature", None, "machine/overtemperatureLatched", cuts_heat=True, is_local=True),
)


class Interlocks:
    """The interlocks of one machine.

    Attributes:
        latched: paths of the latches that are set.
    """

    def __init__(self, faults: FaultList) -> None:
        self.latched: set[str] = set()
        self._faults = faults

    def advance(self, is_on: bool) -> bool:
        """Latch what a machine that is switched on has lost; whether that switches its heaters off."""
        lost = [each for each in INTERLOCKS if is_on and self._faults.standing(each.fault)]
        self.latched.update(each.latch for each in lost)
        return any(each.cuts_heat for each in lost)

    def may_start(self) -> bool:
        """Whether everything is there that switching on needs."""
        return not any((each.is_needed and self._faults.standing(each.fault))
                       or (each.is_local and each.latch in self.latched) for each in INTERLOCKS)  # fmt: skip

    def reset(self, *, at_panel: bool) -> None:
        """Take back the latches whose cause is gone; from afar those only that are not local."""
        self.latched -= {each.latch for each in INTERLOCKS
                         if not self._faults.standing(each.fault) and (at_panel or not each.is_local)}  # fmt: skip
