"""One machine with all that belongs to commanding it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgeagent.clock import iso
from edgeagent.config import MachineTable
from edgeagent.control.gate import Gate
from edgeagent.control.ports import CommandedMachine
from edgeagent.control.remote import Remote, Standing


@dataclass(frozen=True, slots=True)
class Commanded:
    """A machine, the gate before its registers, and who has control of it.

    Attributes:
        turned: called with machine, state before, and what stands then, when control changes.
    """

    machine: CommandedMachine
    gate: Gate
    settings: MachineTable
    remote: Remote
    turned: Callable[[str, str, Standing], None]

    @property
    def id(self) -> str:
        """Of the machine."""
        return self.machine.machine.id

    def look(self) -> Remote:
        """Its control state with what the panel says now; what changed is told."""
        status = self.machine.status()
        self.remote.see(self.machine.switch(), status.state, status.connected)
        now = self.remote.standing()
        if now.state != status.control:
            self.machine.turn(now.state, now.by, iso(now.until_ns) if now.until_ns else None)
            self.turned(self.id, status.control, now)
        return self.remote
