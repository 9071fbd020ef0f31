"""Makes `tests` importable without the source folder on the path, which would hide the built core; gives tests time."""

import sys
import types
from pathlib import Path

from hypothesis import HealthCheck, settings

# How fast a computer is on which much else runs says nothing about the code.
settings.register_profile("any computer", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any computer")

if "tests" not in sys.modules:
    package = types.ModuleType("tests")
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules["tests"] = package
