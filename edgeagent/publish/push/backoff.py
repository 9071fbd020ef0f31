"""How long a stopped line waits before it tries again."""

from __future__ import annotations

from random import Random

_FIRST_S, _MOST_S = 1.0, 60.0
_CALM_S = 60.0
_MOST_ASKED_S = 900.0
"""An MES may ask for so much patience; one that asks for more is asked again after it."""


class BackOff:
    """Twice as long after each failure, up to a minute, with jitter; begins anew when all was well for a minute.

    An MES that fails every other time is not asked faster and faster: one success alone does not begin it anew.
    """

    def __init__(self, chance: Random | None = None) -> None:
        self._chance = chance or Random()  # noqa: S311  jitter is no secret
        self._failures = 0
        self._well_since: float | None = None

    def failed(self, asked_s: float | None = None) -> float:
        """Count a failure; return the wait in seconds.

        Args:
            asked_s: what the MES asked for in Retry-After; None where it did not.
        """
        self._well_since = None
        ceiling = min(_MOST_S, _FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        own_s = ceiling * self._chance.uniform(0.5, 1.0)
        if asked_s is None:
            return own_s
        return min(max(asked_s, own_s), _MOST_ASKED_S) * self._chance.uniform(1.0, 1.1)

    def succeeded(self, now: float) -> None:
        """Count a success at a time in seconds."""
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since >= _CALM_S:
            self._failures = 0
