"""Writes the client for Python."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from importlib import resources

from edgeagent.tools.clients.contract import OF_A_CONNECTION, TOLD, Call, Contract, Member, Record, Topic, Type
from edgeagent.tools.clients.contract import pascal as _pascal
from edgeagent.tools.clients.contract import words as _words

_PLAIN = {"text": "str", "integer": "int", "number": "float", "boolean": "bool", "any": "Any"}


def write(contract: Contract) -> str:
    """Write one self-contained module."""
    runtime = resources.files(__package__).joinpath("runtime.py").read_text(encoding="utf-8")
    parts = [
        runtime.replace('"""A typed client', f'"""{contract.origin}\n\nA typed client', 1).rstrip(),
        *("\n".join(_record(it)) for it in contract.records if it.name not in (TOLD, "Notification")),
        *("\n".join(_topic(it)) for it in contract.topics),
        "\n".join(_any_event(contract)),
        "\n".join(_client(contract)),
    ]
    return "\n\n\n".join(parts) + "\n"


def _record(record: Record) -> Iterator[str]:
    yield "@dataclass(frozen=True)"
    yield f"class {record.name}:"
    yield from _text(record.text or record.name, "    ")
    yield ""
    members = sorted(record.members, key=lambda member: not member.is_required)
    yield from (f"    {_member(member)}" for member in members)


def _member(member: Member) -> str:
    name = _name(member.name)
    kind = _type(member.type, member.is_required)
    options = [] if member.is_required else ["default=None"]
    if name != member.name:
        options.append(f'metadata={{"wire": "{member.name}"}}')
    if not options:
        return f"{name}: {kind}"
    return f"{name}: {kind} = " + ("None" if options == ["default=None"] else f"field({', '.join(options)})")


def _topic(topic: Topic) -> Iterator[str]:
    yield "@dataclass(frozen=True)"
    yield f"class {_pascal(topic.name)}Event:"
    yield from _text(topic.text[0].upper() + topic.text[1:] + ".", "    ")
    yield ""
    yield f'    method: Literal["{topic.name}"]'
    yield "    stream: str"
    yield "    time: str"
    yield '    clock: Literal["trusted", "untrusted"]'
    yield "    machine: str" + ("" if topic.is_durable else " | None")
    yield f"    data: {topic.data}"
    if topic.is_durable:
        yield "    sequence: int"
        yield "    previous: int"


def _any_event(contract: Contract) -> Iterator[str]:
    yield "AnyEvent = Union["
    yield from (f"    {_pascal(topic.name)}Event," for topic in contract.topics)
    yield "    OtherEvent,"
    yield "]"
    yield ""
    yield "_EVENTS.update({"
    yield from (f'    "{topic.name}": {_pascal(topic.name)}Event,' for topic in contract.topics)
    yield "})"


def _client(contract: Contract) -> Iterator[str]:
    yield "class Client(Wire):"
    yield '    """The functions of the agent, and its events."""'
    for call in contract.calls:
        if call.name not in OF_A_CONNECTION:
            yield ""
            yield from _function(call)
    subscribe = contract.call("Event.Subscribe")
    yield ""
    yield f"    def events({_signature(subscribe, 'retry_s: float | None = 1.0')}) -> Iterator[AnyEvent]:"
    yield '        """Follow events for ever.'
    yield ""
    yield "        A lost connection is made again after `retry_s` seconds and goes on where it broke, or at the cursor"
    yield "        of a consumer: what was not acknowledged comes again. With None it raises ConnectionError."
    yield '        """'
    yield f"        return self._events({_given(subscribe)}, retry_s)"


def _function(call: Call) -> Iterator[str]:
    result = _type(call.result, True)
    yield f"    def {_name(call.name)}({_signature(call)}) -> {result}:"
    yield f'        """{call.text}'
    yield ""
    yield from (f"        {it}" for it in _wrapped(call.promise))
    yield from (f"        {_name(it.name)}: {it.text}" for it in call.parameters if it.text)
    yield '        """'
    yield f'        answer: {result} = self._call("{call.name}", {_given(call)}, {result})'
    yield "        return answer"


def _signature(call: Call, *more: str) -> str:
    required = [f"{_name(it.name)}: {_type(it.type, True)}" for it in call.parameters if it.is_required]
    optional = [f"{_name(it.name)}: {_type(it.type, False)} = None" for it in call.parameters if not it.is_required]
    return ", ".join(["self", *required, *(["*", *optional, *more] if optional or more else [])])


def _given(call: Call) -> str:
    return "{" + ", ".join(f'"{it.name}": {_name(it.name)}' for it in call.parameters) + "}"


def _type(kind: Type, is_required: bool) -> str:
    written = _bare(kind)
    return written if (is_required and not kind.is_nullable) or written == "Any" else f"{written} | None"


def _bare(kind: Type) -> str:
    match kind.kind:
        case "record":
            return "AnyEvent" if kind.name == TOLD else kind.name
        case "words":
            return "Literal[" + ", ".join(f'"{word}"' for word in kind.words) + "]"
        case "list":
            return f"list[{_type(kind.parts[0], True)}]"
        case "map":
            return f"dict[str, {_type(kind.parts[0], True)}]"
        case "union":
            return " | ".join(_bare(part) for part in kind.parts)
    return _PLAIN[kind.kind]


def _name(wire: str) -> str:
    name = "_".join(_words(wire))
    return f"{name}_" if keyword.iskeyword(name) else name


def _text(text: str, indent: str) -> Iterator[str]:
    lines = _wrapped(text)
    if len(lines) == 1:
        yield f'{indent}"""{lines[0]}"""'
        return
    yield f'{indent}"""{lines[0]}'
    yield from (f"{indent}{line}".rstrip() for line in lines[1:])
    yield f'{indent}"""'


def _wrapped(text: str) -> list[str]:
    return text.splitlines() or [""]
