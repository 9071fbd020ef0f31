"""What every function of the catalogue is made of."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=256)]
Machine = Annotated[str | None, Meta(description="machine id; may be left out while the agent serves one machine")]

Limit = Annotated[int, Meta(ge=1, le=200)]
Cursor = Annotated[Text | None, Meta(description="`cursor` of the page before")]


Reason = Annotated[str, Meta(min_length=1, max_length=256, description="why, in words, for whoever reads it later")]


class Parameters(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """What a function takes, by name; unknown names are refused."""


class Result(msgspec.Struct, frozen=True, rename="camel"):
    """What a function answers."""


class Nothing(Parameters, frozen=True):
    """No parameters."""


class OfMachine(Parameters, frozen=True):
    """Of one machine."""

    machine: Machine = None


class CommandParameters(Parameters, frozen=True, kw_only=True):
    """What every function that changes something takes beside its own.

    Attributes:
        request_id: of one name's calls; the same again within 24 hours is answered as the first was, and does nothing.
        not_after: RFC 3339; the command is refused when the agent comes to it later.
    """

    machine: Machine = None
    request_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    not_after: Text | None = None


class Function(NamedTuple):
    """One function: who may call it, what it takes, what it answers.

    Attributes:
        role: viewer, operator, engineer or administrator; NO_ROLE where none is needed.
        needs_remote: it commands the machine and needs remote control.
    """

    name: str
    role: str
    needs_remote: bool
    parameters: type[msgspec.Struct]
    result: Any
    text: str
