"""`edgeagent prove`: its options, and what it prints."""

from __future__ import annotations

import logging
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagent.arguments import number

if TYPE_CHECKING:
    import argparse
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from edgeagent.tools.commands import Add
    from edgeagent.tools.proving.ground import Ground
    from edgeagent.tools.proving.verdict import Seen

SCENARIOS = ("kill", "disk", "behind", "deaf", "hundred", "corruption")


def add_to(add: Add) -> None:
    """Add prove."""
    text = "try to lose an event, in a scratch folder with an oven and agents of its own, and print what was seen"
    parser = add("prove", _prove, text, logging.ERROR)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, dest="scenarios",
                        help="only this one; may be given several times (all)")
    parser.add_argument("--kills", type=_kills, default=20, metavar="N", help="how often to kill -9 (20)")
    parser.add_argument("--events", type=_events, default=100_000, metavar="N",
                        help="how many events a consumer is behind (100000)")
    parser.add_argument("--seed", type=int, help="of the moments; a new one each time, and printed")
    parser.add_argument("--folder", type=Path, metavar="DIR",
                        help="work in a new folder in this one (the system's for what is temporary)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


async def _prove(options: argparse.Namespace, stop: asyncio.Event) -> bool:
    import asyncio  # noqa: PLC0415

    from edgeagent.tools.stopping import until  # noqa: PLC0415

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.set)  # a terminal that is closed
    seed = secrets.randbelow(1 << 31) if options.seed is None else options.seed
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="edgeagent-prove-", dir=options.folder))
    seen: list[Seen] = []
    grounds: list[Ground] = []
    was_whole = await until(stop, _all(folder, options, seed, seen, grounds))
    for ground in grounds:  # where it was stopped, the scenario had no time to
        await ground.close()
    held = was_whole and not any(line.faults for line in seen)
    if held or not was_whole:
        shutil.rmtree(folder, ignore_errors=True)
    _print(seen, seed, None if held or not was_whole else folder, as_json=options.json)
    if not was_whole:
        print("stopped before its end", file=sys.stderr)
    return held


async def _all(
    folder: Path, options: argparse.Namespace, seed: int, seen: list[Seen], grounds: list[Ground]
) -> None:  # fmt: skip
    """Make every proof that is wanted; each adds its lines to `seen`, and its ground before it begins."""
    from edgeagent.tools.proving.ground import Ground  # noqa: PLC0415
    from edgeagent.tools.proving.verdict import Seen  # noqa: PLC0415

    for name, proof in _proofs(options.kills, options.events).items():
        if name not in (options.scenarios or SCENARIOS):
            continue
        if not options.json:
            print(f"{name} ...", file=sys.stderr, flush=True)
        ground = Ground(folder / name, seed)
        grounds.append(ground)
        try:
            seen += await proof(ground)
        except Exception as error:  # noqa: BLE001  what broke has not held, and the others go on
            seen.append(Seen(name, "the scenario as a whole", 1, "it came to no end", (str(error) or repr(error),)))
        finally:
            await ground.close()


def _proofs(kills: int, events: int) -> dict[str, Callable[[Ground], Awaitable[Sequence[Seen]]]]:
    from edgeagent.tools.proving import behind, corruption, deaf, disk, hundred, kill  # noqa: PLC0415

    return {
        "kill": lambda ground: kill.prove(ground, kills), "disk": disk.prove,
        "behind": lambda ground: behind.prove(ground, events), "deaf": deaf.prove, "hundred": hundred.prove,
        "corruption": corruption.prove,
    }  # fmt: skip


def _print(seen: Sequence[Seen], seed: int, folder: Path | None, *, as_json: bool) -> None:
    import json  # noqa: PLC0415

    from edgeagent.tools import tables  # noqa: PLC0415

    if as_json:
        lines = [{"scenario": s.scenario, "tried": s.tried, "times": s.times, "seen": s.seen, "held": not s.faults,
                  "faults": list(s.faults)} for s in seen]  # fmt: skip
        print(json.dumps({"seed": seed, "held": not any(s.faults for s in seen), "proofs": lines,
                          "folder": None if folder is None else str(folder)}))  # fmt: skip
        return
    rows = [("scenario", "what was tried", "times", "what was seen", "verdict")]
    rows += [(s.scenario, s.tried, str(s.times), s.seen, s.verdict) for s in seen]
    for line in tables.table(rows, tables.width(), whole=1):
        print(line)
    for each in seen:
        for fault in each.faults:
            print(f"{each.scenario}: {fault}")
    print(f"seed {seed}" + (f"; stores, logs and the agents' own logs are kept in {folder}" if folder else ""))


def _kills(text: str) -> int:
    return round(number(text, int, 1, 100_000))


def _events(text: str) -> int:
    return round(number(text, int, 1000, 10_000_000))
