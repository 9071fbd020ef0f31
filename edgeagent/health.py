"""Whether the agent lives and is ready: named checks, asked by the watchdog, by /healthz and /readyz."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Check = Callable[[], str | None]
"""Says in words what is wrong now, or None; never waits. Called on the event loop."""


class _Part(NamedTuple):
    check: Check
    is_vital: bool
    is_needed: bool


class Health:
    """The checks of all parts of the agent, in the order in which they were added."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}

    def add(self, part: str, check: Check, *, is_vital: bool = False, is_needed: bool = True) -> None:
        """Add a part.

        Args:
            is_vital: when it is not well, starting the agent anew helps, and nothing else does.
            is_needed: without it the agent cannot do its work; what is not needed is told, and the agent is ready.
        """
        self._parts[part] = _Part(check, is_vital, is_needed)

    def faults(self) -> dict[str, str]:
        """What is wrong with the needed parts that are not well."""
        return {name: fault for name, fault in self.ready()[1].items() if fault and self._parts[name].is_needed}

    def dead(self) -> dict[str, str]:
        """What is wrong with the vital parts that are not well: the watchdog is fed while this is empty."""
        return {name: fault for name, fault in self.alive()[1].items() if fault}

    def alive(self) -> tuple[bool, dict[str, str | None]]:
        """Whether the agent lives, and what is wrong with each vital part; None of one that is well."""
        parts = {name: part.check() for name, part in self._parts.items() if part.is_vital}
        return not any(parts.values()), parts

    def ready(self) -> tuple[bool, dict[str, str | None]]:
        """Whether the agent can do its work, and what is wrong with each part; None of one that is well."""
        parts = {name: part.check() for name, part in self._parts.items()}
        return not any(fault and self._parts[name].is_needed for name, fault in parts.items()), parts
