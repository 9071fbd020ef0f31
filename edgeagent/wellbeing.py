"""What is looked after of the agent itself: the parts of its health, and the alarms of what is wrong with it."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from edgeagent.store.restoring import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgeagent.acquire.wires import Reader
    from edgeagent.health import Health
    from edgeagent.own_alarms import OwnAlarms
    from edgeagent.publish.push.line import Line
    from edgeagent.store import Archive, Audit, Database
    from edgeagent.store.retention import Retention
    from edgeagent.unit import Unit


def look_after_the_store(
    health: Health, alarms: OwnAlarms, database: Database, archive: Archive, audit: Audit, retention: Retention
) -> None:  # fmt: skip
    """Watch whether everything that is to be kept is kept."""
    care, room = archive.care, database.room

    def damaged() -> str | None:
        return care.damage() or care.rows()

    def refused() -> str | None:
        return refusal(database.path)

    health.add("store", lambda: _refuses(database))
    health.add("disk", lambda: room.spent)
    health.add("room on the disk", room.low, is_needed=False)
    health.add("store's writer", database.pulse.check(), is_vital=True)
    health.add("store's damage", damaged, is_needed=False)
    health.add("recipes", archive.recipes.fault, is_needed=False)
    health.add("audit", audit.fault, is_needed=False)
    health.add("restore", refused, is_needed=False)
    health.add("retention", retention.fault, is_needed=False)
    alarms.watch("store", "diskFull", lambda: room.spent)
    alarms.watch("store", "diskNearlyFull", room.low, "warning")
    alarms.watch("store", "storeRefuses", lambda: database.health().failing)
    alarms.watch("store", "eventsLost", lambda: _left_out(database))
    alarms.watch("audit", "auditRefuses", lambda: audit.failing)
    alarms.watch("audit", "auditBroken", lambda: audit.broken, "warning")
    alarms.watch("store", "restoreRefused", refused, "warning")
    alarms.watch("store", "storeDamaged", care.damage)
    alarms.watch("store", "rowsDamaged", care.rows, "warning")
    alarms.watch("store", "eventsMissing", lambda: archive.journal.missing, "warning")
    alarms.watch("store", "recipesDamaged", archive.recipes.fault, "warning")
    alarms.watch("store", "storeOverLimit", retention.fault, "warning")


def look_after_the_users(health: Health, alarms: OwnAlarms, fault: Callable[[], str | None]) -> None:
    """Watch whether the users' file can be used."""
    health.add("users", fault, is_needed=False)
    alarms.watch("users", "usersUnusable", fault, "warning")


def look_after_the_machines(
    health: Health, units: Sequence[Unit], readers: Sequence[tuple[str, Reader]], longest_wait_s: float
) -> None:
    """Watch whether each machine answers, and whether what reads it lives."""
    for unit in units:
        health.add(f"machine {unit.machine.id}", unit.fault, is_needed=False)
    places = Counter[str]()
    for machine, reader in readers:
        places[machine] += 1
        health.add(f"source {places[machine]} of {machine}", reader.pulse.check(longest_wait_s), is_vital=True)


def look_after_the_pushes(health: Health, alarms: OwnAlarms, lines: Iterable[Line]) -> None:
    """Watch whether each MES that is pushed to takes its events."""
    for line in lines:
        part = f"push/{line.name}"
        health.add(part, line.fault, is_needed=False)
        line.told = partial(alarms.report, part, "pushStopped", machines=line.machines)
        alarms.watch(part, "eventsSetAside", line.has_set_aside, "warning", line.machines)


def _refuses(database: Database) -> str | None:
    """Why nothing can be written, and what waits meanwhile: events are told once they are on disk."""
    now = database.health()
    if now.failing is None:
        return None
    return f"{now.failing}; {now.waiting} writes wait, the oldest for {now.lag_s:.0f} s; events are told after it"


def _left_out(database: Database) -> str | None:
    left_out = database.health().left_out
    return f"no room in memory while the disk refuses: {left_out} writes are lost" if left_out else None
