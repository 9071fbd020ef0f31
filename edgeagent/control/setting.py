"""Configuration.SetObjectParameter: one value is written, read back, and put back where it does not stand."""

from __future__ import annotations

from collections.abc import Iterator

from edgeagent.control import interlocks
from edgeagent.control.ports import CommandedMachine, Context, Value, Written
from edgeagent.control.procedure import Failed, NotConfirmed, Procedure, Stopped, Unknown, Withdrawn, Work
from edgeagent.errors import CommandRefused, MachineError
from edgeagent.model.functions.control import SetObjectParameter
from edgeagent.model.recipe_checks import settable
from edgeagent.model.samples import rounded
from firmware_iface.encoding import value_fault


class SetParameter(Procedure):
    """Sets one parameter; `resume` looks what stands there."""

    takes_long = True

    def __init__(self, it: CommandedMachine, asked: SetObjectParameter, context: Context) -> None:
        self._it = it
        self._path = f"{asked.object}/{asked.name}"
        if self._path not in it.machine.column or it.machine.point(self._path).object != asked.object:
            reason = f"{it.machine.id} has no parameter {self._path}; Configuration.GetObjects lists all."
            raise CommandRefused("notFound", reason, it.machine.id)
        self._point = it.machine.point(self._path)
        self._is_truth = isinstance(asked.value, bool)
        self._value: Written = asked.value if isinstance(asked.value, str) else float(asked.value)
        self._before: Value = interlocks.good(it, self._path)

    @property
    def safe(self) -> frozenset[str]:
        """The former value may be put back."""
        return frozenset((self._path,))

    def limits(self) -> Iterator[str]:
        """It must be a writable setpoint or limit, and able to hold exactly this value."""
        if not self._point.writable:
            yield f"{self._path} is only read."
        elif self._path not in settable(self._it.machine):
            yield f"{self._path} is no parameter: what it does is a function of its own, with checks of its own."
        elif self._is_truth and not self._point.is_bit:
            yield f"{self._path} is no boolean and never {str(bool(self._value)).lower()}."
        elif fault := value_fault(self._it.machine.register(self._path), self._value):
            yield f"{fault}."

    def interlocks(self) -> Iterator[str]:
        """As for a recipe: nothing changes in a lane that is not known to be empty."""
        yield from interlocks.state(self._it)
        yield from interlocks.changes(self._it, (self._path,))

    def before(self) -> dict[str, Value]:
        """The value that stands there now."""
        return {self._path: interlocks.good(self._it, self._path)}

    async def run(self, work: Work) -> str | None:
        """Write it, read it back; what is not confirmed is put back."""
        await work.step(f"{self._path} is written")
        self._before = (await work.read(self._path))[self._path]
        await work.write(self._path, self._value)
        await work.step(f"{self._path} is read back")
        try:
            found = (await work.read(self._path))[self._path]
        except MachineError as error:
            raise Unknown(f"{self._path} was written and cannot be read back: {error}.") from error
        if self._is_wanted(found):
            return None
        await self._put_back(work, found)
        return None

    async def resume(self, work: Work) -> str | None:
        """Look what stands there: the value that was asked for, or not."""
        found = (await work.read(self._path))[self._path]
        if self._is_wanted(found):
            return f"The agent was restarted meanwhile; {self._path} is {found}."
        raise Failed(f"The agent was restarted meanwhile; {self._path} is {found}, not {self._value}.")

    async def _put_back(self, work: Work, found: float | str | bool) -> None:
        """Bring back what stood there, and say what stands there then."""
        sentence = f"{self._it.machine.id} shows {found} for {self._path} and not {self._value}"
        former = self._before if isinstance(self._before, str) else float(self._before or 0.0)
        if found == self._before:
            raise NotConfirmed(f"{sentence}; it is as it was.")
        try:
            await work.step(f"{self._path} is put back")
            await work.write(self._path, former)
            back = (await work.read(self._path))[self._path]
        except (MachineError, Stopped, Withdrawn) as error:
            raise Unknown(f"{sentence}; the former value {self._before} could not be put back: {error}") from error
        if back != self._before:
            raise Unknown(f"{sentence}; after the former value {self._before} was put back it shows {back}.")
        raise NotConfirmed(f"{sentence}; the former value {self._before} was put back.")

    def _is_wanted(self, found: float | str | bool) -> bool:
        if isinstance(found, str) or isinstance(self._value, str):
            return found == self._value
        decimals = self._point.decimals
        return rounded(float(found), decimals) == rounded(self._value, decimals)
