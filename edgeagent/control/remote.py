"""Who has control of one machine, after SEMI E30: offline, local, or remote for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeagent.clock import Clock, iso
from edgeagent.config import ControlTable, MachineTable
from edgeagent.control.windows import Window, openings
from edgeagent.errors import CommandRefused

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_MINUTE_NS = 60_000_000_000
_TURNED_NS = 2_000_000_000
"""So long the switch must be off before its turning on counts, and the machine be heard before its turning off does.

A key is hardly turned off and on faster; a controller that starts has not read its inputs for less.
"""
_STARTS = frozenset(("unknown", "off", "starting"))
"""What a machine's state may become when its controller starts."""
_MACHINE = "machine"
_CONFIGURATION = "configuration"
_AGENT = "agent"


class Standing(NamedTuple):
    """Who has control now.

    Attributes:
        state: "offline", "local" or "remote". by: who brought it about. until_ns: wall time when it runs out.
        reason: why it is not remote; empty where it is.
        functions: the only ones for which it is remote; all where there are none.
    """

    state: str
    by: str
    until_ns: int | None = None
    reason: str = ""
    functions: frozenset[str] = frozenset()


class Wish(NamedTuple):
    """Somebody on the network asks for remote control."""

    by: str
    reason: str
    minutes: int
    at: str


class _Lease(NamedTuple):
    """Ends at a monotonic time, so that setting the clock makes it no longer."""

    by: str
    ends_ns: int


