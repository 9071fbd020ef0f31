"""Units of points as OPC UA has them."""

from __future__ import annotations

import pytest

from edgeagent.publish.opcua.units import engineering_units, unit_id
from firmware_iface import catalog


@pytest.mark.parametrize(("code", "number"), [("CEL", 4408652), ("P1", 20529), ("MMT", 5066068), ("SEC", 5457219)])
def test_a_common_code_is_the_number_that_opc_ua_has_for_it(code: str, number: int) -> None:
    assert unit_id(code) == number


def test_a_unit_without_a_code_is_told_by_its_symbol() -> None:
    its = engineering_units("cm/min")
    assert (its.UnitId, its.NamespaceUri, its.DisplayName.Text) == (-1, "urn:edgeagent:units", "cm/min")
    assert its.Description.Text == "centimetre per minute"


@pytest.mark.parametrize("name", ["reflow10", "reflow12", "wave", "oxygen-luminox", "eurotherm2000"])
def test_every_unit_of_our_maps_is_known_or_known_to_have_no_code(name: str) -> None:
    units = {register.unit for register in catalog.builtin(name).registers} - {None, "cm/min"}
    assert all(engineering_units(unit).UnitId > 0 for unit in units if unit)
