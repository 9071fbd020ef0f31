"""Recipe.Start: a kept recipe is written to the machine, read back, and waited for."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping
from contextlib import suppress
from typing import Any

from edgeagent.control import interlocks
from edgeagent.control.ports import CommandedMachine, Context, Value, Written
from edgeagent.control.procedure import CommandEnded, Failed, NotConfirmed, Procedure, Stopped, Unknown, Withdrawn, Work
from edgeagent.control.settling import Settling
from edgeagent.errors import CommandRefused, MachineError
from edgeagent.model.functions.recipes import StartRecipe
from edgeagent.model.recipe_checks import faults, in_words, settable
from edgeagent.model.recipes import StoredRecipe
from edgeagent.model.samples import is_same

Read = float | str | bool
"""A good value as it was read."""

_STATES = ("ready", "running", "warmingUp", "changeover", "standby", "starting")
"""States in which a machine can take a recipe and come to it."""

_SLICE_S = 60.0
"""How often the job says how far the machine is."""

_CONNECTED_S = 60.0
"""How long a machine may take to answer after a restart of the agent."""

_MOST_NAMED = 20
"""Values that an outcome names one by one."""


class Start(Procedure):
    """Start a recipe.

    Boards inside a lane whose heat, belt or width would change keep it from being written, and nothing else: while
    the machine comes to it, boards that enter are marked as not ready.
    """

    takes_long = True
    commands = frozenset(("recipeStart",))

    def __init__(self, machine: CommandedMachine, wanted: StartRecipe, context: Context) -> None:
        self._machine = machine
        self._context = context
        self._recipes = context.archive.recipes
        self._recipe = _kept(wanted, machine, context)
        self._by = context.caller.name
        self._settings = {path: self._recipe.settings[path] for path in settable(machine.machine)
                          if path in self._recipe.settings}  # fmt: skip
        self._waits = context.rules.recipe_change == "wait"
        self._is_written = False
        self._safe = frozenset[str]()
        self._sent: list[str] = []
        self._moves: list[str] = []
        """What is about to change although it stands as it is wanted: by `recipeStart`, or put back."""
        map_ = machine.machine.map
        told = ((map_.recipe_version, float(self._recipe.version)), (map_.recipe_name, self._recipe.name))
        self._names: dict[str, Written] = {path: value for path, value in told
                                           if path and map_.register(path).writable}  # fmt: skip

    # What must hold

    @property
    def safe(self) -> frozenset[str]:
        """What is being written may be put back; not over a board, whatever stands."""
        return frozenset() if any(self._occupied()) else self._safe

    def interlocks(self) -> Iterator[str]:
        """The machine heats, is in no fault, and has no board where something changes."""
        yield from self._hindered()
        if (not self._is_written or self._moves) and not self._waits:
            yield from self._occupied()

    def limits(self) -> Iterator[str]:
        """What the machine cannot do; it may have another map than when the recipe was kept."""
        for fault in faults(self._recipe, self._machine.machine, self._recipe.version):
            yield in_words([fault])

    def before(self) -> dict[str, Value]:
        """What will be changed, as it stands now."""
        return {path: interlocks.good(self._machine, path) for path in (*self._differing(), *self._names)}

    # The way

    async def run(self, work: Work) -> str | None:
        """Wait for an empty lane where that is configured, write, read back, and wait until it is ready."""
        await self._recipes.forget_former(self._recipe.machine)
        if self._waits:
            await self._until_empty(work)
        await work.step("reads what the machine is set to")
        former = await work.read(*self._settings, *self._names)
        await self._recipes.note_former(self._recipe, former)
        return await self._to_its_end(work, self._begin(work, former))

    async def resume(self, work: Work) -> str | None:
        """Look what stands: go on with waiting where all of it does, say what stands where else."""
        former = await self._recipes.former(self._recipe)
        if former is None:
            raise Failed(f"The agent was restarted before anything of recipe {self._recipe.name} was written.")
        self._is_written = True
        return await self._to_its_end(work, self._go_on(work, former))

    async def _to_its_end(self, work: Work, way: Coroutine[Any, Any, str | None]) -> str | None:
        """Mark boards that enter meanwhile, also while the agent is restarted; who runs the job ends that.

        What stood before is needed until its good end is on disk.
        """
        self._machine.hold_ready(f"recipe {self._recipe.name} version {self._recipe.version} is not settled yet")
        told = await way
        work.keep(self._recipes.settled(self._recipe.machine))
        return told

    async def _begin(self, work: Work, former: dict[str, Read]) -> str | None:
        try:
            await self._write(work, former)
        except (CommandEnded, MachineError) as error:
            await self._put_back(work, former, error)
        return await self._settle(work)

    async def _go_on(self, work: Work, former: dict[str, Read]) -> str | None:
        await work.step("reads what the machine is set to, after a restart of the agent")
        await self._until_connected(work)
        read = await self._read_all(work)
        if any(value is None for value in read.values()):
            raise Unknown(f"The agent was restarted while it was written. {self._standing(read, former)}")
        if all(is_same(wanted, read[path]) for path, wanted in self._settings.items()):
            try:
                await self._name(work, read)
            except CommandEnded as error:
                raise type(error)(f"All its settings stand, its name could not be told: {error}") from error
            return await self._settle(work)
        if all(is_same(before, read[path]) for path, before in former.items()):
            raise Failed(f"The agent was restarted before recipe {self._recipe.name} was written: nothing changed.")
        raise Failed(f"The agent was restarted while it was written. {self._standing(read, former)}")

    async def _until_empty(self, work: Work) -> None:
        reasons = list(self._occupied())
        if reasons:
            minutes = self._context.rules.recipe_wait_minutes
            await work.step(f"waits for an empty lane: {' '.join(reasons)}")
            if not await work.until(lambda: not any(self._occupied()), 60 * minutes):
                raise Failed(f"Nothing was written: within {minutes:g} minutes no lane became empty. "
                             f"{' '.join(self._occupied())}")
        self._waits = False

    async def _until_connected(self, work: Work) -> None:
        """Wait for the first answers; that it takes too long is seen by whoever reads then."""
        for _ in range(2):
            try:
                await work.until(lambda: self._machine.status().connected, _CONNECTED_S)
            except Withdrawn:
                continue  # reading goes on without remote control; it is told once
            return

    async def _write(self, work: Work, former: dict[str, Read]) -> None:
        """Write what differs, read everything back, then say which recipe it is."""
        todo = {path: wanted for path, wanted in self._settings.items() if not is_same(wanted, former[path])}
        self._safe = frozenset((*todo, *self._names))
        if todo:
            await work.step(f"writes {len(todo)} of {len(self._settings)} settings, the others stand already")
        await self._send(work, todo)
        await work.step("reads everything back")
        read = await work.read(*self._settings)
        if any(not is_same(wanted, read[path]) for path, wanted in self._settings.items()):
            raise NotConfirmed("The machine did not take everything that was written.")
        await self._name(work, former)

    async def _send(self, work: Work, todo: Mapping[str, Written]) -> None:
        for path, value in todo.items():
            self._sent.append(path)
            await work.write(path, value)

    async def _name(self, work: Work, now: Mapping[str, Value]) -> None:
        """Tell the machine which recipe it has, where it can be told; from now on the agent knows it runs."""
        todo = {path: value for path, value in self._names.items() if not is_same(value, now[path])}
        if todo:
            await work.step(f"says that it is recipe {self._recipe.name} version {self._recipe.version}")
            self._machine.expect(todo, self._by)
            try:
                await self._send(work, todo)
            finally:
                self._machine.expect_no_more([path for path in todo if not work.was_sent(path)])
            read = await work.read(*todo)
            if any(not is_same(value, read[path]) for path, value in todo.items()):
                raise NotConfirmed("The machine did not take the name or the version of the recipe.")
        if self._machine.machine.map.command("recipeStart") and (todo or not self._is_written):
            self._moves = list(self._settings)
            await work.command("recipeStart")
            self._moves = []
        self._is_written = True
        self._machine.recipe_started(self._recipe.key, self._by)

    async def _settle(self, work: Work) -> str | None:
        """Wait until everything has been within its tolerance for the settling time without a break."""
        settling = Settling(self._recipe, self._machine, self._context.clock)
        if not settling.count:
            return "Nothing that the recipe sets is measured, so nothing was waited for."
        now_ns, timeout_s = self._context.clock.monotonic_ns, self._timeout_s()
        deadline_ns = now_ns() + round(timeout_s * 1e9)

        def settled() -> bool:
            return settling.look() and not any(self._hindered())

        settling.look()
        await work.step(f"waits until the machine is ready for it, {timeout_s / 60:g} minutes at most: "
                        f"{settling.progress()}")
        while now_ns() < deadline_ns:
            slice_s = min(_SLICE_S, (deadline_ns - now_ns()) / 1e9)
            try:
                await work.until(lambda: settled() or settling.has_news or work.stopped_by is not None, slice_s)
            except Withdrawn:
                continue  # it is written and stands; to wait for it needs no remote control
            except Stopped:
                pass
            if settled():
                return None
            if work.stopped_by is not None:
                raise Stopped(f"{work.stopped_by} stopped it. The recipe is written and stands.")
            await work.step(settling.progress())
        reasons = (*self._hindered(), *map(str, settling.missing[:_MOST_NAMED]))
        missing = "; ".join(reasons) or "nothing has stood long enough without a break"
        raise Failed(f"The recipe is written, but the machine was not ready for it in {timeout_s / 60:g} minutes: "
                     f"{missing}.")

    def _timeout_s(self) -> float:
        power = self._machine.machine.map.power
        return power.warm_up_timeout_s if power else 60 * self._context.rules.recipe_ready_minutes

    # When it goes wrong

    async def _put_back(
        self, work: Work, former: dict[str, Read], error: CommandEnded | MachineError
    ) -> None:
        """Write what stood before, the last first, as far as that is possible and permitted; then tell what stands.

        What somebody changed at the panel meanwhile is left alone.
        """
        read = await self._read_all(work)
        self._moves = changed = [path for path in reversed(self._sent) if not is_same(former[path], read[path])]
        kept_from = ""
        if changed:
            with suppress(CommandEnded):
                await work.step("writes back what stood before")
        for path in changed:
            before = former[path]
            try:
                await self._write_back(work, path, before if isinstance(before, str) else float(before))
            except (CommandEnded, MachineError) as refused:
                reasons = " ".join(self._occupied()) or refused
                kept_from = f" What stood before could not all be written back: {reasons}"
                if isinstance(refused, CommandEnded):
                    break
        read = await self._read_all(work)
        reason = f"{error} {self._standing(read, former)}{kept_from}"
        if any(value is None for value in read.values()):
            raise Unknown(reason)
        raise (type(error) if isinstance(error, Stopped | Withdrawn) else Failed)(reason)

    async def _write_back(self, work: Work, path: str, value: Written) -> None:
        try:
            await work.write(path, value)
        except (Stopped, Withdrawn):
            await work.write(path, value)  # the job is on its way to its end now, and this is safe

    async def _read_all(self, work: Work) -> dict[str, Value]:
        """Read each setting, and the names; None for what cannot be read."""
        paths = (*self._settings, *self._names)
        read: dict[str, Value] = {}
        try:
            return read | await work.read(*paths)
        except MachineError:
            if not self._machine.status().connected:
                return dict.fromkeys(paths)
        for path in paths:
            try:
                read |= await work.read(path)
            except MachineError:
                read[path] = None
        return read

    def _standing(self, read: dict[str, Value], former: dict[str, Read]) -> str:
        """Exactly what stands where: path, wanted, and what was read."""
        if all(is_same(before, read[path]) for path, before in former.items()):
            return "Everything stands as it did before."
        wanted: dict[str, Written] = {**self._settings, **self._names}
        told = [f"{path} is {_shown(read[path])}, wanted {_shown(value)}, before {_shown(former.get(path))}"
                for path, value in wanted.items() if not is_same(former[path], read[path])]  # fmt: skip
        more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
        return f"Now {'; '.join(told[:_MOST_NAMED])}{more}; everything else stands as it did before."

    # Looking

    def _hindered(self) -> Iterator[str]:
        """Why the machine cannot come to any recipe now."""
        status = self._machine.status()
        if self._machine.machine.map.states and status.state not in _STATES:
            yield f"{status.machine} is {status.state} ({status.reason}): it cannot come to a recipe now."

    def _occupied(self) -> Iterator[str]:
        return interlocks.changes(self._machine, self._moves or self._changing())

    def _changing(self) -> list[str]:
        """What the start is about to change: all of it where `recipeStart` takes it over, else what differs."""
        takes_over = not self._is_written and self._machine.machine.map.command("recipeStart")
        return list(self._settings) if takes_over else self._differing()

    def _differing(self) -> list[str]:
        """The settings that the machine has otherwise, or whose value is not known."""
        return [path for path, wanted in self._settings.items()
                if not is_same(wanted, interlocks.good(self._machine, path))]  # fmt: skip


def _kept(wanted: StartRecipe, machine: CommandedMachine, context: Context) -> StoredRecipe:
    """The recipe that is asked for; raises CommandRefused notFound."""
    recipes, id_ = context.archive.recipes, machine.machine.id
    recipe = recipes.get(id_, wanted.name, wanted.version)
    if recipe is None:
        raise CommandRefused("notFound", recipes.why_none(id_, wanted.name, wanted.version), id_)
    if recipe.deleted_at:
        raise CommandRefused("notFound", f"Recipe {wanted.name!r} was deleted and is not started any more.", id_)
    return recipe


def _shown(value: Value) -> str:
    return "unknown" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)
