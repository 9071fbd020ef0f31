"""How late live events come: the delay of each reading of the scanner, from its beat to whoever is told."""

from __future__ import annotations

import time
from typing import Any

from edgeagent.tools.proving.ground import Agent
from edgeagent.tools.proving.verdict import ninety_ninth

MOST_DELAY_S = 1.0
"""The 99th percentile that must hold, in real seconds."""

FEWEST = 100
"""Events of which a 99th percentile says something."""


class Delays:
    """Takes what a consumer hears."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.values: list[float] = []
        self._since = 0.0

    def begin(self) -> None:
        """Count what happens from now on; what is told later and happened before was not live."""
        self.values.clear()
        self._since = time.time()

    def hear(self, method: str, params: dict[str, Any], now: float) -> None:
        """Note a reading's delay."""
        if method == "Board.BarcodeRead" and (happened := self._agent.real_s(params["time"])) >= self._since:
            self.values.append(now - happened)

    @property
    def ninety_ninth_s(self) -> float:
        """The 99th percentile, in real seconds."""
        return ninety_ninth(self.values)

    def faults(self) -> list[str]:
        """What must not be."""
        if len(self.values) < FEWEST:
            return [f"only {len(self.values)} live events came meanwhile, too few to say how late they are"]
        if self.ninety_ninth_s >= MOST_DELAY_S:
            return [f"live events were {self.ninety_ninth_s:.2f} s late at the 99th percentile"]
        return []

    def __str__(self) -> str:
        return f"live events {self.ninety_ninth_s * 1000:.0f} ms late at the 99th percentile ({len(self.values)})"
