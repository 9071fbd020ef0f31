"""The page of the simulated machines tells every fault that they can have."""

import re
from pathlib import Path

from firmware_iface.simulated.faults import KINDS, parse

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "simulated-machines.md").read_text()


def test_every_fault_is_told_as_it_is_written():
    cells = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    told = [re.sub(r"\[.*?\]", "", text) for cell in cells for text in re.findall(r"`(.*?)`", cell)]
    assert {parse(text).name for text in told} == set(KINDS)
