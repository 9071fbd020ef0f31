"""An OpenRPC document as the writers of clients need it: records, calls and topics with plain types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

OF_A_CONNECTION = ("Event.Subscribe", "Event.Unsubscribe")
"""Functions that make no sense without a connection that events come over; clients wrap them."""

TOLD = "Told"
"""The record of an event that was read; clients make it the event itself."""


class Type(NamedTuple):
    """One type of JSON.

    Attributes:
        kind: text, integer, number, boolean, any, record, words, list, map, union.
        name: of a record. words: all that a text can be. parts: of a list, a map (its values) or a union.
    """

    kind: str
    name: str = ""
    words: tuple[str, ...] = ()
    parts: tuple[Type, ...] = ()
    is_nullable: bool = False


class Member(NamedTuple):
    """A member of a record, or a parameter, by its name on the wire."""

    name: str
    type: Type
    is_required: bool
    text: str


class Record(NamedTuple):
    """An object with known members."""

    name: str
    text: str
    members: tuple[Member, ...]


class Call(NamedTuple):
    """A function."""

    name: str
    text: str
    role: str
    parameters: tuple[Member, ...]
    result: Type
    refusals: tuple[str, ...]

    @property
    def promise(self) -> str:
        """Who may call it and what it refuses, in a sentence each."""
        return f"Role: {self.role}. Refusals: {', '.join(self.refusals)}."


class Topic(NamedTuple):
    """An event: its name, the record of its data, and whether it has a sequence."""

    name: str
    text: str
    data: str
    is_durable: bool


@dataclass(frozen=True)
class Contract:
    """All that an agent of some version offers."""

    version: str
    profile: str
    records: tuple[Record, ...]
    calls: tuple[Call, ...]
    topics: tuple[Topic, ...]
    kinds: tuple[str, ...]

    def call(self, name: str) -> Call:
        """Find a function; KeyError where the agent has it not."""
        return {call.name: call for call in self.calls}[name]

    @property
    def origin(self) -> str:
        """Where a generated file comes from."""
        return f"Made by edgeagent {self.version} from its OpenRPC document. {self.profile}"


def read(document: Mapping[str, Any]) -> Contract:
    """Read a document as `rpc.discover` answers it.

    Raises:
        ValueError: it does not come from an edge agent.
    """
    try:
        components = document["components"]
        schemas = {name: schema for name, schema in components["schemas"].items() if "properties" in schema}
        return Contract(
            version=document["info"]["version"],
            profile=document["info"]["description"].partition(". ")[0] + ".",
            records=tuple(_record(name, schema) for name, schema in schemas.items() if name != "Refusal"),
            calls=tuple(_call(method) for method in document["methods"]),
            topics=tuple(
                Topic(name, event["summary"], event["data"]["$ref"].rpartition("/")[2], event["durable"])
                for name, event in document["x-events"].items()
            ),
            kinds=tuple(components["errors"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not the OpenRPC document of an edge agent: {error!r}") from None


def _record(name: str, schema: Mapping[str, Any]) -> Record:
    required = schema.get("required", ())
    members = (
        Member(member, type_of(part), member in required, part.get("description", ""))
        for member, part in schema["properties"].items()
    )
    return Record(name, schema.get("description", ""), tuple(members))


def _call(method: Mapping[str, Any]) -> Call:
    parameters = (
        Member(it["name"], type_of(it["schema"]), it["required"], it.get("description", "")) for it in method["params"]
    )
    ordered = sorted(parameters, key=lambda member: not member.is_required)
    refusals = tuple(it["$ref"].rpartition("/")[2] for it in method["errors"])
    return Call(method["name"], method["summary"], method["x-role"], tuple(ordered),
                type_of(method["result"]["schema"]), refusals)  # fmt: skip


_PLAIN = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}


def type_of(schema: Mapping[str, Any]) -> Type:
    """Read a type of JSON Schema as far as the agent uses it; anything else is of any type."""
    if "$ref" in schema:
        return Type("record", schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return _union(schema["anyOf"])
    if "enum" in schema:
        return Type("words", words=tuple(schema["enum"]))
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items", {})
        return Type("list", parts=(_union(items) if isinstance(items, list) else type_of(items),))
    if kind == "object":
        values = schema.get("additionalProperties")
        return Type("map", parts=(type_of(values if isinstance(values, dict) else {}),))
    return Type(_PLAIN.get(str(kind), "any"))


def _union(schemas: Iterable[Mapping[str, Any]]) -> Type:
    several = tuple(schemas)
    parts = dict.fromkeys(type_of(schema) for schema in several if schema.get("type") != "null")
    is_nullable = any(schema.get("type") == "null" for schema in several) or any(part.is_nullable for part in parts)
    flat = tuple(dict.fromkeys(part._replace(is_nullable=False) for part in parts))
    return (flat[0] if len(flat) == 1 else Type("union", parts=flat))._replace(is_nullable=is_nullable)


def words(name: str) -> list[str]:
    """Cut a name of the wire, Board.GetTrace or atCentre, into its words in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


def pascal(name: str) -> str:
    """BoardGetTrace, AtCentre."""
    return "".join(word.capitalize() for word in words(name))
