"""What did not reach a peer as it was made, in plain numbers."""

from __future__ import annotations

from collections import Counter


class Tally:
    """Counts of one agent's outlets.

    Attributes:
        coalesced: telemetry messages that a newer one took the place of, because the peer was slow.
        lost: events that a subscriber wanted and that were told as a gap.
        refused: transport → connections beyond the bound. cut: transport → connections ended for what the peer did.
        forbidden: transport → requests refused for the page that asks: Host, Origin.
        authentications: "right", "wrong", "slowed" → tokens that were sent, and how they were taken.
        handshakes: transport → TLS handshakes that failed.
        unknown_functions: calls of functions that there are not.
    """

    def __init__(self) -> None:
        self.coalesced = 0
        self.lost = 0
        self.refused: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.forbidden: Counter[str] = Counter()
        self.authentications: Counter[str] = Counter()
        self.handshakes: Counter[str] = Counter()
        self.unknown_functions = 0
