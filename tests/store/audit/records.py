"""Entries, and records that are written by the agent's own parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from edgeagent.model.audit import AuditEntry
from edgeagent.store import Audit
from edgeagent.store.audit.segments import segment_files
from tests.store.samples import with_store

T = TypeVar("T")


def command(number: int = 1, **more: object) -> AuditEntry:
    return AuditEntry(time="2026-11-21T21:53:00.123Z", kind="command", who="mes", function="Recipe.Start",
                      values={"number": number}, **more)  # fmt: skip


def refusal(number: int = 1, peer: str = "192.0.2.7") -> AuditEntry:
    return AuditEntry(time=f"2026-11-21T21:53:00.{number % 1000:03}Z", kind="refusal", who="", peer=f"{peer}:{number}")


def with_audit(store: Path, use: Callable[[Audit], Awaitable[T]], **settings: object) -> T:
    async def main(database):
        audit = await Audit.open(database, retry_s=0.01, **settings)
        try:
            return await use(audit)
        finally:
            await audit.close()

    return with_store(store, main)


def recorded(store: Path, count: int = 3, segment_bytes: int = 1 << 20) -> list[Path]:
    """Let an agent's life record some commands; returns the files."""

    async def write(audit):
        for number in range(count):
            await audit.write(command(number))

    with_audit(store, write, segment_bytes=segment_bytes)
    return segment_files(store)
