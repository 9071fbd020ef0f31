"""Which procedure does which function."""

from __future__ import annotations

from edgeagent.control.procedure import Factory

PROCEDURES: dict[str, Factory] = {}
"""Function → what makes its procedure; the executor answers each of them."""
