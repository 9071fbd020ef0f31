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
    needs_remote: bool
    parameters: tuple[Member, ...]
    result: Type
    refusals: tuple[str, ...]

    @property
    def promise(self) -> str:
        """Who may call it and what it refuses, in a sentence each."""
        remote = " Needs remote control." if self.needs_remote else ""
        return f"Role: {self.role}.{remote} Refusals: {', '.join(self.refusals)}."


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
        ValueError: it does not come from an edge agent, or holds what cannot be a name.
    """
    try:
        return _read(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not the OpenRPC document of an edge agent: {error!r}") from None


def _read(document: Mapping[str, Any]) -> Contract:
    components = document["components"]
    schemas = {name: schema for name, schema in components["schemas"].items() if "properties" in schema}
    contract = Contract(
        version=_line(document["info"]["version"]),
        profile=_line(document["info"]["description"]).partition(". ")[0] + ".",
        records=tuple(_record(name, schema) for name, schema in schemas.items() if name != "Refusal"),
        calls=tuple(_call(method) for method in document["methods"]),
        topics=tuple(_topic(name, event) for name, event in document["x-events"].items()),
        kinds=tuple(_name(kind) for kind in components["errors"]),
    )
    contract.call("Event.Subscribe")
    return contract


def _record(name: str, schema: Mapping[str, Any]) -> Record:
    required = schema.get("required", ())
    members = (
        Member(_name(member), type_of(part), member in required, _line(part.get("description", "")))
        for member, part in schema["properties"].items()
    )
    return Record(_name(name), _text(schema.get("description", "")), tuple(members))


def _call(method: Mapping[str, Any]) -> Call:
    parameters = (
        Member(_name(it["name"]), type_of(it["schema"]), it["required"], _line(it.get("description", "")))
        for it in method["params"]
    )
    return Call(
        name=_name(method["name"]),
        text=_line(method["summary"]),
        role=_name(method["x-role"]),
        needs_remote=method["x-needs-remote"],
        parameters=tuple(sorted(parameters, key=lambda member: not member.is_required)),
        result=type_of(method["result"]["schema"]),
        refusals=tuple(_referred(it) for it in method["errors"]),
    )


def _topic(name: str, event: Mapping[str, Any]) -> Topic:
    return Topic(_name(name), _line(event["summary"]), _referred(event["data"]), event["durable"])


_NAME = re.compile(r"[A-Za-z][\w.-]*")


def _name(text: str) -> str:
    """What becomes code, or stands in quotes there, is a plain name; raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name")
    return text


def _referred(schema: Mapping[str, Any]) -> str:
    return _name(schema["$ref"].rpartition("/")[2])


def _text(text: str) -> str:
    """What becomes a comment cannot end it, in any of the languages."""
    plain = text.replace("\\", "/").replace('"""', '"').replace("*/", "* /")
    return plain + "." if plain.endswith('"') else plain


def _line(text: str) -> str:
    return _text(" ".join(text.split()))


_PLAIN = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}


def type_of(schema: Mapping[str, Any]) -> Type:
    """Read a type of JSON Schema as far as the agent uses it; anything else is of any type."""
    if "$ref" in schema:
        return Type("record", _referred(schema))
    if "anyOf" in schema:
        return _union(schema["anyOf"])
    if "enum" in schema:
        return Type("words", words=tuple(_name(word) for word in schema["enum"]))
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
