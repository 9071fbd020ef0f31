"""Records of the model taken apart into single values, so that one walk makes the fields of events and the nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, NamedTuple

import msgspec
from asyncua import ua
from msgspec import inspect

Kind = Literal["text", "texts", "truth", "count", "number", "moment", "any", "json"]

_V = ua.VariantType
_TYPES: dict[Kind, ua.VariantType] = {
    "text": _V.String, "texts": _V.String, "json": _V.String, "truth": _V.Boolean, "count": _V.Int32,
    "number": _V.Double, "moment": _V.DateTime,
}  # fmt: skip
_PLAIN: dict[type[inspect.Type], Kind] = {
    inspect.StrType: "text", inspect.LiteralType: "text", inspect.BoolType: "truth", inspect.IntType: "count",
    inspect.FloatType: "number",
}  # fmt: skip
_MOMENTS = ("since", "until")
"""Texts that are times, beside all whose name ends so: enteredAt."""

_HIGHEST_INT32 = 2**31 - 1


class Field(NamedTuple):
    """One value of a record.

    Attributes:
        path: where it is in the record as it is sent: ("board", "recipe", "name"). name: "BoardRecipeName".
    """

    path: tuple[str, ...]
    kind: Kind

    @property
    def name(self) -> str:
        """As OPC UA has it."""
        return "".join(part[:1].upper() + part[1:] for part in self.path)

    @property
    def is_array(self) -> bool:
        """Whether it has several values itself."""
        return self.kind == "texts"

    @property
    def variant_type(self) -> ua.VariantType | None:
        """The type of each value; None where it may be any."""
        return _TYPES.get(self.kind)

    @property
    def data_type(self) -> ua.NodeId:
        """The same as a NodeId."""
        kind = self.variant_type
        return ua.NodeId(ua.ObjectIds.BaseDataType if kind is None else kind.value)  # type: ignore[arg-type]

    def of(self, record: Mapping[str, Any]) -> ua.Variant:
        """Its value in a record; null where there is none."""
        value = self.plain(record)
        if value is None:
            return ua.Variant()
        kind = self.variant_type
        return ua.Variant(value, kind, is_array=self.is_array) if kind else ua.Variant(value)

    def plain(self, record: Mapping[str, Any]) -> Any:
        """Its value in a record, ready for a Variant; None where there is none."""
        value: Any = record
        for part in self.path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return None
        if self.kind == "json":
            return msgspec.json.encode(value).decode()
        if self.kind == "moment":
            return moment(value)
        if self.kind == "count" and not -_HIGHEST_INT32 <= value <= _HIGHEST_INT32:
            return None
        return float(value) if self.kind == "number" else list(value) if self.kind == "texts" else value


def moment(time: str) -> datetime:
    """A time as it is sent (RFC 3339)."""
    return datetime.fromisoformat(time).astimezone(UTC)


@cache
def fields(record: type[msgspec.Struct]) -> tuple[Field, ...]:
    """All values of a kind of record, in order; a list of records is one value, as JSON."""
    return tuple(_walk(inspect.type_info(record), ()))


def columns(its: Sequence[Field], records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Values of several records, a list for each field; what is not there is empty, or not a number.

    A time that is not there is the first that OPC UA has, for an array of times has no other way.
    """
    return {field.name: [_filled(field, field.plain(record)) for record in records] for field in its}


def _filled(field: Field, value: Any) -> Any:
    return _EMPTY[field.kind] if value is None else value


_EMPTY: dict[Kind, Any] = {
    "text": "", "json": "", "truth": False, "count": -1, "number": float("nan"), "moment": ua.get_win_epoch(),
}  # fmt: skip


def _walk(told: inspect.Type, path: tuple[str, ...]) -> Sequence[Field]:
    told = _wanted(told)
    if isinstance(told, inspect.StructType) and not told.array_like:
        return [field for each in told.fields for field in _walk(each.type, (*path, each.encode_name))]
    kind = _kind(told)
    if kind == "text" and (path[-1] in _MOMENTS or path[-1].endswith("At")):
        kind = "moment"
    return [Field(path, kind)]


def _wanted(told: inspect.Type) -> inspect.Type:
    """What it is where it is there at all, without what is said about it."""
    if isinstance(told, inspect.Metadata):
        return _wanted(told.type)
    if isinstance(told, inspect.UnionType):
        left = [_wanted(each) for each in told.types if not isinstance(each, inspect.NoneType) and not _is_unset(each)]
        return left[0] if len(left) == 1 else inspect.UnionType(tuple(left))
    return told


def _is_unset(told: inspect.Type) -> bool:
    return isinstance(told, inspect.CustomType) and told.cls is msgspec.UnsetType


def _kind(told: inspect.Type) -> Kind:
    if isinstance(told, inspect.UnionType):
        return "any"
    if isinstance(told, inspect.VarTupleType) and isinstance(_wanted(told.item_type), inspect.StrType):
        return "texts"
    return _PLAIN.get(type(told), "json")
