"""An MES developer's first hour: write the Python client, and follow a board of a simulated oven with it."""

import asyncio
import importlib.util
import sys

import pytest

from edgeagent.tools import client
from tests.journeys.plant import plant

SPEED = 20.0


@pytest.fixture
def agent(tmp_path):
    """The generated module, imported under a name of its own."""
    file = tmp_path / "generated_agent.py"
    file.write_text(client.write("python"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("generated_agent", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["generated_agent"] = module
    yield spec.loader.exec_module(module) or module
    del sys.modules["generated_agent"]


@pytest.mark.slow
def test_an_mes_follows_a_board_with_the_generated_client(tmp_path, agent):
    async def go() -> None:
        async with plant(tmp_path, SPEED) as the_plant:
            await the_plant.start_agent()
            http_port = int(the_plant.http.removesuffix("/rpc").rpartition(":")[2])
            mes = agent.Client(http_port=http_port, tcp_port=the_plant.tcp[1])
            ready = await asyncio.to_thread(until_ready, agent, mes)
            the_plant.machine.insert_board("PCB0001", 200.0)
            completed = await asyncio.to_thread(until_completed, agent, mes, ready)
            await asyncio.to_thread(ask_about, agent, mes, completed)

    asyncio.run(go())


def until_ready(agent, mes):
    """The event that says the oven is ready."""
    for event in mes.events(["Status.*"], from_="beginning", retry_s=None):
        if isinstance(event, agent.StatusMachineStatusChangedEvent) and event.data.to == "ready":
            return event
    raise AssertionError("the events ended")


def until_completed(agent, mes, after):
    """The event that says the board left; everything from the place after an event on has come without a hole."""
    place = agent.Place(stream=after.stream, sequence=after.sequence + 1)
    last = after.sequence
    for event in mes.events(["*"], from_=place, retry_s=None):
        if isinstance(event, agent.StatusMeasuredValueChangedEvent):
            assert all(isinstance(it, agent.MeasuredValue) for it in event.data.values)
        elif not isinstance(event, agent.EventHeartbeatEvent):
            assert event.sequence == last + 1
            last = event.sequence
        if isinstance(event, agent.BoardProcessCompletedEvent):
            return event
    raise AssertionError("the events ended")


def ask_about(agent, mes, completed) -> None:
    board = completed.data.board
    assert isinstance(board, agent.BoardRecord)
    assert [it.code for it in board.barcodes] == ["PCB0001"]
    found = mes.board_find(barcode="PCB0001", limit=10)
    assert found.boards == [board]
    assert found.cursor is None
    assert mes.board_get(board.id) == board
    assert len(board.zones) == 24
    assert isinstance(board.profile, agent.ProfileRecord)
    assert board.waves is None
    assert board.exited_at > board.entered_at
    trace = mes.board_get_trace(board.id, max_points=50)
    assert 10 < len(trace.seconds) <= 50
    assert {len(values) for values in trace.zones.values()} == {len(trace.seconds)}
    read = mes.event_read(agent.Place(completed.stream, completed.sequence), limit=1)
    assert read.events == [completed]
    with pytest.raises(agent.AgentError, match="There is no record of a board") as refused:
        mes.board_get("nobody")
    assert (refused.value.kind, refused.value.code, refused.value.retry) == ("notFound", -32006, False)
    with pytest.raises(ConnectionError, match="does not answer"):
        agent.Client(http_port=1).status_get()
