"""What the agent says in a day: `python -m tests.publish.said` writes it as the examples of the contract."""

from __future__ import annotations

import asyncio
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from edgeagent.model.functions import FUNCTIONS
from edgeagent.publish.openapps.examples import FILE, shortened
from tests.publish.commanding import stopped
from tests.publish.day import day

GOLDEN = Path(__file__).parents[2] / "edgeagent/publish/openapps" / FILE


class Said(NamedTuple):
    """Parameters and whole result of each function; every notification."""

    functions: dict[str, tuple[dict[str, Any], Any]]
    events: list[dict[str, Any]]


@cache
def said() -> Said:
    """Live the day once and ask everything."""
    return asyncio.run(_said())


async def _said() -> Said:
    functions = {}
    with tempfile.TemporaryDirectory() as folder:
        async with day(Path(folder)) as lived:
            for name in FUNCTIONS:
                if name == "Event.Unsubscribe":
                    await lived.caught_up()  # so that where to go on is the same each time
                await lived.prepared(name)
                params = lived.asks(name)
                answer = await lived.call(name, params)
                assert "result" in answer, f"{name} needs an entry in ASKED of tests/publish/day.py: {answer['error']}"
                functions[name] = params, answer["result"]
            await stopped(lived)
            await lived.hear()
    return Said(functions, lived.told)


def golden(told: Said) -> str:
    """The examples as the agent carries them, shortened; of each event the last that was told."""
    functions = {name: {"params": params, "result": _short(name, it)} for name, (params, it) in told.functions.items()}
    events = {message["method"]: shortened(message["params"]) for message in told.events}
    whole = {"functions": functions, "events": dict(sorted(events.items()))}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _short(name: str, result: Any) -> Any:
    """The document is not put into itself."""
    return {key: result[key] for key in ("openrpc", "info")} if name == "rpc.discover" else shortened(result)


if __name__ == "__main__":
    GOLDEN.write_text(golden(said()), encoding="utf-8")
