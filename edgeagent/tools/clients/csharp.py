"""Writes the client for C#."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

from edgeagent.tools.clients.contract import OF_A_CONNECTION, TOLD, Call, Contract, Member, Record, Type, pascal

_PLAIN = {"text": "string", "words": "string", "integer": "long", "number": "double", "boolean": "bool"}
_READERS = {"text": "Text", "words": "Text", "integer": "Integer", "number": "Number", "boolean": "Truth"}
_STRUCTS = ("long", "double", "bool")
_KEYWORDS = {
    "abstract", "as", "base", "bool", "break", "byte", "case", "catch", "char", "checked", "class", "const",
    "continue", "decimal", "default", "delegate", "do", "double", "else", "enum", "event", "explicit", "extern",
    "false", "finally", "fixed", "float", "for", "foreach", "goto", "if", "implicit", "in", "int", "interface",
    "internal", "is", "lock", "long", "namespace", "new", "null", "object", "operator", "out", "override",
    "params", "private", "protected", "public", "readonly", "ref", "return", "sbyte", "sealed", "short",
    "sizeof", "stackalloc", "static", "string", "struct", "switch", "this", "throw", "true", "try", "typeof",
    "uint", "ulong", "unchecked", "unsafe", "ushort", "using", "virtual", "void", "volatile", "while",
}  # fmt: skip
"""What C# keeps for itself; as the name of an argument it begins with an @."""


def write(contract: Contract) -> str:
    """Write one self-contained source file."""
    runtime = resources.files(__package__).joinpath("runtime.cs").read_text(encoding="utf-8")
    return f"// {contract.origin}\n{runtime.rstrip()}\n" + "\n".join(_namespace(contract)) + "\n"


def _namespace(contract: Contract) -> Iterator[str]:
    clashes = {it.name for it in contract.records if pascal(it.name) in {pascal(part.name) for part in it.members}}
    writer = _Writer(frozenset(clashes))
    yield ""
    yield "namespace EdgeAgent"
    yield "{"
    for record in contract.records:
        if record.name not in (TOLD, "Notification"):
            yield from _indented(writer.record(record), 4)
            yield ""
    yield from _indented(writer.client(contract), 4)
    yield "}"


