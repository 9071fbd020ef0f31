import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from firmware_iface import catalog
from firmware_iface.encoding import encode
from firmware_iface.header import header_text
from tests.firmware_iface.test_map_language import DRIVE

GCC = shutil.which("gcc")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")

ODD = """
map = { id = "2nd-oven.x", version = 'a "b" \\ ??/ é', title = "Odd */ and /* odd ??/", kind = "instrument" }
machine = { manufacturer = "M", model = "N" }
device = { address_base = 1 }
states = [
    { state = "ready", when = ["a/mode == 1"] },
    { state = "ready", when = ["a/mode == 2"] },
    { state = "fault", when = ["a/door == 1"] },
    { state = "running", when = ["a/mode == 3", "a/door == 0"] },
    { state = "standby", when = ["a/mode == 60000"] },
]
[groups.all]
period_ms = 100
defaults = { table = "holding" }
[groups.all.points]
"a/mode" = { address = 1, type = "uint16", text = "ends here */ #error" }
"a/door" = { address = 2, type = "bit", bit = 15 }
"a/lid" = { address = 2, type = "bit", bit = 0 }
"a/flap" = { address = 3, type = "bit", bit = 0, byte_order = "little" }
"a/bC" = { address = 4, type = "uint32", word_order = "little", not_available = [0xFFFFFFFF, 0] }
"a/b/c" = { address = 6, type = "float64", offset = -1.5, unit = "degC", not_available = [0x7FF8000000000000] }
"a/b/c2" = { address = 10, type = "int64" }
"a/name" = { address = 14, type = "text", length = 3, access = "rw" }
"far/away" = { address = 65536, type = "int16", not_available = [0x8000] }
"map/fingerprint" = { table = "input", address = 1, type = "uint32", word_order = "little", byte_order = "little" }
"a/on" = { table = "coil", address = 8, type = "bit", access = "rw" }
"a/isOn" = { table = "discrete", address = 8, type = "bit" }
"""

needs_gcc = pytest.mark.skipif(GCC is None, reason="no gcc here to compile the header with")


