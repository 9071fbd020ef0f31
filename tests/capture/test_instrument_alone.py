"""A machine that is one instrument: no lane, no zone, no rule for a state."""

from edgeagent.capture.pipeline import Pipeline
from firmware_iface import catalog
from tests.capture.watched import Watched


def test_an_instrument_alone_is_a_machine_with_values_and_no_state():
    watched = Watched(catalog.builtin("eurotherm2000"))
    watched.run(10)
    assert watched.events == []
    status = watched.pipeline.status(1_000_000_000_000 + 10_000_000_000)
    assert (status.connected, status.state, status.reason) == (True, "unknown", "its map has no rule for a state")
    assert (status.lanes, status.boards) == ((), 0)
    assert watched.value("controller/1/temperature") > 0


def test_an_instrument_alone_goes_on_after_a_restart():
    watched = Watched(catalog.builtin("eurotherm2000"))
    watched.run(3)
    again = Pipeline.restored(watched.machine, watched.row, watched.pipeline.checkpoint(), 0, ())
    assert again.status(1_000_000_000_000 + 3_000_000_000).state == "unknown"
    assert again.boards() == ()
