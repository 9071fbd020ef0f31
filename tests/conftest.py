"""Makes `tests` importable without the source folder on the path, which would hide the built core; gives them time."""

import gc
import logging
import os
import signal
import sys
import types
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast a computer is on which much else runs says nothing about the code.
settings.register_profile("any computer", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any computer")

# A shell that runs the tests in the background has them ignore ctrl-C, and so would the programs that they begin.
signal.signal(signal.SIGINT, signal.default_int_handler)

WAITING = {"journeys", "faults"}
"""Folders."""

if "tests" not in sys.modules:
    package = types.ModuleType("tests")
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules["tests"] = package


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays: whoever looks for garbage in it meanwhile finds none, and takes seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)  # when those that are not chosen are out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with its share of the files whose tests wait more than they compute.

    `--dist worksteal` gives each worker one piece of the list, all of about the same length.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    waiting: dict[Path, list[pytest.Item]] = {}
    others: list[pytest.Item] = []
    for item in items:
        (waiting.setdefault(item.path, []) if item.path.parent.name in WAITING else others).append(item)
    files, length = list(waiting.values()), len(items) // workers
    pieces = [[item for file in files[worker::workers] for item in file] for worker in range(workers)]
    for piece in pieces[:-1]:
        more = max(0, length - len(piece))
        piece.extend(others[:more])
        del others[:more]
    items[:] = [item for piece in (*pieces, others) for item in piece]


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
