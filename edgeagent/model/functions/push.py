"""Push.*: how push targets stand, and what is done about events that an MES does not take; on the console only."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edgeagent.model.aside import SetAside
from edgeagent.model.functions.forms import Parameters, Reason, Result, Text

Target = Annotated[Text | None, Meta(description="name of the target; may be left out where there is one")]

PushTerm = Literal["starting", "delivering", "waiting", "stopped"]


class OfPush(Parameters, frozen=True):
    """Of one target, or of all."""

    target: Target = None


class RetryPush(Parameters, frozen=True):
    """Try now; with a sequence, or with `all`, send events once more that are set aside."""

    target: Target = None
    sequence: Annotated[int, Meta(ge=1)] | None = None
    all: bool = False


class SkipPush(Parameters, frozen=True):
    """Set the event aside at which the line stands; `sequence` says which, so that it cannot be another meanwhile."""

    sequence: Annotated[int, Meta(ge=1)]
    reason: Reason
    target: Target = None


class PushStanding(Result, frozen=True):
    """How a target stands.

    `reason` says why it is stopped and what the MES said about it, `nextTrySeconds` is null where it is not stopped,
    tries now, or tries with the next event. `head` is the event that goes next, `lag` counts events that are wanted
    and not acknowledged (up to 100 000), `lagSeconds` is how long ago the first of them happened, `setAsideCount`
    counts all that are set aside; `setAside` are the newest of them.
    """

    target: str
    url: str
    state: PushTerm
    reason: str | None
    since: str
    last_success: str | None
    next_try_seconds: float | None
    stream: str | None
    acknowledged: int | None
    head: int | None
    lag: int | None
    lag_seconds: float | None
    set_aside_count: int
    set_aside: tuple[SetAside, ...]


class PushesStanding(Result, frozen=True):
    """Every target that was asked for."""

    targets: tuple[PushStanding, ...]
