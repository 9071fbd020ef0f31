"""Status.PowerOn and Status.PowerOff: warned and warmed up, cooled down and off, or an honest unknown."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

from edgeagent.control import heat, interlocks
from edgeagent.control.heat import ON, Presence
from edgeagent.control.ports import CommandedMachine, Context, Value
from edgeagent.control.procedure import Failed, NotConfirmed, Procedure, Stopped, Unknown, Withdrawn, Work
from edgeagent.errors import MachineError
from edgeagent.model.functions import power
from firmware_iface.commands import Power

IDLE = "agent: idle"
"""The caller as which `control.idle` commands it; no user has a colon in its name."""

_BEGINS_S = 30.0
"""From the command's confirmation until the machine's state must show it."""

_LOOKS_S = 10.0
"""All zones must be cool twice, so long apart, before belt and blowers stop."""


SWITCH_ON = "Switch on"
"""The step in which the command is given."""


class _Powers(Procedure):
    """What both directions share."""

    takes_long = True

    def __init__(self, it: CommandedMachine, context: Context) -> None:
        self._it = it
        self._map = it.machine.map
        self._context = context
        self._clock = context.clock
        self._presence = Presence(it, context.clock)

    def before(self) -> dict[str, Value]:
        """The machine's state, for the audit."""
        return {"state": self._state}

    @property
    def _state(self) -> str:
        return self._it.status().state

    @property
    def _power(self) -> Power:
        if self._map.power is None:
            raise Failed(f"The map {self._map.id} has no [power].")  # `limits` refuses it before
        return self._map.power

    def _lacks(self, *commands: str) -> Iterator[str]:
        if self._map.power is None:
            yield f"The map {self._map.id} does not say how the machine is switched on and off: it has no [power]."
        for name in commands:
            if self._map.command(name) is None:
                yield f"The map {self._map.id} has no command {name}."
        if not heat.can_rest(self._it):
            yield f"The map {self._map.id} has neither a command standby nor [standby]: heat could not be ended."

    def _preconditions(self, name: str, what: str) -> Iterator[str]:
        command = self._map.command(name)
        return interlocks.preconditions(self._it, command.preconditions if command else (), what)

    async def _hear(self, work: Work) -> None:
        """Wait, whoever has control, until the machine tells its state; after a restart only a former one is known."""
        terms = [term for rule in self._map.states for term in rule.when]
        while not self._presence.is_lost():
            was_known = self._presence.is_known
            if was_known:
                with suppress(MachineError):
                    await work.read(*{path for term in terms for path in (term.path, term.minus) if path})
            await self._it.next_beat()
            if was_known and self._presence.is_known:
                return
        raise Unknown("The machine does not answer, and what it made of the command is not known.")


