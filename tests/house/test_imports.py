"""What import-linter cannot see: the compiled sources, the core's importers, and the standard library for the maps."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = {"decode", "ring", "capture", "profile", "moves", "kernel"}
MAY_USE = {
    "decode": {"acquire"}, "ring": {"capture"}, "capture": {"capture"}, "profile": {"capture"}, "moves": {"capture"},
    "kernel": {"clock.py", "service.py", "publish"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def test_the_register_maps_use_the_standard_library_only():
    for path in (ROOT / "firmware_iface").rglob("*.py"):
        foreign = {name.partition(".")[0] for name in imported(path)} - sys.stdlib_module_names - {"firmware_iface"}
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_the_compiled_sources_know_nothing_of_the_agent_or_of_each_other():
    sources = sorted((ROOT / "ext").glob("*.pyx"))
    assert {source.stem for source in sources} == CORE
    for source in [*sources, *(ROOT / "ext").glob("*.pxi")]:
        for name in re.findall(r"^\s*(?:from|cimport|import)\s+([\w.]+)", source.read_text(), re.M):
            top = name.partition(".")[0]
            assert top in {"libc", "cpython", "cython"} or top in sys.stdlib_module_names, f"{source.name}: {name}"


def test_each_part_of_the_core_is_used_by_its_own_room_alone():
    for path in (ROOT / "edgeagent").rglob("*.py"):
        for name in imported(path):
            if name.startswith("edgeagent._core."):
                part = name.split(".")[2]
                assert path.relative_to(ROOT / "edgeagent").parts[0] in MAY_USE[part], f"{path.name} uses {name}"


def test_every_part_of_the_core_has_a_stub():
    assert {path.stem for path in (ROOT / "edgeagent/_core").glob("*.pyi")} == CORE
