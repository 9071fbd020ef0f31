from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.model.events import matches
from tests.publish.serving import event, request, serving

MACHINES = ("RO0001", "RO0002")
KINDS = [(topic, machine) for topic in ("Alarm.Raised", "Alarm.Cleared", "Status.MachineStatusChanged", "Board.Lost")
         for machine in MACHINES]  # fmt: skip
TOPICS = st.lists(
    st.sampled_from(["*", "Alarm.*", "Alarm.Raised", "Status.*", "Board.*", "Board.Lost", "Alarm", "Recipe.*"]),
    min_size=1, max_size=3,
)  # fmt: skip
WANTED = st.fixed_dictionaries(
    {"topics": TOPICS, "first": st.integers(1, 40)},
    optional={"machines": st.lists(st.sampled_from(MACHINES), max_size=2), "maxInFlight": st.integers(1, 5)},
)


def expected(kinds: list[tuple[str, str]], wanted: dict[str, Any]) -> list[tuple[int, int]]:
    """Sequence and previous of each event, found the simple way."""
    told, previous = [], 0
    for sequence, (topic, machine) in enumerate(kinds, 1):
        if machine in wanted.get("machines", MACHINES) and any(matches(it, topic) for it in wanted["topics"]):
            if sequence >= wanted["first"]:
                told.append((sequence, previous))
            previous = sequence
    return told


@given(
    st.lists(st.sampled_from(KINDS), max_size=30), st.lists(st.sampled_from(KINDS), max_size=10),
    st.lists(WANTED, min_size=1, max_size=4),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_any_subscription_over_any_journal_is_told_exactly_what_it_wants_with_the_right_previous(
    before: list[tuple[str, str]], after: list[tuple[str, str]], subscriptions: list[dict[str, Any]]
) -> None:
    async def main(folder: Path) -> None:
        async with serving(folder, machines=MACHINES) as served:
            await served.journal.settled(served.journal.append([event(*kind) for kind in before]))
        async with serving(folder, machines=MACHINES, heartbeat_s=600.0) as served:
            clients = []
            for n, wanted in enumerate(subscriptions):
                wanted["first"] = min(wanted["first"], len(before) + 1)
                client = await served.connect()
                clients.append(client)
                place = {"stream": served.journal.stream, "sequence": wanted["first"]}
                consumer = {"consumer": f"c{n}"} if "maxInFlight" in wanted else {}
                more = {key: wanted[key] for key in ("topics", "machines", "maxInFlight") if key in wanted}
                await client.ask("Event.Subscribe", **more, **consumer, **{"from": place})
            for kind in after:
                served.journal.append([event(*kind)])
            for n, (client, wanted) in enumerate(zip(clients, subscriptions, strict=True)):
                whole = expected(before + after, wanted)
                told: list[tuple[int, int]] = []
                while len(told) < len(whole):
                    message = await client.message()
                    if "params" in message:
                        it = message["params"]
                        told.append((it["sequence"], it["previous"]))
                        if "maxInFlight" in wanted:
                            client.write(acknowledgement(f"c{n}", it["stream"], it["sequence"]))
                assert told == whole
                page = await read(client, served.journal.stream, wanted)
                assert [(it["sequence"], it["previous"]) for it in page] == whole
                await client.close()

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))


def acknowledgement(consumer: str, stream: str, sequence: int) -> bytes:
    return request("Event.Acknowledge", "ack", consumer=consumer, stream=stream, sequence=sequence) + b"\n"


async def read(client: Any, stream: str, wanted: dict[str, Any]) -> Any:
    more = {key: wanted[key] for key in ("topics", "machines") if key in wanted}
    place = {"stream": stream, "sequence": wanted["first"]}
    client.write(request("Event.Read", "read", limit=1000, **more, **{"from": place}) + b"\n")
    while (message := await client.message()).get("id") != "read":
        assert "params" not in message, "nothing more was wanted"
    return message["result"]["events"]