@pytest.fixture
def odd(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text(ODD)
    return catalog.load(path)


def printed(folder, header, expressions):
    """What a C program that includes the header prints of the expressions, as whole numbers."""
    (folder / "registers.h").write_text(header)
    prints = "\n".join(f'    printf("%llu\\n", (unsigned long long)({expression}));' for expression in expressions)
    (folder / "main.c").write_text(
        f'#include <stdio.h>\n#include <string.h>\n#include "registers.h"\n#include "registers.h"\n'
        f"int main(void)\n{{\n{prints}\n    return 0;\n}}\n"
    )
    subprocess.run([GCC, *STRICT, "main.c", "-o", "main"], cwd=folder, check=True)
    told = subprocess.run([folder / "main"], check=True, capture_output=True, text=True).stdout
    return [int(line) for line in told.split()]


@needs_gcc
@pytest.mark.parametrize("name", catalog.builtin_names())
def test_every_register_of_a_map_lies_in_its_struct_where_the_map_says(name, tmp_path):
    header = header_text(catalog.builtin(name))
    register_map = catalog.builtin(name)
    prefix = name.upper().replace("-", "_")
    members = re.findall(rf"offsetof\(struct ({prefix.lower()}_\w+?_(\d+)), (?!bits_)(\w+)\) ==", header)
    addresses = printed(tmp_path, header, [
        f"{first} + offsetof(struct {struct}, {member}) / sizeof(uint16_t)" for struct, first, member in members
    ] + [f"{prefix}_ADDRESS_{member.upper()}" for _, _, member in members])  # fmt: skip
    half = len(addresses) // 2
    assert addresses[:half] == addresses[half:]
    assert sorted(addresses[:half]) == sorted(r.address for r in register_map.registers if r.type != "bit")


@needs_gcc
def test_a_map_with_everything_odd_compiles_and_lies_right(odd, tmp_path):
    block = "struct map_2nd_oven_x_holding_0"
    expected = {
        f"sizeof({block})": 16 * 2,
        f"offsetof({block}, bits_1)": 2,
        f"offsetof({block}, bits_2)": 4,
        f"offsetof({block}, a_b_c)": 6,
        f"offsetof({block}, a_b_c_2)": 10,
        f"sizeof((({block} *)0)->a_b_c_2)": 8,
        f"offsetof({block}, a_b_c2)": 18,
        f"offsetof({block}, a_name)": 26,
        "sizeof(struct map_2nd_oven_x_holding_65535)": 2,
        "MAP_2ND_OVEN_X_BLOCK_ADDRESS_HOLDING_65535": 65535,
        "MAP_2ND_OVEN_X_BLOCK_COUNT_HOLDING_0": 16,
        "MAP_2ND_OVEN_X_ADDRESS_A_ON": 7,
        "MAP_2ND_OVEN_X_COUNT_A_NAME": 3,
        "MAP_2ND_OVEN_X_MASK_A_DOOR": 0x8000,
        "MAP_2ND_OVEN_X_BIT_A_DOOR": 15,
        "MAP_2ND_OVEN_X_MASK_A_FLAP": 0x0100,
        "MAP_2ND_OVEN_X_NO_VALUE_A_B_C": 0xFFFFFFFF,
        "MAP_2ND_OVEN_X_NO_VALUE_A_B_C_2": 0x7FF8000000000000,
        "MAP_2ND_OVEN_X_STATE_A_MODE_READY": 1,
        "MAP_2ND_OVEN_X_STATE_A_MODE_READY_2": 2,
        'strcmp(MAP_2ND_OVEN_X_MAP_ID, "2nd-oven.x")': 0,
        'strcmp(MAP_2ND_OVEN_X_MAP_VERSION, "a \\"b\\" \\\\ \\?\\?/ \\303\\251")': 0,
    }
    assert printed(tmp_path, header_text(odd), expected) == list(expected.values())


@needs_gcc
def test_the_fingerprint_is_served_as_the_agent_reads_it(odd, tmp_path):
    words = [f"((uint16_t[])MAP_2ND_OVEN_X_FINGERPRINT_WORDS)[{index}]" for index in (0, 1)]
    halves = ["MAP_2ND_OVEN_X_FINGERPRINT_HIGH", "MAP_2ND_OVEN_X_FINGERPRINT_LOW"]
    *served, high, low = printed(tmp_path, header_text(odd), words + halves)
    number = int(odd.fingerprint, 16)
    assert (high << 16) + low == number
    assert served == encode(odd.register("map/fingerprint"), number)


@needs_gcc
def test_a_member_that_has_moved_is_an_error_of_the_compiler(odd, tmp_path):
    moved = header_text(odd).replace("    uint16_t a_mode;\n", "    uint16_t a_mode;\n    uint16_t new;\n")
    with pytest.raises(subprocess.CalledProcessError):
        printed(tmp_path, moved, [])


@needs_gcc
def test_commands_and_heartbeat_are_told_as_raw_numbers(tmp_path):
    path = tmp_path / "drive.toml"
    changed = DRIVE.replace('write = "drive/run"\nvalue = 0', 'write = "drive/float"\nvalue = 75.0')
    path.write_text(changed.replace('"drive/float" = 0.25', '"drive/control" = 0'))
    expected = {
        "DRIVE_COMMAND_START_ADDRESS": 0,
        "DRIVE_COMMAND_START_VALUE": 1,
        "DRIVE_COMMAND_START_PULSE_MS": 200,
        "DRIVE_COMMAND_START_HANDSHAKE_ADDRESS": 1,
        "DRIVE_COMMAND_START_HANDSHAKE_VALUE": 1,
        "DRIVE_COMMAND_STOP_ADDRESS": 7,
        "DRIVE_COMMAND_STOP_VALUE": 0x42960000,
        "DRIVE_HEARTBEAT_ADDRESS": 4,
        "DRIVE_HEARTBEAT_PERIOD_MS": 1000,
    }
    header = header_text(catalog.load(path))
    assert printed(tmp_path, header, expected) == list(expected.values())
    assert "STOP_PULSE" not in header
    assert "COMMAND" not in header_text(catalog.builtin("eurotherm2000"))


def test_only_what_a_map_says_of_one_point_becomes_an_enumeration(odd):
    states = re.search(r"enum map_2nd_oven_x_state_a_mode \{\n(.*?)\};", header_text(odd), re.S)[1]
    assert re.findall(r"_MODE_(\w+) = (\d+)", states) == [("READY", "1"), ("READY_2", "2")]
    assert "state_a_door" not in header_text(odd)


def test_a_value_is_told_with_its_scale_unit_and_range():
    header = header_text(catalog.builtin("reflow10"))
    assert ("#define REFLOW10_ADDRESS_ZONE_3_TOP_TEMPERATURE 104U /* int16, raw * 0.1 degC, -20 to 400,"
            " at most 20 degC per second, no value: 0x7FFF, read: Zone 3 top: air temperature */"
            ) in header  # fmt: skip
    assert "uint16_t oxygen_1_concentration[2];" in header
    assert "_WORDS" in header


def test_a_map_gives_the_same_header_whatever_the_order_of_its_file(odd):
    assert header_text(replace(odd, registers=odd.registers[::-1])) == header_text(odd)
