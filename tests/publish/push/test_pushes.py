"""What the console is answered about push targets, where that is no matter of one line."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeagent.clock import Clock
from edgeagent.config import PushTable
from edgeagent.errors import CommandRefused, StoreError
from edgeagent.model.audit import AuditEntry
from edgeagent.model.callers import Caller
from edgeagent.model.functions.push import RetryPush
from edgeagent.publish.notices import Notices
from edgeagent.publish.push.pushes import Pushes
from tests.publish.push.mes import an_mes, line_to

Run = Callable[[Coroutine[Any, Any, None]], None]


class FullDisk:
    """An audit record that takes nothing."""

    async def write(self, *_: AuditEntry) -> None:
        raise StoreError("the audit record cannot be written: the disk is full")

    def report(self, *_: AuditEntry) -> None:
        raise AssertionError("nothing was done")


def test_what_cannot_be_recorded_is_not_done_and_says_why(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes, line_to(mes, tmp_path) as it:
            clock = Clock()
            table = msgspec.convert({"name": "plant", "url": f"http://localhost:{mes.port}/"}, PushTable)
            notices = Notices(it.archive.journal.stream, clock)
            pushes = Pushes((table,), tmp_path, it.archive, notices, FullDisk(), clock)
            with pytest.raises(CommandRefused) as refused:
                await pushes.retry(RetryPush(), Caller("console:root", "administrator", "console", "1"))
            assert refused.value.kind == "busy"
            assert str(refused.value) == (
                "It cannot be recorded, so it is not done: the audit record cannot be written: the disk is full.")

    run(main())
