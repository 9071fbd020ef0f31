"""Makes `tests` importable without the source folder on the path, which would hide the built core; gives them time."""

import logging
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast a computer is on which much else runs says nothing about the code.
settings.register_profile("any computer", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any computer")

if "tests" not in sys.modules:
    package = types.ModuleType("tests")
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules["tests"] = package


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Whoever runs a command in the tests' own process sets logs up for all of them."""
    names = ("", "pymodbus", "aiohttp.access")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
