"""Status.RequestRemote and its like: who has control of a machine; and parameters that are set one by one."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edgeagent.model.functions.forms import CommandParameters, Result, Text
from edgeagent.model.terms import ControlTerm

Minutes = Annotated[int, Meta(ge=1, le=1440, description="how long it is to last, at most")]


class RequestRemote(CommandParameters, frozen=True):
    """Asks for remote control; somebody at the machine grants it, or does not."""

    reason: Annotated[str, Meta(min_length=1, max_length=256, description="why, for whoever grants it")]
    minutes: Minutes


class ReleaseRemote(CommandParameters, frozen=True):
    """Gives remote control back before its time, and withdraws what was asked for."""


class GrantRemote(CommandParameters, frozen=True):
    """Grants remote control; without minutes as long as was asked for, or as the configuration allows."""

    minutes: Minutes | None = None


class RemoteRequest(Result, frozen=True):
    """What waits for somebody at the machine."""

    by: str
    reason: str
    minutes: int
    at: str


class ControlStanding(Result, frozen=True):
    """Who has control of a machine.

    `by` brought it about, `until` is when it runs out, `reason` is why it is not remote, `functions` are the only ones
    for which it is (null for all), `pending` waits for somebody at the machine.
    """

    machine: str
    control: ControlTerm
    by: str
    until: str | None
    reason: str | None
    functions: tuple[str, ...] | None
    pending: RemoteRequest | None


class SetObjectParameter(CommandParameters, frozen=True):
    """One parameter of an object, and the value that it is to have; true or false for a boolean."""

    object: Text
    name: Annotated[str, Meta(max_length=256, description="of the parameter, as Configuration.GetObjects tells it")]
    value: Annotated[float | bool | Text, Meta(description="in the parameter's unit")]
