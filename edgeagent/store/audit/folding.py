"""Floods: of what repeats itself the first is an entry at once, and the rest of a minute one sum."""

from __future__ import annotations

import msgspec

from edgeagent.model.audit import AuditEntry

WINDOW_S = 60.0
MOST_KINDS = 64
"""Different repetitions in one window; what is beyond them is one more, of several callers."""

_SEVERAL = "several callers"

Key = tuple[str, ...]


class _Repeated(msgspec.Struct):
    until_s: float
    first: AuditEntry | None = None
    last: AuditEntry | None = None
    count: int = 0


class Folding:
    """Folds entries of the same kind, caller, host, function and machine; at most 130 a minute come out of it."""

    def __init__(self) -> None:
        self._repeated: dict[Key, _Repeated] = {}

    def take(self, entry: AuditEntry, now_s: float) -> AuditEntry | None:
        """Take an entry; return it where it is the first, None where it will be part of a sum."""
        host = (entry.peer or "").rpartition(":")[0] or entry.peer or ""
        key: Key = (entry.kind, entry.who, host, entry.function or "", entry.machine or "")
        if key not in self._repeated and len(self._repeated) >= MOST_KINDS:
            key = (entry.kind,)
            entry = AuditEntry(time=entry.time, clock=entry.clock, kind=entry.kind, who=_SEVERAL)
        repeated = self._repeated.get(key)
        if repeated is None:
            self._repeated[key] = _Repeated(now_s + WINDOW_S)
            return entry
        repeated.first = repeated.first or entry
        repeated.last = entry
        repeated.count += 1
        return None

    def due_s(self) -> float | None:
        """When the next sum is due, in monotonic seconds; None where nothing is open."""
        return min((repeated.until_s for repeated in self._repeated.values()), default=None)

    def sums(self, now_s: float) -> list[AuditEntry]:
        """End the windows that are over; one entry for each in which something repeated itself."""
        over = [key for key, repeated in self._repeated.items() if repeated.until_s <= now_s]
        ended = [self._repeated.pop(key) for key in over]
        return [
            msgspec.structs.replace(repeated.last, time=repeated.first.time, count=repeated.count,
                                    until=repeated.last.time)
            for repeated in ended if repeated.first and repeated.last
        ]  # fmt: skip
