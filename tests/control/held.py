"""What stands in for the audit record and for a wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from edgeagent.errors import StoreError, Unreachable
from edgeagent.model.audit import AuditEntry


class HeldAudit:
    """Keeps entries in memory; refuses while `failing` says why, or a kind is in `refuses`."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.failing: str | None = None
        self.refuses: set[str] = set()

    async def write(self, *entries: AuditEntry) -> None:
        await asyncio.sleep(0)
        if self.failing or any(entry.kind in self.refuses for entry in entries):
            raise StoreError(f"the audit record cannot be written: {self.failing}")
        self.entries += entries

    def report(self, *entries: AuditEntry) -> None:
        self.entries += entries

    def note(self, entry: AuditEntry) -> None:
        self.entries.append(entry)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries]


class Nowhere:
    """A way to no machine at all."""

    async def write(self, path: str, value: float | str, allows: Callable[[], None]) -> None:
        raise Unreachable("there is no wire")

    async def refresh(self, paths: Collection[str]) -> None:
        raise Unreachable("there is no wire")

    def why_not(self, path: str) -> str | None:
        return None