class Remote:
    """The control state of one machine.

    Args:
        clock: real time, also where the agent runs on another.
        has_switch: the machine's map has a switch at its panel, which always wins.

    Attributes:
        wish: what waits for somebody at the machine; None where nothing does.
    """

    def __init__(self, settings: ControlTable, machine: MachineTable, has_switch: bool, clock: Clock) -> None:
        self._settings = settings
        self._machine = machine.id
        self._clock = clock
        self._has_switch = has_switch
        zone = _zone(settings.time_zone) if settings.time_zone else None
        self._windows = tuple(Window(window, zone) for window in machine.remote_windows)
        self._switch: bool | None = None
        self._last: bool | None = None
        """The switch as it was last read good."""
        self._state = ""
        self._heard_ns: int | None = None
        """Monotonic time since which the machine was heard at each look, and did not seem to start."""
        self._is_by_hand = False
        """The switch was turned off at the panel, as far as can be told."""
        self._off_ns: int | None = None
        """Since when it is off so and the machine was heard; None where it is on."""
        self._lease: _Lease | None = None
        self._given_back = False
        self._ended_by = "restart"
        self._is_maintained = False
        self.wish: Wish | None = None

    def see(self, switch: bool | None, state: str, is_connected: bool = True) -> None:
        """Take the panel's switch, None while it is not read good, the machine's state, and whether it answers.

        The switch's turning off ends every lease at once, its turning on begins one after two seconds off. One that
        was on, and is off soon after the machine is heard again or seems to start, may be a controller that has not
        read its inputs yet: nobody has turned it.
        """
        now_ns, seems_to_start = self._clock.monotonic_ns(), state in _STARTS and self._state not in ("", state)
        self._switch, self._state, self._is_maintained = switch, state, state == "maintenance"
        if switch is None or not is_connected or seems_to_start:
            self._heard_ns = self._off_ns = None
        elif self._heard_ns is None:
            self._heard_ns = now_ns
        if not self._has_switch or switch is None:
            return
        if switch:
            if _is_long(self._off_ns, now_ns):
                self._begin(_MACHINE, self._settings.lease_minutes)
            self._off_ns = None
        else:
            if self._last is not False:
                self._is_by_hand = self._last is None or _is_long(self._heard_ns, now_ns)
            if self._is_by_hand and self._heard_ns is not None and self._off_ns is None:
                self._off_ns = now_ns
            self._lease, self._ended_by = None, _MACHINE
        self._last = switch

    def grant(self, by: str, minutes: int | None) -> None:
        """Grant remote control from the oven PC for a while, at most as long as the configuration says.

        Raises:
            CommandRefused: notRemote where the agent is offline or the machine's switch is not on; outOfRange.
        """
        most = self._settings.lease_minutes
        if minutes is not None and not 1 <= minutes <= most:
            raise CommandRefused("outOfRange", f"Remote control is granted for 1 to {most} minutes.", self._machine)
        if reason := self._offline() or self._switched_off():
            raise CommandRefused("notRemote", f"It cannot be granted: {reason}.", self._machine)
        self._begin(by, minutes or min(most, self.wish.minutes if self.wish else most))

    def release(self, by: str) -> None:
        """Give remote control back; a window of the configuration counts again once it has been closed."""
        self._lease, self._given_back, self._ended_by, self.wish = None, True, by, None

    def ask(self, by: str, reason: str, minutes: int) -> None:
        """Ask for remote control; somebody at the machine may grant it."""
        self.wish = Wish(by, reason, minutes, iso(self._clock.wall_ns()))

    def standing(self) -> Standing:
        """Who has control now."""
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        if reason := self._offline():
            return Standing("offline", _MACHINE if self._is_maintained else _CONFIGURATION, reason=reason)
        if self._lease and self._lease.ends_ns <= now_ns:
            self._ended_by, self._lease = _AGENT, None
        is_trusted = self._clock.trusted
        open_ = openings(self._windows, wall_ns) if is_trusted else []
        if is_trusted and not open_:
            self._given_back = False
        if reason := self._switched_off():
            return Standing("local", _MACHINE, reason=reason)
        if self._lease:
            return Standing("remote", self._lease.by, wall_ns + self._lease.ends_ns - now_ns)
        if open_ and not self._given_back:
            everything = [window for window in open_ if not window.functions]
            until_ns = max(window.until_ns for window in everything or open_)
            functions = frozenset[str]() if everything else frozenset().union(*(window.functions for window in open_))
            return Standing("remote", _CONFIGURATION, until_ns, functions=functions)
        return Standing("local", self._ended_by, reason=self._how_granted())

    def allows(self, function: str) -> tuple[str, str]:
        """The control state for one function, and why it is not remote."""
        now = self.standing()
        if now.state == "remote" and now.functions and function not in now.functions:
            return "local", f"now it is remote for {', '.join(sorted(now.functions))} only"
        return now.state, now.reason

    def may_end(self) -> str:
        """Say why a job that must end may not even bring the machine to a safe state; empty where it may.

        The machine's switch and the configuration keep it from that, a lease that has run out does not.
        """
        return self._offline() or self._switched_off()

    @property
    def is_dark(self) -> bool:
        """Whether it is not remote because the panel's switch cannot be read."""
        return not self._offline() and self._has_switch and self._switch is None

    def _begin(self, by: str, minutes: int) -> None:
        self._lease = _Lease(by, self._clock.monotonic_ns() + minutes * _MINUTE_NS)
        self.wish, self._given_back = None, False

    def _offline(self) -> str:
        if not self._settings.enabled:
            return "commands are switched off in the agent's configuration"
        return "the machine is in maintenance" if self._is_maintained else ""

    def _switched_off(self) -> str:
        if not self._has_switch or self._switch:
            return ""
        if self._switch is None:
            return "the switch at its panel cannot be read"
        return "the switch at its panel says so"

    def _how_granted(self) -> str:
        if self._has_switch:
            return ("turn the switch at its panel off for two seconds and on, or grant it on the oven PC "
                    "(edgeagent remote grant)")  # fmt: skip
        return "somebody must grant it on the oven PC (edgeagent remote grant)"


def _is_long(since_ns: int | None, now_ns: int) -> bool:
    return since_ns is not None and now_ns - since_ns >= _TURNED_NS


def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo  # noqa: PLC0415  only where one is named

    return ZoneInfo(name)
