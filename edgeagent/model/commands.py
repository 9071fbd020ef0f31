"""A job: what became of a command."""

from __future__ import annotations

from typing import Literal

import msgspec

JobState = Literal["accepted", "running", "done", "refused", "failed", "stopped", "unknown"]
"""The last five are ends; unknown is one whose outcome the machine did not tell."""


class JobStep(msgspec.Struct, frozen=True, rename="camel"):
    """One step of a job in words, from when to when; None while it goes on."""

    text: str
    started_at: str
    ended_at: str | None = None


class Job(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One command to a machine: who asked for it, how far it is, and why it ended so.

    Attributes:
        request_id: the caller's key, by which a repeated command is known. by: who asked.
        reason: a sentence where it was refused, failed or stopped.
    """

    id: str
    function: str
    machine: str
    request_id: str | None
    by: str
    state: JobState
    steps: tuple[JobStep, ...] = ()
    reason: str | None = None
    accepted_at: str
    ended_at: str | None = None
