"""Writes the client for TypeScript."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

from edgeagent.tools.clients.contract import OF_A_CONNECTION, TOLD, Call, Contract, Member, Record, Type, pascal

_PLAIN = {"text": "string", "integer": "number", "number": "number", "boolean": "boolean", "any": "unknown"}

_NOTIFICATIONS = """\
/** The parameters of an event that is not kept. */
export interface Passing<Data> {
  stream: string;
  time: string;
  clock: "trusted" | "untrusted";
  machine: string | null;
  data: Data;
}

/** The parameters of an event that is kept until it is delivered. */
export interface Durable<Data> extends Passing<Data> {
  machine: string;
  sequence: number;
  previous: number;
}"""


def write(contract: Contract) -> str:
    """Write one self-contained module."""
    runtime = resources.files(__package__).joinpath("runtime.ts").read_text(encoding="utf-8")
    subscribe = contract.call("Event.Subscribe")
    parts = [
        f"// {contract.origin}\n{runtime.rstrip()}",
        "export type RefusalKind =\n" + "\n".join(f'  | "{kind}"' for kind in contract.kinds) + ";",
        _NOTIFICATIONS,
        *("\n".join(_record(it)) for it in contract.records if it.name not in (TOLD, "Notification")),
        "\n".join(_interface("Subscribe", subscribe.text, subscribe.parameters)),
        "\n".join(_events(contract)),
        "\n".join(_client(contract)),
    ]
    return "\n\n".join(parts) + "\n"


def _record(record: Record) -> Iterator[str]:
    return _interface(record.name, record.text or record.name, record.members)


def _interface(name: str, text: str, members: tuple[Member, ...]) -> Iterator[str]:
    yield from _text(text, "")
    yield f"export interface {name} {{"
    for member in members:
        if member.text:
            yield f"  /** {member.text} */"
        yield f"  {member.name}{'' if member.is_required else '?'}: {_type(member.type)};"
    yield "}"


def _events(contract: Contract) -> Iterator[str]:
    yield "/** An event as it is on the wire; `method` tells which, and later agents may send others. */"
    yield "export type AgentEvent ="
    for topic in contract.topics:
        yield f'  | {{ method: "{topic.name}"; params: {"Durable" if topic.is_durable else "Passing"}<{topic.data}> }}'
    yield "  ;"
    yield ""
    yield "/** A durable event as Event.Read answers it. */"
    yield "export type ReadEvent ="
    for topic in contract.topics:
        if topic.is_durable:
            yield f'  | ({{ method: "{topic.name}" }} & Durable<{topic.data}>)'
    yield "  ;"


def _client(contract: Contract) -> Iterator[str]:
    yield "/** The functions of the agent; its events come from `events`. */"
    yield "export class Client extends Wire {"
    for number, call in enumerate(it for it in contract.calls if it.name not in OF_A_CONNECTION):
        if number:
            yield ""
        yield from _function(call)
    yield "}"


def _function(call: Call) -> Iterator[str]:
    name = pascal(call.name)
    name = name[0].lower() + name[1:]
    needed = any(it.is_required for it in call.parameters)
    members = "; ".join(f"{it.name}{'' if it.is_required else '?'}: {_type(it.type)}" for it in call.parameters)
    yield "  /**"
    yield f"   * {call.text}"
    yield f"   * {call.promise}"
    yield from (f"   * - {it.name}: {it.text}" for it in call.parameters if it.text)
    yield "   */"
    taken = f"params: {{ {members} }}{'' if needed else ' = {}'}" if members else ""
    given = "params" if members else "{}"
    yield f"  {name}({taken}): Promise<{_type(call.result)}> {{"
    yield f'    return this.call("{call.name}", {given});'
    yield "  }"


def _type(kind: Type) -> str:
    written = _bare(kind)
    return f"{written} | null" if kind.is_nullable and written != "unknown" else written


def _bare(kind: Type) -> str:
    match kind.kind:
        case "record":
            return "ReadEvent" if kind.name == TOLD else kind.name
        case "words":
            return " | ".join(f'"{word}"' for word in kind.words)
        case "list":
            return f"Array<{_type(kind.parts[0])}>"
        case "map":
            return f"Record<string, {_type(kind.parts[0])}>"
        case "union":
            return " | ".join(_bare(part) for part in kind.parts)
    return _PLAIN[kind.kind]


def _text(text: str, indent: str) -> Iterator[str]:
    lines = text.splitlines()
    if len(lines) == 1:
        yield f"{indent}/** {lines[0]} */"
        return
    yield f"{indent}/**"
    yield from (f"{indent} * {line}".rstrip() for line in lines)
    yield f"{indent} */"
