"""A process apart that is no OPC UA server: it speaks with the agent as one does, and writes down what it hears.

    python guest.py FILE MODE SOCKET

MODE: "ask" asks and hears everything; "end" ends at once, "fail" says why; "late" hears nothing until FILE.go is there;
"silent", "large", "ahead", "deaf" go wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import time
from pathlib import Path
from typing import Any

from edgeagent.errors import CommandRefused
from edgeagent.publish.opcua.link import AgentLink
from edgeagent.publish.opcua.port import Load
from tests.publish.known import TOKEN


async def main(file: Path, mode: str, number: int) -> int:
    link, go = await AgentLink.over_socket(socket.socket(fileno=number)), file.with_name(f"{file.name}.go")
    with file.open("a") as out:

        def say(what: str, told: Any) -> None:
            out.write(json.dumps([what, told]) + "\n")
            out.flush()

        link.on_values = lambda machine, changes: say("values", [machine, changes])
        link.on_event = lambda event: say("event", event)
        link.on_ended = lambda session, reason: say("ended", [session, reason])
        say("begun", [link.settings.host, [machine.id for machine in link.machines], len(link.machines[0].points)])
        link.listening("opc.tcp://127.0.0.1:4840")
        if mode == "end":
            return 3
        if mode == "fail":
            link.failed("cannot listen at 127.0.0.1:1: it is taken")
            return 1
        if mode == "ask":
            await ask(link, say)
        link.follow(4711 if mode == "ahead" else 0)
        if mode == "deaf":
            time.sleep(3600)  # noqa: ASYNC251  it is to be deaf
        if mode == "late":
            link.hold(True)
            say("held", [])
        while not link.over.done():
            if mode == "late" and go.exists():
                link.hold(False)
            if mode != "silent":
                link.report(Load(sessions=1, resident_bytes=1 << 40 if mode == "large" else 1 << 20))
            await asyncio.wait((link.over,), timeout=0.05)
    await link.end()
    return 0


async def ask(link: AgentLink, say: Any) -> None:
    async def refused(what: str, asking: Any) -> None:
        try:
            say(what, await asking)
        except CommandRefused as error:
            say(what, [error.kind, error.reason, error.machine, error.more])

    say("status", await link.call("Status.Get", {}, None))
    say("snapshot", (await link.call("Event.Snapshot", {}, None))["sequence"])
    await refused("own command", link.call("Alarm.Acknowledge", {"id": "a1"}, None))
    await refused("wrong", link.open("10.1.2.3", "edgeagent_wrong", user="mes"))
    await refused("nobody", link.open("10.1.2.3"))
    identity = await link.open("10.1.2.3", TOKEN, user="mes")
    say("identity", [identity.session, identity.user, identity.role])
    say("authenticated", await link.call("Session.Authenticate", {"token": TOKEN}, identity.session))
    await refused("bad parameters", link.call("Board.Get", {"id": 3}, identity.session))
    await refused("huge", link.call("Board.Get", {"id": "x" * 100_000}, identity.session))
    await refused("unknown session", link.call("Status.Get", {}, 4711))
    rows = await link.history("RO0001", (0,), 0, 1 << 62, 10)
    say("history", [[row.time_ns, row.values, row.qualities] for row in rows])
    await refused("no history", link.history("RO0001", (6,), 0, 1, 10))
    link.turned_away("10.1.2.9", "its certificate is not trusted")
    link.log(logging.WARNING, "asyncua.test", "something was odd")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
