"""What each function can refuse: by what every call can meet, by its parameters, by its kind, and its own."""

from __future__ import annotations

from edgeagent.model.callers import NO_ROLE
from edgeagent.model.functions import Function
from edgeagent.model.functions.forms import CommandParameters
from edgeagent.model.functions.rights import ALWAYS

_OF_EVERY = ("invalidParameters", "tooLarge", "internal")
_OF_CHANGES = ("interlocked", "expired", "tooMany", "busy")
_OF_COMMANDS = ("notRemote", "outOfRange", "unreachable", "notConfirmed")

_OF_PARAMETER = {
    "machine": ("notFound",),
    "machines": ("notFound",),
    "object": ("notFound",),
    "objects": ("notFound",),
    "id": ("notFound",),
    "job": ("notFound",),
    "lane": ("notFound",),
    "name": ("notFound",),
    "subscription": ("notFound",),
    "from": ("notFound", "outOfRange"),
    "since": ("outOfRange",),
    "until": ("outOfRange",),
}
"""A parameter that names something refuses what does not exist; a place and a time refuse what cannot be."""

_OWN = {
    "Session.Authenticate": ("unauthenticated", "tooMany"),
    "Event.Subscribe": ("invalidRequest", "tooMany", "busy"),
    "Event.Unsubscribe": ("invalidRequest",),
    "Event.Acknowledge": ("notFound", "outOfRange", "busy"),
    "Event.Consumers": ("busy",),
    "Event.DeleteConsumer": ("notFound", "busy"),
    "Event.Read": ("tooMany", "busy"),
    "Alarm.GetHistory": ("busy",),
    "Board.Get": ("busy",),
    "Board.GetTrace": ("busy",),
    "Board.Find": ("busy",),
    "Production.GetCounters": ("busy",),
    "Recipe.Create": ("outOfRange", "busy", "tooMany", "expired"),
    "Recipe.Update": ("notFound", "outOfRange", "busy", "tooMany", "expired"),
    "Recipe.Delete": ("busy", "tooMany", "expired"),
    "Recipe.Start": ("outOfRange", "busy", "tooMany"),
    "Command.Get": ("busy",),
    "Command.List": ("busy",),
}
"""What else a function refuses: "busy" where it reads or writes records, which a sick disk can keep from it."""


def refusals(function: Function, parameters: tuple[str, ...]) -> tuple[str, ...]:
    """List the kinds of refusal of one function, each once.

    Args:
        parameters: its names on the wire.
    """
    kinds = [*_OF_EVERY]
    if function.role != NO_ROLE:
        kinds.append("unauthenticated")
        if function.name not in ALWAYS:
            kinds.append("forbidden")
    for name in parameters:
        kinds += _OF_PARAMETER.get(name, ())
    if issubclass(function.parameters, CommandParameters):
        kinds += _OF_CHANGES
    if function.needs_remote:
        kinds += _OF_COMMANDS
    kinds += _OWN.get(function.name, ())
    return tuple(dict.fromkeys(kinds))
