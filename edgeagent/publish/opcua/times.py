"""Times between ns since 1970, as the agent counts them, and those of OPC UA; to the microsecond, never rounded up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from asyncua import ua

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def when(time_ns: int) -> datetime:
    """A time of the agent."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def ns(time: datetime) -> int:
    """A time of OPC UA, which are all UTC."""
    return (utc(time) - _EPOCH) // _MICROSECOND * 1000


def utc(time: datetime) -> datetime:
    """The same with its zone, which asyncua leaves out."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def given(time: datetime | None) -> datetime | None:
    """A time that a client gives; None where it says by the first time of OPC UA that it gives none."""
    return None if time is None or utc(time) <= utc(ua.get_win_epoch()) else utc(time)