class PowerOn(_Powers):
    """Warn, switch on, and wait until the machine is ready."""

    commands = frozenset(("powerOn", "standby"))

    def __init__(self, it: CommandedMachine, _: power.PowerOn, context: Context) -> None:
        super().__init__(it, context)
        self._was_told = False
        """It was told to start: from here on everything that is still written takes heat away."""
        self._is_resumed = False
        self._is_confirmed = False
        self._is_seen_to = False
        """It is ready, or began and was brought to rest: nothing of the command is left."""

    @property
    def safe(self) -> frozenset[str]:
        """The horn, and what switches the heaters off."""
        horn = self._map.power.horn if self._map.power else None
        return heat.resting(self._it) | ({horn} if horn else set())

    def interlocks(self) -> Iterator[str]:
        """A machine that is on needs nothing; any other must be known to be empty, and as its map asks for."""
        if self._was_told or self._state in ON:
            return
        yield from interlocks.state(self._it)
        if self._state == "fault":
            yield f"{self._it.machine.id} is in fault: {self._it.status().reason}; see to it at the machine."
        yield from interlocks.emptiness(self._it)
        yield from self._preconditions("powerOn", "Power on")

    def limits(self) -> Iterator[str]:
        """What the map must say."""
        return self._lacks("powerOn")

    def leaves_open(self, sent: Collection[str]) -> bool:
        """Once the command was sent, until it is ready, or did begin and was brought to rest."""
        command = self._map.command("powerOn")
        return not self._is_seen_to and (self._is_resumed or (command is not None and command.write in sent))

    async def run(self, work: Work) -> str | None:
        """Warn, switch on, warm up; whatever ends it before leaves no heat behind."""
        if self._state in ON:
            return f"It is on already: {self._it.status().reason}."
        await self._warn(work)
        await work.step(SWITCH_ON)
        try:
            await work.command("powerOn")
            self._was_told = self._is_confirmed = True
            in_time = await self._warm_up(work)
        except (Stopped, Withdrawn, NotConfirmed):
            if self._is_sent(work):
                self._was_told = True
                await self._end_heat(work)
            raise
        return await self._warmed(work, in_time)

    def _is_sent(self, work: Work) -> bool:
        command = self._map.command("powerOn")
        return command is not None and work.was_sent(command.write)

    async def resume(self, work: Work) -> str | None:
        """Silence the horn, and go on where the machine is warming up by itself."""
        self._was_told = self._is_resumed = True
        await self._hear(work)
        horn = self._power.horn
        sounds = await _sounds(work, horn) if horn else False
        if horn and sounds:
            await self._silence(work, horn)
        if self._state not in ON:
            raise Unknown(f"The agent was restarted in it; the machine is in state {self._state}: "
                          f"{self._it.status().reason}. Whether it had been told to start is not known."
                          f"{' Nor is whether the horn still sounds.' if sounds is None else ''}")  # fmt: skip
        self._is_confirmed = True
        if self._state in ("ready", "running"):
            return await self._warmed(work, True)
        try:
            in_time = await self._warm_up(work)
        except (Stopped, Withdrawn):
            await self._end_heat(work)
            raise
        return await self._warmed(work, in_time)

    async def _warn(self, work: Work) -> None:
        """Sound the horn for the map's warning time; it is off again whatever happens."""
        horn, seconds = self._power.horn, self._power.warning_s
        if not seconds:
            return
        await work.step(f"Warn for {seconds:g} s{' with the horn' if horn else ''}")
        try:
            if horn:
                await work.write(horn, 1.0)
            await work.sleep(seconds)
        finally:
            if horn and work.was_sent(horn):
                await self._silence(work, horn)

    async def _silence(self, work: Work, horn: str) -> None:
        try:
            try:
                await work.write(horn, 0.0)
            except (Stopped, Withdrawn):
                await work.write(horn, 0.0)  # the job is on its way to its end now, and this is safe
                raise
        except MachineError as error:
            raise Unknown(f"The horn could not be switched off and may still sound: {error}.") from error
        except Withdrawn as error:
            is_silent = await _sounds(work, horn) is False
            raise Withdrawn(f"{error}{'' if is_silent else ' The horn may still sound.'}") from error

    async def _warm_up(self, work: Work) -> bool:
        """Wait until it is ready, or is none that warms up any more; False when the time is over."""
        begun_ns = self._clock.monotonic_ns()

        def ended() -> bool:
            if self._presence.is_lost() or self._state in ("ready", "running", "fault", "emergencyStop", "maintenance"):
                return True
            if not self._presence.is_known or self._state in ON:
                return False
            return self._clock.monotonic_ns() - begun_ns > _BEGINS_S * 1e9

        return await heat.follow(work, self._clock, ended, lambda: heat.coldest(self._it), "Warm up",
                                 self._power.warm_up_timeout_s)  # fmt: skip

    async def _warmed(self, work: Work, in_time: bool) -> str:
        status = self._it.status()
        if not self._presence.is_known:
            raise Unknown("The machine stopped answering while it warmed up; look at it.")
        if status.state in ("ready", "running"):
            self._is_seen_to = True
            return f"It is ready: {status.reason}."
        gone = f"While it warmed up the machine went to state {status.state}: {status.reason}"
        if self._presence.was_interrupted and status.state not in ON:
            raise Unknown(f"{gone}. It did not answer for a while, and may have started anew.")
        await self._end_heat(work)
        if status.state == "emergencyStop":
            raise Unknown(f"{gone}. What of it is still on, only somebody who stands before it can tell.")
        if not in_time:
            raise Failed(f"It was not ready within {self._power.warm_up_timeout_s:g} s; the heaters are off again.")
        raise Failed(f"{gone}. The heaters are off.")

    async def _end_heat(self, work: Work) -> None:
        """Come to the nearest safe state: no heat, belt and blowers on."""
        with suppress(Stopped, Withdrawn):  # a step that cannot be kept leaves no heat on
            await work.step("Switch the heaters off; belt and blowers stay on")
        try:
            try:
                await self._rest(work)
            except (Stopped, Withdrawn):
                await self._rest(work)  # the job is on its way to its end now, and this is safe
            self._is_seen_to = self._is_confirmed
        except (MachineError, Failed) as error:
            if not self._presence.is_known or self._state not in heat.WITHOUT_HEAT:
                raise Unknown(f"The heaters could not be switched off again: {error}.") from error
        except Withdrawn as error:
            raise Withdrawn(f"{error} The machine goes on by itself: {self._it.status().reason}.") from error

    async def _rest(self, work: Work) -> None:
        """Take the heat away; a machine that has only just been told to start may not show it yet."""
        if self._state == "off":
            await work.until(lambda: self._state != "off", _BEGINS_S)
        await heat.rest(self._it, work)


