"""Status.PowerOn and Status.PowerOff: a machine is warmed up, and cooled down, by a job that can be watched."""

from __future__ import annotations

from edgeagent.model.functions.forms import CommandParameters


class PowerOn(CommandParameters, frozen=True, kw_only=True):
    """Switch a machine on: a warning, then heat; the job is done when it is ready."""


class PowerOff(CommandParameters, frozen=True, kw_only=True):
    """Switch a machine off once it has cooled down; `now` without that, where its map allows it."""

    now: bool = False
