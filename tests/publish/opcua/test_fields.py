"""Records taken apart into single values, by their types alone."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec
import pytest
from asyncua import ua

from edgeagent.model.boards import BoardRecord
from edgeagent.model.events import TOPICS
from edgeagent.publish.opcua.fields import Field, columns, fields
from tests.publish.opcua.ovens import said


class Inner(msgspec.Struct, rename="camel"):
    peak_celsius: float | None
    entered_at: str | None


class Outer(msgspec.Struct, rename="camel"):
    name: str
    count: int
    is_ready: bool | None
    inner: Inner
    reasons: tuple[str, ...]
    parts: tuple[Inner, ...]
    by: dict[str, float]
    either: str | float | bool | None
    later: Inner | msgspec.UnsetType = msgspec.UNSET


RECORD = {
    "name": "A", "count": 3, "isReady": None,
    "inner": {"peakCelsius": 244, "enteredAt": "2026-11-21T22:10:16.850+01:00"},
    "reasons": ["x"], "parts": [{"peakCelsius": 1}], "by": {"a": 1.0}, "either": 2.5,
}  # fmt: skip


def test_a_record_becomes_its_values_by_name() -> None:
    told = {field.name: field.plain(RECORD) for field in fields(Outer)}
    assert told == {
        "Name": "A", "Count": 3, "IsReady": None, "InnerPeakCelsius": 244.0,
        "InnerEnteredAt": datetime(2026, 11, 21, 21, 10, 16, 850_000, tzinfo=UTC), "Reasons": ["x"],
        "Parts": '[{"peakCelsius":1}]', "By": '{"a":1.0}', "Either": 2.5, "LaterPeakCelsius": None,
        "LaterEnteredAt": None,
    }  # fmt: skip


def test_every_value_has_the_type_that_its_field_says() -> None:
    kinds = {field.name: field.of(RECORD).VariantType for field in fields(Outer)}
    expected = {"Name": "String", "Count": "Int32", "IsReady": "Null", "InnerPeakCelsius": "Double",
                "Reasons": "String", "InnerEnteredAt": "DateTime", "Parts": "String", "By": "String",
                "Either": "Double",
                "LaterPeakCelsius": "Null", "LaterEnteredAt": "Null"}  # fmt: skip
    assert {name: kind.name for name, kind in kinds.items()} == expected


def test_a_count_that_does_not_fit_is_not_there() -> None:
    assert Field(("count",), "count").plain({"count": 1 << 40}) is None


def test_of_several_records_what_is_not_there_is_said_by_a_value_that_nothing_has() -> None:
    its = [field for field in fields(Outer) if not field.is_array and field.kind != "any"]
    lists = columns(its, [RECORD, {"name": "B"}])
    assert lists["Name"] == ["A", "B"]
    assert lists["Count"] == [3, -1]
    assert lists["InnerEnteredAt"][1] == ua.get_win_epoch()
    assert math.isnan(lists["InnerPeakCelsius"][1])
    assert {len(each) for each in lists.values()} == {2}


def test_a_board_record_is_taken_apart_as_it_is_sent() -> None:
    [board] = said("Board.Find")["boards"]
    told = {field.name: field.plain(board) for field in fields(BoardRecord)}
    assert (told["VerdictProcess"], told["ConveyorMean"], told["RecipeVersion"]) == ("pass", 76.0, 3)
    assert told["Pass"] == 1
    assert not {name for name, value in told.items() if isinstance(value, dict)}


@pytest.mark.parametrize("topic", [topic for topic, its in TOPICS.items() if its.durable])
def test_no_two_fields_of_an_event_have_the_same_name(topic: str) -> None:
    names = [field.name for field in fields(TOPICS[topic].data)]
    assert len(names) == len(set(names))
    assert not set(names) & {"EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity"}
