"""What a method takes, made from the function that it calls; and its values as JSON-RPC would have them."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import msgspec
from asyncua import ua
from msgspec import inspect

from edgeagent.model.functions.forms import Function
from edgeagent.model.functions.glossary import PARAMETERS

Kind = Literal["text", "texts", "truth", "count", "number", "any", "json"]

LEFT_OUT = {
    "text": "empty: left out", "texts": "empty: left out", "json": "empty: left out", "count": "-1: left out",
    "number": "NaN: left out", "truth": "", "any": "",
}  # fmt: skip
"""How a client leaves out what it need not give: OPC UA has no other way than a value that says so, or a null."""

_TYPES = {
    "text": ua.VariantType.String, "texts": ua.VariantType.String, "json": ua.VariantType.String,
    "truth": ua.VariantType.Boolean, "count": ua.VariantType.Int32, "number": ua.VariantType.Double,
}  # fmt: skip
_ANY = frozenset((
    ua.VariantType.Boolean, ua.VariantType.String, ua.VariantType.Float, ua.VariantType.Double, ua.VariantType.SByte,
    ua.VariantType.Byte, ua.VariantType.Int16, ua.VariantType.UInt16, ua.VariantType.Int32, ua.VariantType.UInt32,
    ua.VariantType.Int64, ua.VariantType.UInt64,
))  # fmt: skip
_PLAIN: dict[type[inspect.Type], Kind] = {
    inspect.StrType: "text", inspect.LiteralType: "text", inspect.BoolType: "truth", inspect.IntType: "count",
    inspect.FloatType: "number",
}  # fmt: skip
_BY_THE_OBJECT = "machine"
"""A method belongs to a machine's object, so that this need not be said."""


class WrongArgument(ValueError):
    """A value is not of its argument's type; says why in words."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place = place


class Argument(NamedTuple):
    """One argument.

    Attributes:
        name: "RequestId". key: "requestId", as JSON-RPC has it.
        is_needed: it cannot be left out.
    """

    name: str
    key: str
    kind: Kind
    is_needed: bool
    text: str

    @property
    def variant_type(self) -> ua.VariantType | None:
        """The only type that its values may have; None where there are several."""
        return _TYPES.get(self.kind)

    def described(self) -> ua.Argument:
        """As clients see it."""
        data_type = ua.ObjectIds.BaseDataType if self.variant_type is None else self.variant_type.value
        is_array = self.kind == "texts"
        return ua.Argument(
            Name=self.name, DataType=ua.NodeId(ua.Int32(data_type)), ValueRank=1 if is_array else -1,
            ArrayDimensions=[0] if is_array else [], Description=ua.LocalizedText(self.text),
        )  # fmt: skip

    def taken(self, value: ua.Variant) -> Any:
        """The value as JSON-RPC has it; UNSET where it is left out. Raises ValueError."""
        if value.VariantType is ua.VariantType.Null or value.Value is None:
            if self.is_needed:
                raise ValueError("it is null, and must be given")
            return msgspec.UNSET
        wanted = {self.variant_type} if self.variant_type else _ANY
        if value.VariantType not in wanted:
            names = " or ".join(sorted(each.name for each in wanted if each))
            raise ValueError(f"it is {value.VariantType.name}, and must be {names}")
        if isinstance(value.Value, list) != (self.kind == "texts"):
            raise ValueError("it must be an array" if self.kind == "texts" else "it must be one value, no array")
        if not self.is_needed and _is_left_out(value.Value):
            return msgspec.UNSET
        return _read_json(value.Value) if self.kind == "json" else value.Value


def arguments(function: Function) -> tuple[Argument, ...]:
    """What a method takes: the function's own parameters first, then what every command takes."""
    fields = [field for field in _fields(function.parameters) if field.encode_name != _BY_THE_OBJECT]
    of_all = [field for field in fields if field.encode_name in ("requestId", "notAfter")]
    return tuple(_argument(field) for field in fields if field not in of_all) + tuple(map(_argument, of_all))


def is_of_machine(function: Function) -> bool:
    """Whether a function is told which machine it is about."""
    return any(field.encode_name == _BY_THE_OBJECT for field in _fields(function.parameters))


def parameters(wanted: tuple[Argument, ...], given: tuple[ua.Variant, ...]) -> dict[str, Any]:
    """Make the function's parameters of a method's values, of which there are as many as arguments.

    Raises:
        WrongArgument: the first that is wrong.
    """
    taken: dict[str, Any] = {}
    for place, (argument, value) in enumerate(zip(wanted, given, strict=True)):
        try:
            one = argument.taken(value)
        except ValueError as error:
            raise WrongArgument(place, f"{argument.name}: {error}.") from None
        if one is not msgspec.UNSET:
            taken[argument.key] = one
    return taken


def _fields(struct: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    told = inspect.type_info(struct)
    assert isinstance(told, inspect.StructType)
    return told.fields


def _argument(field: inspect.Field) -> Argument:
    name = field.encode_name
    kind = _kind(field.type)
    text = _description(field.type) or PARAMETERS.get(name, "")
    if kind == "json":
        text = f"{text}, as JSON" if text else "as JSON"
    hint = "" if field.required else LEFT_OUT[kind]
    return Argument(name[:1].upper() + name[1:], name, kind, field.required, "; ".join(filter(None, (text, hint))))


def _kind(told: inspect.Type) -> Kind:
    if isinstance(told, inspect.Metadata):
        return _kind(told.type)
    if isinstance(told, inspect.UnionType):
        kinds = {_kind(each) for each in told.types if not isinstance(each, inspect.NoneType)}
        return kinds.pop() if len(kinds) == 1 else "any"
    if isinstance(told, inspect.VarTupleType) and _kind(told.item_type) == "text":
        return "texts"
    return _PLAIN.get(type(told), "json")


def _description(told: inspect.Type) -> str:
    if not isinstance(told, inspect.Metadata):
        return ""
    schema = told.extra_json_schema or {}
    return str(schema.get("description", "")) or _description(told.type)


def _is_left_out(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return value == -1
    return value in ("", []) or (isinstance(value, float) and math.isnan(value))


def _read_json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({error})") from None