class PowerOff(_Powers):
    """Switch the heaters off, cool down with belt and blowers on, then switch off.

    Nothing is `safe` to be written after it was stopped: it stays where it is, cooling or as hot as it was.
    """

    commands = frozenset(("standby", "powerOff"))

    def __init__(self, it: CommandedMachine, asked: power.PowerOff, context: Context) -> None:
        super().__init__(it, context)
        self._now = asked.now
        self._is_idle = context.caller.name == IDLE
        self._is_cooling = False
        """Nothing is written now; what comes between is judged when it is to be switched off."""
        self._must_be_cool = False
        """Belt and blowers are about to be switched off after the cool-down."""

    def interlocks(self) -> Iterator[str]:
        """Never with boards inside, nor while it is not known what is inside."""
        if self._is_cooling or self._state == "off":
            return
        yield from interlocks.state(self._it)
        yield from interlocks.emptiness(self._it)
        yield from self._preconditions("powerOff", "Power off")
        if self._must_be_cool:
            yield from self._heats()

    def _heats(self) -> Iterator[str]:
        """Why it may be heating, or hot, again after it had cooled down."""
        status = self._it.status()
        if status.state != "fault" and not heat.is_resting(self._it):
            yield f"{status.machine} was started again at the machine: it is {status.state} ({status.reason})."
        far = heat.hottest(self._it, self._power.safe_celsius)
        if far and far.celsius >= far.wanted:
            yield f"{far.path} is {far.celsius:.0f} °C again, and belt and blowers stop below {far.wanted:g} °C only."

    def limits(self) -> Iterator[str]:
        """What the map must say; whether it lets a hot machine be switched off."""
        yield from self._lacks("powerOff")
        if self._now and self._map.power and not self._map.power.immediate_off:
            yield f"The map {self._map.id} does not allow it to be switched off without the cool-down."

    async def run(self, work: Work) -> str | None:
        """Cool down unless `now`, and switch off."""
        if self._state == "off":
            return f"It is off already: {self._it.status().reason}."
        if self._is_idle:
            await self._announce(work)
        if not self._now:
            await work.step("Switch the heaters off; belt and blowers stay on")
            await heat.rest(self._it, work)
            self._is_cooling = True
            if not await work.until(lambda: heat.is_resting(self._it), _BEGINS_S):
                raise NotConfirmed(f"The machine is in state {self._state} after it was told to rest.")
            await self._cool_down(work)
        return await self._switch_off(work)

    async def resume(self, work: Work) -> str | None:
        """Go on cooling where the heaters are off; anything else is as unknown as it looks."""
        await self._hear(work)
        if self._state == "off":
            return f"It is off: {self._it.status().reason}."
        if self._now or not heat.is_resting(self._it):
            raise Unknown(f"The agent was restarted in it; the machine is in state {self._state}: "
                          f"{self._it.status().reason}.")  # fmt: skip
        self._is_cooling = True
        await self._cool_down(work)
        return await self._switch_off(work)

    async def _announce(self, work: Work) -> None:
        """Give whoever needs the machine some minutes to say so, by a board or any command."""
        minutes = self._context.settings.auto_off_warning_minutes
        await work.step(f"Nothing comes: it is switched off in {minutes} minutes, unless a board or a command comes")
        self.gives_way = True
        came = await work.until(lambda: any(interlocks.boards_inside(self._it)), 60.0 * minutes)
        self.gives_way = False
        if came:
            raise Stopped("A board came.")

    async def _cool_down(self, work: Work) -> None:
        """Wait until every zone is below, by good data, at two looks."""
        safe, timeout_s = self._power.safe_celsius, self._power.cool_down_timeout_s
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while (left_s := (end_ns - self._clock.monotonic_ns()) / 1e9) > 0:
            words = f"Cool down to below {safe:g} °C"
            await heat.follow(work, self._clock, self._is_over, lambda: heat.hottest(self._it, safe), words, left_s)
            self._check_cooling()
            if heat.is_cool(self._it, safe):
                await work.sleep(_LOOKS_S)
                if await self._is_cool_anew(work):
                    return
        if unknown := list(heat.untellable(self._it)):
            raise Unknown(f"Whether it is cool cannot be told: {', '.join(unknown)}. "
                          "The heaters are off, belt and blowers stay on.")  # fmt: skip
        far = heat.hottest(self._it, safe)
        told = f": {far.path} is {far.celsius:.0f} °C" if far else ""
        raise Unknown(f"It has not cooled down within {timeout_s:g} s{told}. It goes on cooling.")

    def _is_over(self) -> bool:
        """Whether it is cool, or has left the cool-down by itself."""
        is_away = self._presence.is_known and not heat.is_resting(self._it) and self._state != "fault"
        return self._presence.is_lost() or is_away or bool(heat.is_cool(self._it, self._power.safe_celsius))

    def _check_cooling(self) -> None:
        """Raise where the machine left the cool-down by itself."""
        status = self._it.status()
        if not self._presence.is_known:
            raise Unknown("The machine stopped answering while it cooled down; look at it.")
        is_off = status.state == "off" and heat.is_cool(self._it, self._power.safe_celsius)
        if status.state == "fault" or is_off or heat.is_resting(self._it):
            return
        gone = f"While it cooled down the machine went to state {status.state}: {status.reason}"
        if status.state in ON:
            raise Failed(f"{gone}.")
        raise Unknown(f"{gone}. What of it is still on, only somebody who stands before it can tell.")

    async def _is_cool_anew(self, work: Work) -> bool:
        try:
            values = await work.read(*heat.temperatures(self._it))
        except MachineError:
            return False
        return all(float(value) < self._power.safe_celsius for value in values.values())

    async def _switch_off(self, work: Work) -> str | None:
        self._is_cooling, self._must_be_cool = False, not self._now
        if self._state == "off":
            return "It was switched off at the machine."
        await work.step("Switch off")
        await work.command("powerOff")
        minutes = self._context.settings.auto_off_minutes if self._is_idle else None
        return f"It had stood idle for {minutes:g} minutes." if minutes else None


async def _sounds(work: Work, horn: str) -> bool | None:
    """Whether the horn sounds, read anew; None where that cannot be told."""
    try:
        return bool((await work.read(horn))[horn])
    except MachineError:
        return None
