"""What is another than at the last start of the agent: its software, the machines' configurations, the store."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from edgeagent.model.events import ConfigurationChanged, Event

if TYPE_CHECKING:
    from edgeagent.acquire.recorder import Recorder
    from edgeagent.clock import Clock
    from edgeagent.config import Configuration
    from edgeagent.store import Checkpoints, Journal
    from firmware_iface.registers import RegisterMap

ITSELF = "the agent"
"""Name of the checkpoint in which the agent keeps what it was configured with; no machine can be called so."""


async def tell_changes(
    configuration: Configuration, maps: dict[str, tuple[RegisterMap, ...]], journal: Journal, checkpoints: Checkpoints,
    clock: Clock, software: str, recorder: Recorder | None = None, store: str = "",
) -> None:  # fmt: skip
    """Tell what is another than at the last start, and keep it in the same transaction.

    Args:
        software: version of the agent that runs.
        store: what the store was restored from; empty where it grew by itself.
    """
    saved = await checkpoints.load(ITSELF)
    wall_ns = clock.wall_ns()
    if recorder:
        recorder.taken_up(ITSELF, saved, (), clock.monotonic_ns(), wall_ns)
    before: dict[str, str] = {"store": ""} | (msgspec.json.decode(saved.body) if saved else {})
    now = {"software": software, "store": store}
    for table in configuration.machines:
        configured = hashlib.sha256(msgspec.json.encode(table)).hexdigest()[:12]
        now[f"machine configuration of {table.id}"] = configured
        now[f"register map of {table.id}"] = " ".join(f"{m.id} {m.fingerprint}" for m in maps[table.id])
    events = [
        Event("Configuration.Changed", wall_ns, table.id,
              ConfigurationChanged(what=what.partition(" of ")[0], from_=before[what] or None, to=value,
                                   by="restore" if what == "store" else "restart"))
        for what, value in now.items() if before.get(what, value) != value
        for table in configuration.machines if what in ("software", "store") or what.endswith(f" of {table.id}")
    ]  # fmt: skip
    checkpoint = (ITSELF, msgspec.json.encode(now))
    if events:
        journal.append(events, checkpoint, "trusted" if clock.trusted else "untrusted")
    elif before != now:
        checkpoints.save(*checkpoint)
