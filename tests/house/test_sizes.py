"""The house's sizes and words: modules under 400 lines, no rooms without a name."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for folder in ("edgeagent", "firmware_iface") for path in (ROOT / folder).rglob("*.py")]


def test_no_module_is_over_400_lines():
    long = {str(path.relative_to(ROOT)) for path in SOURCES if len(path.read_text().splitlines()) > 400}
    long |= {path.name for path in (ROOT / "ext").glob("*.p*") if len(path.read_text().splitlines()) > 400}
    assert not long


def test_no_module_has_a_name_that_says_nothing():
    empty = {"utils", "common", "helpers", "base", "manager", "handler", "misc", "data", "info"}
    assert not {path.stem for path in SOURCES} & empty


def test_every_module_says_what_it_is_for():
    assert not [path for path in SOURCES if not path.read_text().lstrip().startswith('"""')]
