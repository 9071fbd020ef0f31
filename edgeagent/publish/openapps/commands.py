"""Answers about commands: what became of them."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from edgeagent.errors import CommandRefused
from edgeagent.model.callers import Caller
from edgeagent.model.functions.commands import GetJob, ListJobs
from edgeagent.publish.access import Handler
from edgeagent.publish.openapps.machines import Machines
from edgeagent.publish.openapps.times import asked_ns
from edgeagent.store.jobs import Jobs


class CommandAnswers:
    """Command.*; jobs are passed on as the bytes that are stored."""

    def __init__(self, machines: Machines, jobs: Jobs) -> None:
        self._machines = machines
        self._jobs = jobs

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {"Command.Get": self.get, "Command.List": self.list}

    async def get(self, wanted: GetJob, _: Caller) -> Raw:
        """One job."""
        job = await self._jobs.get(wanted.job)
        if job is None:
            raise CommandRefused("notFound", f"There is no job {wanted.job!r}.")
        return Raw(job)

    async def list(self, wanted: ListJobs, _: Caller) -> dict[str, Any]:
        """A page of jobs."""
        self._machines.some(wanted.machine)
        jobs, cursor = await self._jobs.find(
            since_ns=asked_ns("since", wanted.since), state=wanted.state, machine=wanted.machine,
            limit=wanted.limit, cursor=wanted.cursor,
        )  # fmt: skip
        return {"jobs": [Raw(job) for job in jobs], "cursor": cursor}
