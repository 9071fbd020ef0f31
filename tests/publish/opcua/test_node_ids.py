"""NodeIds stay: of what was in the stored list once, and of what a machine has."""

from __future__ import annotations

from hashlib import sha256
from importlib import resources

import pytest

from edgeagent.publish.opcua.node_ids import Contested, NodeIds, extended, stored
from edgeagent.publish.opcua.own_types import names

SETTLED = (
    (200, "86704b6d2358a40a"),
)
"""Number of lines and digest of so many first lines, a row for each time that the list grew; add one, change none."""


@pytest.mark.parametrize(("count", "digest"), SETTLED)
def test_what_is_in_the_list_never_changes(count: int, digest: str) -> None:
    lines = resources.files("edgeagent.publish.opcua").joinpath("node_ids.txt").read_text("ascii").splitlines()
    assert len(lines) >= count
    assert sha256("\n".join(lines[:count]).encode()).hexdigest()[:16] == digest


def test_the_whole_list_is_settled() -> None:
    assert SETTLED[-1][0] == len(stored())


def test_every_type_and_field_has_a_number_of_its_own() -> None:
    numbers = stored()
    assert set(names()) <= numbers.keys(), "python -m edgeagent.publish.opcua.node_ids, then add a row to SETTLED"
    assert sorted(numbers.values()) == list(range(1, len(numbers) + 1))


def test_a_new_name_is_appended_and_changes_no_other() -> None:
    assert extended({"A": 1, "B": 2}, ("C", "A", "B")) == {"A": 1, "B": 2, "C": 3}


def test_a_machines_nodes_have_the_same_numbers_at_any_time() -> None:
    assert NodeIds(4, 5).of_node("RO0001/zone/1/top/temperature").to_string() == "ns=5;i=365629284"
    assert NodeIds(9, 7).of_node("RO0001").to_string() == "ns=7;i=1023667435"


def test_two_names_never_share_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeagent.publish.opcua.node_ids._END", (1 << 20) + 100)
    node_ids = NodeIds(4, 5)
    made = {node_ids.of_node(f"RO0001/{number}") for number in range(80)}
    assert len(made) == 80
    assert made == {node_ids.of_node(f"RO0001/{number}") for number in range(80)}


def test_a_number_that_two_names_would_have_is_given_to_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeagent.publish.opcua.node_ids._END", (1 << 20) + 2000)
    former, later = ([f"{machine}/{number}" for number in range(100)] for machine in ("RO0001", "RO0002"))
    alone, before, after = numbers(later), numbers(former + later), numbers(later + former)
    assert before == after, "the order is nothing"
    assert len(set(before.values())) == 200
    owners = {number: name for name, number in alone.items()}
    assert all(owners.get(number, name) == name for name, number in before.items()), "none has another meaning"
    assert alone != {name: before[name] for name in later}, "some would have"


def numbers(names: list[str]) -> dict[str, int]:
    contested: frozenset[int] = frozenset()
    while True:
        node_ids = NodeIds(4, 5, contested)
        made = {name: int(node_ids.of_node(name).Identifier) for name in names}  # type: ignore[arg-type]
        try:
            node_ids.require_order_is_nothing()
        except Contested as found:
            contested = found.numbers
        else:
            return made


def test_a_number_leads_back_to_its_name() -> None:
    node_ids = NodeIds(4, 5)
    assert node_ids.name(node_ids.of_node("RO0001")) == "RO0001"
    assert node_ids.name(node_ids.of_type("ZoneType")) is None


def test_a_type_that_is_not_in_the_list_has_no_number() -> None:
    with pytest.raises(KeyError):
        NodeIds(4, 5).of_type("NoType")
