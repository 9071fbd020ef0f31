"""What a command does at the machine, and the only way by which it may."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

from edgeagent.control.ports import CommandedMachine, Context, Value, Written
from edgeagent.errors import EdgeAgentError
from edgeagent.model.commands import Job
from edgeagent.model.events import Event
from edgeagent.store.journal import Kept


class CommandEnded(EdgeAgentError):
    """A procedure ends here, not as it was asked to; the text is the job's reason, for a shift engineer."""


class Failed(CommandEnded):
    """It did not work, and that is known: the job ends `failed`."""


class NotConfirmed(Failed):
    """The machine did not take over what was written, or did not do what it was told, within its time."""


class Stopped(CommandEnded):
    """Somebody asked for its end with Command.Stop: the job ends `stopped`."""


class Withdrawn(CommandEnded):
    """Remote control ended, or an interlock no longer holds, between two stages: the job ends `stopped`."""


class Unknown(CommandEnded):
    """Nobody can say what the machine made of it: the job ends `unknown`."""


class Work(Protocol):
    """What a running procedure works with: the only way to a register.

    `write`, `command`, `until` and `sleep` raise `Stopped` or `Withdrawn` when the job shall end. A procedure that
    must leave the machine in a safe state catches them (`except (Stopped, Withdrawn)`), does what is left, and raises
    them again. After the first of them only the points and commands that the procedure names in `safe` are written,
    and nothing at all once the machine's own switch is off; waiting is not interrupted any more.
    """

    @property
    def stopped_by(self) -> str | None:
        """Who asked for its end, after `Withdrawn` too, when nothing raises `Stopped` any more; None for nobody."""

    def was_sent(self, path: str) -> bool:
        """Whether something was sent to a point, by `write` or `command`: it may have arrived or not."""

    async def step(self, text: str) -> None:
        """Begin the next step of the job; it is stored, with the end of the one before."""

    async def write(self, path: str, value: Written) -> None:
        """Write one point.

        Control state and interlocks are asked again, the change is told as the caller's, and audited.

        Raises:
            Stopped, Withdrawn: and nothing is written. MachineError: it may or may not be written.
        """

    async def command(self, name: str) -> None:
        """Do a command of the map: handshake, preconditions, level or pulse, and its confirmation within its time.

        Raises:
            Failed: its preconditions do not hold. NotConfirmed: the machine did not do it.
            Stopped, Withdrawn, MachineError: as `write`.
        """

    async def read(self, *paths: str) -> dict[str, float | str | bool]:
        """Read points anew, from the machine and after this call.

        Raises:
            MachineError: one of them could not be read, or is not good.
        """

    async def until(self, holds: Callable[[], bool | None], timeout_s: float) -> bool:
        """Look after each beat whether something holds (None: cannot be told now); False when the time is over.

        Raises:
            Stopped, Withdrawn.
        """

    async def sleep(self, seconds: float) -> None:
        """Wait, by the agent's clock; raises like `until`."""

    def keep(self, row: Kept) -> None:
        """Write a row of the store in the transaction of the job's end; not at all when the job fails."""

    def tell(self, event: Event) -> None:
        """Put an event into the transaction of the job's end, before `Command.Executed`."""


class Procedure(ABC):
    """One command as it was asked for; made anew for each request, before anything is decided.

    What a subclass is made with: (machine, parameters, context). Its `__init__` only looks and never waits; it may
    raise `CommandRefused("notFound", ...)` for what does not exist.

    Attributes:
        takes_long: it has the machine for itself until its end: two such jobs never run at one machine.
        gives_way: for now any other command ends it, as if that one's caller had stopped it; it writes nothing then.
        answers_when_done: the caller waits for the end and gets `answer()`; else it gets the job at once.
        commands: names of the map's commands that it may give.
    """

    takes_long: bool = False
    gives_way: bool = False
    answers_when_done: bool = False
    commands: frozenset[str] = frozenset()

    @property
    def safe(self) -> frozenset[str]:
        """Paths, and names of commands, that may still be written on the way to a safe state: when remote control has
        run out, the job was stopped, or an interlock does not hold any more."""
        return frozenset()

    def interlocks(self) -> Iterator[str]:
        """Each reason why it must not run now, by good data; asked before the start and before each write."""
        yield from ()

    def limits(self) -> Iterator[str]:
        """Each thing asked for that the machine cannot do."""
        yield from ()

    def before(self) -> dict[str, Value]:
        """What stands now of what will be changed, by path: for the audit."""
        return {}

    @abstractmethod
    async def run(self, work: Work) -> str | None:
        """Do it; return what is to be said of its good end, or None.

        Raises:
            Failed, Stopped, Withdrawn, Unknown: it did not end well. MachineError: the machine was lost; the job ends
                `unknown` if something was written before, else `failed`. CommandRefused: it ends `refused`, if nothing
                was written.
        """

    async def resume(self, work: Work) -> str | None:
        """Take up a job that ran when the agent ended: look where the machine is, and end as `run` does.

        Commands nothing unless control is remote again (`work.write` sees to that).
        """
        raise Unknown("the agent was restarted while it ran; look at the machine before it is asked for again")

    def leaves_open(self, sent: Collection[str]) -> bool:
        """Whether, now that it has ended, what it sent may still begin or go on to heat, and nobody follows that.

        Args:
            sent: paths that it sent something to.
        """
        return False

    def answer(self, job: Job) -> Any:
        """What the caller is answered once a procedure with `answers_when_done` ended well."""
        return job


Factory = Callable[[CommandedMachine, Any, Context], Procedure]
"""Makes the procedure of one request."""
