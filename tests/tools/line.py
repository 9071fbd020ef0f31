"""A controller on a line in small: its map, a configuration that names it, and commands run against it."""

import asyncio
import sys
from pathlib import Path

MAP = """\
[map]
id = "controller"
version = "1"
title = "A controller"
kind = "instrument"
[machine]
manufacturer = "x"
model = "y"
[device]
max_gap = 4
[groups.values]
period_ms = 500
max_age_ms = 2000
[groups.values.points]
"controller/1/temperature" = { table = "holding", address = 10, type = "uint16", unit = "degC" }
"controller/1/output" = { table = "holding", address = 11, type = "uint16", unit = "percent", range = [0, 10] }
"controller/1/setpoint" = { table = "holding", address = 13, type = "uint16", unit = "degC", not_available = [13] }
"controller/1/power" = { table = "input", address = 20, type = "uint32", unit = "count" }
"controller/1/alarm" = { table = "coil", address = 3, type = "bit" }
"""


def configured(folder: Path, port: str, master: bool = True, unit: int = 5) -> Path:
    """Write the map and a configuration; the configuration's path."""
    (folder / "controller.toml").write_text(MAP)
    file = folder / "agent.toml"
    file.write_text(f"""\
[[lines]]
id = "rs485"
port = "{port}"
baud = 115200
parity = "none"
master = {str(master).lower()}
[[machines]]
id = "M1"
[[machines.sources]]
kind = "modbus-rtu"
map = "./controller.toml"
line = "rs485"
unit = {unit}
""")
    return file


async def edgeagent(*arguments: object, timeout_s: float = 30) -> tuple[int, str, str]:
    """Run a command in a process of its own: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "edgeagent", *map(str, arguments),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), timeout_s)
    return process.returncode, out.decode(), err.decode()
