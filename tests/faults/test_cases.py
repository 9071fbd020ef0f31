"""Every fault case of a line on the real pollers: what the points were, when they were good again, what it cost."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.cases import CASES, ELSEWHERE, UNTESTED, Case
from tests.faults.measure import Outcome, differences, measure_all
from tests.faults.table import DOCUMENT, rows, told

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = {f"{kind}{n:02}" for kind, most in {"T": 33, "R": 21, "A": 18, "S": 10, "H": 5}.items()
             for n in range(1, most + 1)}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return asyncio.run(measure_all(CASES.values()))


def known_to_fail(case: Case) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(reason=case.open, strict=not case.residue)] if case.open else []


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id, marks=known_to_fail(c)) for c in CASES.values()])
def test_no_fault_becomes_a_value_and_the_points_are_as_the_case_says(case, outcomes):
    assert not differences(case, outcomes[case.id])


def test_every_case_of_the_catalogue_has_a_place():
    placed = {case.split()[0] for case in CASES} | set(ELSEWHERE) | set(UNTESTED)
    assert placed == CATALOGUE
    assert not (set(ELSEWHERE) | set(UNTESTED)) & {case.split()[0] for case in CASES}


def test_the_tests_of_other_parts_exist():
    for _, file, name in ELSEWHERE.values():
        assert f"def {name}(" in (ROOT / file).read_text()


def test_the_printed_table_says_of_each_case_what_the_case_says():
    printed = {row[0]: row for row in rows(DOCUMENT.read_text())}
    assert set(printed) == set(CASES) | set(ELSEWHERE) | set(UNTESTED)
    for case in CASES.values():
        _, text, quality, again, others, *_ = printed[case.id]
        assert text == case.fault.name
        assert quality == told(case) or case.open
        assert ("not true" in quality) == bool(case.open)
        assert case.open or int(again) <= case.again
        assert case.open or int(others) <= case.others
