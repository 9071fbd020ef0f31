"""What every function of the catalogue is made of."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=256)]
Machine = Annotated[str | None, Meta(description="machine id; may be left out while the agent serves one machine")]

Limit = Annotated[int, Meta(ge=1, le=200)]
Cursor = Annotated[Text | None, Meta(description="`cursor` of the page before")]


class Parameters(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """What a function takes, by name; unknown names are refused."""


class Result(msgspec.Struct, frozen=True, rename="camel"):
    """What a function answers."""


class Nothing(Parameters, frozen=True):
    """No parameters."""


class OfMachine(Parameters, frozen=True):
    """Of one machine."""

    machine: Machine = None


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
