"""Values as a client wants them: with the timestamps that it asked for, whole or in part.

Needed for asyncua 2.1.0 because it ignores TimestampsToReturn, IndexRange and DataEncoding.
"""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any, cast

from asyncua import ua
from asyncua.server.address_space import AddressSpace

_STAMPS = ua.TimestampsToReturn
TIMESTAMPS = (_STAMPS.Source, _STAMPS.Server, _STAMPS.Both, _STAMPS.Neither)
"""What may be asked for."""

_RANGE = re.compile(r"(\d{1,10})(?::(\d{1,10}))?")
_MOST_DIMENSIONS = 3
_DEFAULT_ENCODINGS = ("Default Binary", "DefaultBinary")

Range = tuple[slice, ...]
"""One slice for each dimension; empty for the whole value."""


class WrongRange(Exception):
    """An index range cannot be understood, or nothing is there; with the status that says so."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def read(space: AddressSpace, wanted: ua.ReadValueId, stamps: ua.TimestampsToReturn) -> ua.DataValue:
    """Read one attribute; what is wrong is the value's status."""
    is_value = wanted.AttributeId == ua.AttributeIds.Value
    if status := encoding_problem(wanted):
        return _bad(status)
    try:
        part = parsed(wanted.IndexRange)
    except WrongRange as wrong:
        return _bad(wrong.status)
    found = space.read_attribute_value(wanted.NodeId, wanted.AttributeId)
    return shown(found, stamps if is_value else _STAMPS.Neither, part)


def encoding_problem(wanted: ua.ReadValueId) -> int:
    """Status of an encoding that is not served; 0 where nothing is wrong."""
    name = wanted.DataEncoding.Name if wanted.DataEncoding else None
    if not name:
        return 0
    if wanted.AttributeId != ua.AttributeIds.Value:
        return ua.StatusCodes.BadDataEncodingInvalid
    return 0 if name in _DEFAULT_ENCODINGS else ua.StatusCodes.BadDataEncodingUnsupported


def shown(value: ua.DataValue, stamps: ua.TimestampsToReturn, part: Range) -> ua.DataValue:
    """A value as it was asked for; the same object where nothing has to change."""
    if part:
        value = _part_of(value, part)
    source = value.SourceTimestamp if stamps in (_STAMPS.Source, _STAMPS.Both) else None
    server = (value.ServerTimestamp or datetime.now(UTC)) if stamps in (_STAMPS.Server, _STAMPS.Both) else None
    if source is value.SourceTimestamp and server is value.ServerTimestamp:
        return value
    return dataclasses.replace(
        value, SourceTimestamp=source, ServerTimestamp=cast("ua.DateTime | None", server),
        SourcePicoseconds=value.SourcePicoseconds if source else None,
        ServerPicoseconds=value.ServerPicoseconds if server else None,
    )  # fmt: skip


def parsed(index_range: str | None) -> Range:
    """A NumericRange (OPC 10000-4, 7.27) as slices.

    Raises:
        WrongRange: it is none.
    """
    if not index_range:
        return ()
    slices = []
    for dimension in index_range.split(",", _MOST_DIMENSIONS):
        found = _RANGE.fullmatch(dimension)
        if not found:
            raise WrongRange(ua.StatusCodes.BadIndexRangeInvalid)
        first, last = int(found[1]), int(found[2] or found[1])
        if found[2] and first >= last:
            raise WrongRange(ua.StatusCodes.BadIndexRangeInvalid)
        slices.append(slice(first, last + 1))
    if len(slices) > _MOST_DIMENSIONS:
        raise WrongRange(ua.StatusCodes.BadIndexRangeInvalid)
    return tuple(slices)


def is_text(content: Any) -> bool:
    """Whether all texts in a value are Unicode; asyncua takes bytes that are none, and would pass them on."""
    if isinstance(content, list | tuple):
        return all(is_text(each) for each in content)
    return not isinstance(content, str) or not any("\ud800" <= letter <= "\udfff" for letter in content)


def size_of(value: ua.DataValue) -> int:
    """About how many bytes a value takes on its way."""
    content = value.Value.Value if value.Value is not None else None
    if isinstance(content, str | bytes):
        return 16 + len(content)
    if isinstance(content, list | tuple):
        return 16 + sum(len(each) + 4 if isinstance(each, str | bytes) else 16 for each in content)
    return 16


def _part_of(value: ua.DataValue, part: Range) -> ua.DataValue:
    variant = value.Value
    if variant is None or variant.Value is None or (value.StatusCode is not None and value.StatusCode.is_bad()):
        return value
    try:
        content = _sliced(variant.Value, part)
    except WrongRange as wrong:
        return dataclasses.replace(value, Value=None, StatusCode=ua.StatusCode(ua.UInt32(wrong.status)))
    dimensions = None
    if len(part) > 1 and isinstance(content, list):
        dimensions = _dimensions(content, len(part))
    is_array = isinstance(content, list)
    return dataclasses.replace(value, Value=ua.Variant(content, variant.VariantType, cast("Any", dimensions), is_array))


def _sliced(content: Any, part: Range) -> Any:
    """A part of an array, a text or bytes; of an array of texts also a part of each."""
    if not isinstance(content, list | tuple | str | bytes):
        raise WrongRange(ua.StatusCodes.BadIndexRangeNoData)
    found = content[part[0]]
    if not found:
        raise WrongRange(ua.StatusCodes.BadIndexRangeNoData)
    if len(part) == 1:
        return list(found) if isinstance(found, tuple) else found
    if isinstance(found, str | bytes):
        raise WrongRange(ua.StatusCodes.BadIndexRangeNoData)
    return [_sliced(each, part[1:]) for each in found]


def _dimensions(content: list[Any], most: int) -> list[int] | None:
    found: list[int] = []
    level: Any = content
    while isinstance(level, list) and len(found) < most:
        found.append(len(level))
        level = level[0]
    return found if len(found) > 1 else None


def _bad(status: int) -> ua.DataValue:
    return ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(status)))