class _Writer(NamedTuple):
    """Writes types; a record with a member of its own name gets another one, which C# wants."""

    clashes: frozenset[str]

    def record(self, record: Record) -> Iterator[str]:
        """Write a class that can be read from JSON and written as JSON."""
        name = self.name(record.name)
        yield from _summary(record.text or record.name)
        yield f"public sealed class {name} : IRecord"
        yield "{"
        for member in record.members:
            for line in _summary(_member_text(member)) if _member_text(member) else ():
                yield f"    {line}"
            yield f"    public {self.type(member.type, member.is_required)} {pascal(member.name)} {{ get; set; }}"
        yield ""
        yield f"    internal static {name} Read(object json)"
        yield "    {"
        yield f"        return new {name}"
        yield "        {"
        for member in record.members:
            value = self.read(member.type, f'Json.Member(json, "{member.name}")', member.is_required)
            yield f"            {pascal(member.name)} = {value},"
        yield "        };"
        yield "    }"
        yield ""
        yield "    Dictionary<string, object> IRecord.Members()"
        yield "    {"
        yield f"        return new Dictionary<string, object> {{ {_pairs(record.members, pascal)} }};"
        yield "    }"
        yield "}"

    def client(self, contract: Contract) -> Iterator[str]:
        """Write the class with all functions and the events."""
        yield from _summary("The functions of the agent, and its events.")
        yield "public sealed class Client : Wire"
        yield "{"
        yield '    public Client(string host = "127.0.0.1", int httpPort = 8480, int tcpPort = 8481,'
        yield "        string token = null, string caFile = null)"
        yield "        : base(host, httpPort, tcpPort, token, caFile) { }"
        for call in contract.calls:
            if call.name not in OF_A_CONNECTION:
                yield ""
                yield from _indented(self.function(call), 4)
        yield ""
        yield from _indented(self.events(contract), 4)
        yield "}"

    def function(self, call: Call) -> Iterator[str]:
        """Write one function."""
        result = self.type(call.result, True)
        yield from _summary(f"{call.text} {call.promise}")
        for it in call.parameters:
            if text := _member_text(it):
                yield f'/// <param name="{_argument(it.name).lstrip("@")}">{_escaped(text)}</param>'
        yield f"public async Task<{result}> {pascal(call.name)}Async({self.arguments(call)})"
        yield "{"
        yield f"    var parameters = new Dictionary<string, object> {{ {_pairs(call.parameters, _argument)} }};"
        yield f'    var answer = await CallAsync("{call.name}", parameters).ConfigureAwait(false);'
        yield f"    return {self.read(call.result, 'answer', True)};"
        yield "}"

    def events(self, contract: Contract) -> Iterator[str]:
        """Write the flow of events and what reads one."""
        subscribe = contract.call("Event.Subscribe")
        more = "int? retryMs = 1000, CancellationToken stop = default(CancellationToken)"
        yield from _summary("Follows events until stop, or until another connection takes the consumer or it is "
                            "deleted; waits for each. A lost connection is made again after retryMs and goes on where "
                            "it broke, with a consumer after what is acknowledged (EventAcknowledgeAsync); with null "
                            "it throws an IOException.")  # fmt: skip
        yield f"public IEnumerable<AgentEvent> Events({self.arguments(subscribe)}, {more})"
        yield "{"
        yield f"    var wanted = new Dictionary<string, object> {{ {_pairs(subscribe.parameters, _argument)} }};"
        yield "    return Follow(wanted, it => ReadEvent(Json.Text(Json.Member(it, \"method\")), "
        yield "                                          Json.Member(it, \"params\")), retryMs, stop);"
        yield "}"
        yield ""
        yield "internal static AgentEvent ReadEvent(object told)"
        yield "{"
        yield '    return ReadEvent(Json.Text(Json.Member(told, "method")), told);'
        yield "}"
        yield ""
        yield "private static AgentEvent ReadEvent(string method, object told)"
        yield "{"
        yield "    switch (method)"
        yield "    {"
        for topic in contract.topics:
            yield f'        case "{topic.name}": return Event(method, told, {self.name(topic.data)}.Read);'
        yield "        default: return Event(method, told, it => it);"
        yield "    }"
        yield "}"
        yield ""
        yield "private static AgentEvent Event<T>(string method, object told, Func<object, T> read)"
        yield "{"
        yield "    return new AgentEvent<T>"
        yield "    {"
        yield "        Method = method,"
        for name in ("stream", "time", "clock", "machine"):
            yield f'        {pascal(name)} = Json.Text(Json.Member(told, "{name}")),'
        for name in ("sequence", "previous"):
            yield f'        {pascal(name)} = Json.Integer(Json.Member(told, "{name}")),'
        yield '        Data = read(Json.Member(told, "data")),'
        yield "    };"
        yield "}"

    def arguments(self, call: Call) -> str:
        """Write the parameters of a function, those that may be left out last."""
        return ", ".join(
            f"{self.type(it.type, it.is_required)} {_argument(it.name)}{'' if it.is_required else ' = null'}"
            for it in call.parameters
        )

    def name(self, record: str) -> str:
        """Write the name of a record."""
        return f"{record}Answer" if record in self.clashes else record

    def type(self, kind: Type, is_required: bool) -> str:
        """Write a type; nullable where JSON may have null or nothing."""
        match kind.kind:
            case "record":
                return "AgentEvent" if kind.name == TOLD else self.name(kind.name)
            case "list":
                return f"List<{self.type(kind.parts[0], True)}>"
            case "map":
                return f"Dictionary<string, {self.type(kind.parts[0], True)}>"
            case "union" | "any":
                return "object"
        plain = _PLAIN[kind.kind]
        return f"{plain}?" if plain in _STRUCTS and (kind.is_nullable or not is_required) else plain

    def read(self, kind: Type, json: str, is_required: bool) -> str:
        """Write what reads a type from JSON; an inner function's parameter needs a name of its own."""
        inner = {"it": "each", "each": "every"}.get(json, "it")
        match kind.kind:
            case "record":
                reader = "Client.ReadEvent" if kind.name == TOLD else f"{self.name(kind.name)}.Read"
                return f"Json.Record({json}, {reader})"
            case "list":
                return f"Json.List({json}, {inner} => {self.read(kind.parts[0], inner, True)})"
            case "map":
                return f"Json.Map({json}, {inner} => {self.read(kind.parts[0], inner, True)})"
            case "union" | "any":
                return json
        plain = f"Json.{_READERS[kind.kind]}({json})"
        is_struct = _PLAIN[kind.kind] in _STRUCTS
        return f"{plain}.GetValueOrDefault()" if is_struct and is_required and not kind.is_nullable else plain


def _member_text(member: Member) -> str:
    parts = [member.text, _words(member.type)]
    return "; ".join(part for part in parts if part)


def _words(kind: Type) -> str:
    """List what a text or a union can be, which C# has no type for."""
    if kind.kind == "words":
        return "one of " + ", ".join(kind.words)
    if kind.kind == "union":
        parts = (_words(part).removeprefix("one of ") or part.name or part.kind for part in kind.parts)
        return "one of " + ", ".join(parts)
    return ""


def _pairs(members: tuple[Member, ...], name: object) -> str:
    assert callable(name)
    return ", ".join(f'{{ "{it.name}", {name(it.name)} }}' for it in members)


def _argument(wire: str) -> str:
    return f"@{wire}" if wire in _KEYWORDS else wire


def _summary(text: str) -> Iterator[str]:
    lines = _escaped(text).splitlines()
    if len(lines) == 1:
        yield f"/// <summary>{lines[0]}</summary>"
        return
    yield f"/// <summary>{lines[0]}"
    yield from (f"/// {line}".rstrip() for line in lines[1:-1])
    yield f"/// {lines[-1]}</summary>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _indented(lines: Iterator[str], by: int) -> Iterator[str]:
    yield from (" " * by + line if line else "" for line in lines)
