import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgeagent.acquire.plan import plan
from edgeagent.model.machine import Machine
from edgeagent.model.samples import Row
from firmware_iface import catalog
from firmware_iface.pages import page_text
from tests.firmware_iface.test_map_language import DRIVE

ROOT = Path(__file__).resolve().parents[2]

WINCH = """
map = { id = "winch", version = "2", title = "A winch", kind = "instrument" }
sources = [{ title = "Manual | *A*", page = "7", status = "official" }]
machine = { manufacturer = "M", model = "N" }
device = { address_base = 1, word_order = "little", max_registers = 4, pause_ms = 20 }
[groups.all]
period_ms = 100
defaults = { table = "holding" }
[groups.all.points]
"rope/load" = { address = 11, type = "int32", scale = 0.01, offset = -40, unit = "percent", range = [-40, 110.5], \
not_available = [0x7FFFFFFF, 0x80000000], access = "rw", text = "Load <b>|</b>" }
"rope/length" = { address = 1, type = "float32", byte_order = "little" }
"door/2/open" = { address = 3, type = "bit", bit = 9 }
"door/1/open" = { address = 3, type = "bit", bit = 0 }
"winch/name" = { address = 14, type = "text", length = 3 }
"winch/on" = { table = "coil", address = 1, type = "bit", access = "rw", text = "Runs" }
"""


@pytest.fixture
def winch(tmp_path):
    path = tmp_path / "winch.toml"
    path.write_text(WINCH)
    return catalog.load(path)


@pytest.mark.parametrize("name", catalog.builtin_names())
def test_the_published_page_of_every_map_is_the_one_of_this_map(name):
    published = ROOT / "docs" / "maps" / f"{name}.md"
    mend = f"edgeagent firmware page {name} > docs/maps/{name}.md"
    assert published.is_file(), mend
    assert published.read_text() == page_text(catalog.builtin(name)), mend


def test_the_points_stand_in_the_order_of_their_addresses(winch):
    table = page_text(winch).split("### Holding registers (read by function 3)\n\n")[1].split("\n\n")[0]
    assert table.splitlines() == [
        "| Address | Point | Type | Value | Unit | Range | No value | Access | What it is |",
        "|---|---|---|---|---|---|---|---|---|",
        "| 0 to 1 | `rope/length` | float32, words little, bytes little, DCBA | raw |  |  |  | read |  |",
        "| 2.0 | `door/1/open` | bit |  |  |  |  | read |  |",
        "| 2.9 | `door/2/open` | bit |  |  |  |  | read |  |",
        "| 10 to 11 | `rope/load` | int32, words little, CDAB | raw × 0.01 - 40 | percent | -40 to 110.5 |"
        " 0x7FFFFFFF, 0x80000000 | read, write | Load \\<b\\>\\|\\</b\\> |",
        "| 13 to 15 | `winch/name` | text |  |  |  |  | read |  |",
    ]
    assert "### Coils (read by function 1)\n\n| Address | Point | Access | What it is |\n|---|---|---|---|\n" \
        "| 0 | `winch/on` | read, write | Runs |\n" in page_text(winch)  # fmt: skip


def test_what_a_map_has_not_has_no_place_on_its_page(winch):
    titles = re.findall(r"^#+ (.*)", page_text(winch), re.M)
    assert titles == ["A winch", "Sources", "Device", "Groups", "Points", "Coils (read by function 1)",
                      "Holding registers (read by function 3)"]  # fmt: skip
    assert "Firmware" not in page_text(winch)


def test_the_documents_texts_cannot_break_a_table(winch):
    assert "| Manual \\| \\*A\\* | 7 | official |" in page_text(winch)
    broken = replace(winch, title="two\nlines\u202e")
    assert page_text(broken).startswith("# two lines\n")


def test_the_page_tells_the_requests_within_the_devices_limits(winch):
    asked = "1 of coil from 0, 3 of holding from 0, 2 of holding from 10, 3 of holding from 13"
    assert f"| all | 100 ms | 300 ms | 6 | {asked} |" in page_text(winch)


@pytest.mark.parametrize("name", ["winch", *catalog.builtin_names()])
def test_the_page_tells_the_requests_that_the_poller_sends(name, winch):
    register_map = winch if name == "winch" else catalog.builtin(name)
    page = page_text(register_map)
    machine = Machine("M1", (register_map,))
    row = Row(len(machine.points), len(machine.groups))
    for group, planned in zip(register_map.groups, plan(machine, 0, row), strict=True):
        asked = ", ".join(f"{b.block.count} of {b.block.table} from {b.block.address}" for b in planned.blocks)
        assert re.search(rf"^\| {group.name} \|.*\| {re.escape(asked)} \|$", page, re.M)


SECTIONS = {
    "Sources": ["| Document | Page | Status | Id |", "| The manual |  | official | `manual` |",
                "| What was seen |  | inferred |  |"],
    "Serial line, as delivered": ["| `baud` | 9600 | bits a second |", "| `parity` | none | parity of a character |",
                                  "| `stop_bits` | 2 | stop bits of a character |"],
    "Identity: read at connect": [
        "| `drive/type` | must be 2592 or 2624 in the bits 0xFF0 of its raw number | a drive of the second make |",
        '| `drive/serial` | must be "D7" |  |'],
    "Where the points are described": ["| `drive/speed` | The manual | 12 |", "| `drive/count` | The manual | 14 |"],
    "Commands": ["| `start` | 1 to `drive/control` | pulse of 200 ms | `drive/ready == 1` | `drive/setpoint > 0` |"
                 " `drive/speed > 0` within 4 s | yes |",
                 "| `stop` | 0 to `drive/run` | level |  |  | `drive/speed <= 0` within 10 s | never |"],
    "Heartbeat": ["| `drive/beat` | 1000 ms | count |"],
    "Standby": ["| `drive/setpoint` | 10.5 rpm |", "| `drive/float` | 0.25 |", "Allowed when `drive/ready == 1`."],
}  # fmt: skip


def test_the_page_has_a_section_for_all_that_is_not_a_point(tmp_path):
    path = tmp_path / "drive.toml"
    path.write_text(DRIVE)
    page = page_text(catalog.load(path))
    for title, lines in SECTIONS.items():
        section = re.split(r"^#+ ", page.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.M)[0].splitlines()
        assert [line for line in lines if line not in section] == [], title
    assert "The groups need 14% of the line at the longest latency." in page
    assert "| Firmware | `drive/firmware`, from 3.04 to 4 |" in page
    assert "0 to 500, at most 50 rpm per second" in page
