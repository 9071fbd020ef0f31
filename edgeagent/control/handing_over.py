"""Status.RequestRemote, Status.ReleaseRemote and, at the console, Status.GrantRemote: control changes hands."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

from edgeagent.clock import iso
from edgeagent.control.ports import CommandedMachine, Context, Value
from edgeagent.control.procedure import Procedure, Work
from edgeagent.control.remote import Remote
from edgeagent.model.commands import Job
from edgeagent.model.functions.control import ControlStanding, GrantRemote, ReleaseRemote, RemoteRequest, RequestRemote

_log = logging.getLogger(__name__)


class _HandsOver(Procedure):
    """What they have in common: no register is touched, and the answer is who has control then."""

    answers_when_done = True

    def __init__(self, it: CommandedMachine, _: Any, context: Context) -> None:
        self._machine = it.machine.id
        self._remote = context.remote
        self._by = context.caller.name

    def before(self) -> dict[str, Value]:
        """Who had control."""
        return {"control": self._remote.standing().state}

    async def run(self, work: Work) -> None:
        """Do it, and say so in the log, where somebody at the machine may see it."""
        _log.warning("%s: %s", self._machine, self._done())

    def answer(self, _: Job) -> ControlStanding:
        """Who has control now."""
        return standing_of(self._machine, self._remote)

    @abstractmethod
    def _done(self) -> str:
        """Do it; say what was done."""


class Request(_HandsOver):
    """Somebody on the network asks for remote control."""

    def __init__(self, it: CommandedMachine, asked: RequestRemote, context: Context) -> None:
        super().__init__(it, asked, context)
        self._asked = asked

    def _done(self) -> str:
        self._remote.ask(self._by, self._asked.reason, self._asked.minutes)
        return (f"{self._by} asks for remote control for {self._asked.minutes} min ({self._asked.reason}): "
                "edgeagent remote grant")  # fmt: skip


class Release(_HandsOver):
    """Somebody gives remote control back."""

    def __init__(self, it: CommandedMachine, asked: ReleaseRemote, context: Context) -> None:
        super().__init__(it, asked, context)

    def _done(self) -> str:
        self._remote.release(self._by)
        return f"{self._by} gives remote control back"


class Grant(_HandsOver):
    """Somebody on the oven PC grants remote control."""

    def __init__(self, it: CommandedMachine, asked: GrantRemote, context: Context) -> None:
        super().__init__(it, asked, context)
        self._minutes = asked.minutes

    def _done(self) -> str:
        self._remote.grant(self._by, self._minutes)
        return f"{self._by} grants remote control"


def standing_of(machine: str, remote: Remote) -> ControlStanding:
    """Who has control of a machine, as it is told."""
    now, wish = remote.standing(), remote.wish
    return ControlStanding(
        machine, now.state, now.by, iso(now.until_ns) if now.until_ns else None, now.reason or None,
        tuple(sorted(now.functions)) or None,
        RemoteRequest(wish.by, wish.reason, wish.minutes, wish.at) if wish else None,
    )  # fmt: skip
