"""Command.*: what became of commands."""

from __future__ import annotations

from edgeagent.model.commands import Job, JobState
from edgeagent.model.functions.forms import Cursor, Limit, Machine, Parameters, Result, Text


class GetJob(Parameters, frozen=True):
    """One job by its id."""

    job: Text


class StopJob(Parameters, frozen=True):
    """One job that is to end before its time."""

    job: Text


class ListJobs(Parameters, frozen=True):
    """Jobs, the last accepted first; `since` is RFC 3339 and concerns the acceptance. `cursor` goes on after a page."""

    since: Text | None = None
    state: JobState | None = None
    machine: Machine = None
    limit: Limit = 50
    cursor: Cursor = None


class JobsListed(Result, frozen=True):
    """A page of jobs; `cursor` is null on the last one."""

    jobs: tuple[Job, ...]
    cursor: str | None
