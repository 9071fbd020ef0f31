"""The one clock of the agent: wall time for stamps, monotonic time for durations; a simulation may run it faster."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache, partial
from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TIME_ERROR = 5
"""adjtimex(2): the kernel's clock is not synchronised."""

_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
"""Touched by systemd-timesyncd whenever it sets the clock, at most every 2048 s unless configured otherwise."""
_TIMESYNCD_S = 3 * 2048.0

STEP_NS = 1_000_000_000
"""A wall clock that leaves the monotonic one by more between two looks was set; less is how it follows its source."""

_TOGETHER_NS = 10_000_000
_TRIES = 100

_TRUSTED_S, _UNTRUSTED_S = 60.0, 1.0
"""How long it is believed that the clock is synchronised, and that it is not."""

# It counts on while the computer sleeps, where that is known: a machine does not sleep with it.
_elapsed_ns = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic_ns


class Clock:
    """Wall and monotonic time in integer nanoseconds, both sped up by the same factor.

    Args:
        speed: seconds of this clock for one real second; 1.0 is the machine's own clock.
        origin_ns: wall time (ns since 1970) at which real and sped-up time are equal; needed when speed is not 1,
            and kept over restarts so that time goes on.
    """

    def __init__(self, speed: float = 1.0, origin_ns: int = 0) -> None:
        self.speed = speed
        self._origin_ns = origin_ns
        self._trusted = False
        self._believed_until_ns = 0
        self._steps = Steps()
        self._set_ns = 0
        """Wall time before which nobody can have synchronised the clock that it shows now."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 (UTC)."""
        now = time.time_ns()
        return now if self.speed == 1.0 else self._origin_ns + round((now - self._origin_ns) * self.speed)

    def monotonic_ns(self) -> int:
        """Nanoseconds that never step; goes on over a restart of the agent, not over one of the computer."""
        now = _elapsed_ns()
        return now if self.speed == 1.0 else round(now * self.speed)

    def moment(self) -> tuple[int, int]:
        """Monotonic and wall time of the same moment: read again where something else ran between the two."""
        for _ in range(_TRIES):
            now_ns, wall_ns = self.monotonic_ns(), self.wall_ns()
            if self.monotonic_ns() - now_ns < _TOGETHER_NS * self.speed:
                break
        return now_ns, wall_ns

    async def sleep_until(self, monotonic_ns: int) -> None:
        """Sleep until this clock shows the given monotonic time; returns at once when it is past."""
        await asyncio.sleep(max(0.0, (monotonic_ns - self.monotonic_ns()) / 1e9 / self.speed))

    async def sleep(self, seconds: float) -> None:
        """Sleep for seconds of this clock."""
        await asyncio.sleep(seconds / self.speed)

    @property
    def trusted(self) -> bool:
        """Whether the computer's clock is known to be synchronised; asked anew when it was set. A sped-up one never is.
        """
        if self.speed != 1.0:
            return False
        now_ns, wall_ns = self.moment()
        passed_ns, step_ns = self._steps.look(now_ns, wall_ns)
        if step_ns:
            self._set_ns, self._believed_until_ns = wall_ns - passed_ns - STEP_NS, 0
        if now_ns >= self._believed_until_ns:
            self._trusted = _synchronised(wall_ns, self._set_ns)
            self._believed_until_ns = now_ns + round((_TRUSTED_S if self._trusted else _UNTRUSTED_S) * 1e9)
        return self._trusted


class Steps:
    """Tells by how much a wall clock was set between two looks."""

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None

    def look(self, now_ns: int, wall_ns: int) -> tuple[int, int]:
        """How long the last look is past, and by how much the clock was set since, in ns; 0 where it was not.

        Args:
            now_ns, wall_ns: as `Clock.moment` tells them.
        """
        before_ns, wall_before_ns = self._seen or (now_ns, wall_ns)
        self._seen = now_ns, wall_ns
        return now_ns - before_ns, set_by(wall_before_ns - before_ns, wall_ns - now_ns)


def set_by(before_ns: int, ahead_ns: int) -> int:
    """By how much a wall clock was set that was so far ahead of the monotonic one; 0 where it was not."""
    step_ns = ahead_ns - before_ns
    return step_ns if abs(step_ns) > STEP_NS else 0


@cache
def boot_id() -> str:
    """Name of the computer's current boot: monotonic times compare only within one; empty where unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@lru_cache(maxsize=64)
def iso(wall_ns: int) -> str:
    """Format as RFC 3339 in UTC with milliseconds, `2026-11-21T21:53:00.123Z`; the values of a read share one stamp."""
    milliseconds = wall_ns // 1_000_000
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    """Format whole seconds since 1970 without a zone: the stamps of a beat and of its neighbours share one."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def instant_ns(stamp: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time; ValueError when it is none, or not between 1970 and 2262."""
    moment = datetime.fromisoformat(stamp)
    if moment.tzinfo is None:
        raise ValueError(f"{stamp} has no offset from UTC")
    wall_ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    if not 0 <= wall_ns < 1 << 63:
        raise ValueError(f"{stamp} is not between 1970 and 2262")
    return wall_ns


def utc_offset(wall_ns: int) -> str:
    """Offset of the computer's local time from UTC at that moment, `+01:00`."""
    offset = datetime.fromtimestamp(wall_ns / 1e9).astimezone().strftime("%z")
    return f"{offset[:3]}:{offset[3:5]}"


def _synchronised(wall_ns: int, set_ns: int) -> bool:
    """Ask the kernel; where a sandbox forbids that, look when systemd-timesyncd last set the clock.

    Args:
        set_ns: somebody set the clock then or later, so what was done before says nothing.
    """
    from edgeagent._core import kernel  # noqa: PLC0415 a command that only asks a running agent loads no core

    if (state := kernel.clock_state()) >= 0:
        return state < _TIME_ERROR
    try:
        touched_ns = _TIMESYNCD.stat().st_mtime_ns
    except OSError:
        return False
    return max(set_ns, wall_ns - round(_TIMESYNCD_S * 1e9)) <= touched_ns <= wall_ns + STEP_NS
