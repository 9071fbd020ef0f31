"""Makes `tests` importable without putting the source folder on the path, where it would hide the built core."""

import sys
import types
from pathlib import Path

if "tests" not in sys.modules:
    package = types.ModuleType("tests")
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules["tests"] = package
