"""What the end of a procedure means: for the job, and for a caller who waits for it."""

from __future__ import annotations

from edgeagent.control.procedure import Failed, NotConfirmed, Stopped, Unknown, Withdrawn
from edgeagent.errors import CommandRefused, MachineError, StoreError
from edgeagent.model.commands import JobState

NEVER_BEGUN = "The agent was restarted before it began; nothing was done."

_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (NotConfirmed, "notConfirmed"), (Unknown, "notConfirmed"), (Withdrawn, "notRemote"), (MachineError, "unreachable"),
    (Failed, "busy"), (Stopped, "busy"),
)  # fmt: skip


def outcome(error: Exception, has_written: bool) -> tuple[JobState, str]:
    """The end of a job that its procedure did not bring to a good one, and its reason.

    Args:
        has_written: something was sent to a register.
    """
    if isinstance(error, Stopped | Withdrawn):
        return "stopped", str(error)
    if isinstance(error, CommandRefused) and not has_written:
        return "refused", error.reason
    if isinstance(error, Failed):
        return "failed", str(error)
    if isinstance(error, Unknown):
        return "unknown", str(error)
    is_told = isinstance(error, MachineError | CommandRefused | StoreError)
    reason = str(error) if is_told else "the agent failed; its log tells more"
    if has_written:
        return "unknown", f"Nobody knows what the machine made of it: {reason}."
    return "failed", f"Nothing was written: {reason}."


def refusal(error: Exception | None, reason: str, machine: str) -> CommandRefused:
    """What a caller who waits for the end is told of one that is not good."""
    if isinstance(error, CommandRefused):
        return error
    return CommandRefused(next((kind for of, kind in _KINDS if isinstance(error, of)), "internal"), reason, machine)
