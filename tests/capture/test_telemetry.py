"""Telemetry tells what the plain rule tells: numbers by deadband, texts by change, both by quality and silence."""

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.capture.watch import Telemetry
from edgeagent.model.machine import Machine
from edgeagent.model.samples import Row, show
from firmware_iface import catalog
from tests.core.oracles import Telling

MACHINE = Machine("RO0001", (catalog.builtin("reflow10"),))
GROUP = MACHINE.point("recipe/name").group
POINTS = [point for point in MACHINE.points if point.group == GROUP]
TEXTS = [point.index for point in POINTS if point.is_text]
NUMBERS = [point.index for point in POINTS if not point.is_text]
CHANGES = st.one_of(
    st.tuples(st.sampled_from(TEXTS), st.sampled_from([None, "", "A", "B"])),
    st.tuples(st.sampled_from(NUMBERS), st.floats(0, 2)),
    st.tuples(st.sampled_from(TEXTS + NUMBERS), st.integers(0, 3)),
)


@given(st.lists(st.tuples(st.integers(0, 40), st.lists(CHANGES, max_size=3)), max_size=20))
def test_every_beat_tells_the_values_that_the_plain_rule_tells_in_the_order_of_the_points(beats):
    row = Row(len(MACHINE.points), len(MACHINE.groups))
    telemetry = Telemetry(MACHINE, row)
    plain = Telling([(p.index, p.deadband, p.silence_s, p.is_text) for p in POINTS])
    now_ns = 10**12
    for seconds, changes in beats:
        now_ns += seconds * 10**9
        for column, change in changes:
            if isinstance(change, int):
                row.quality[column] = change
            elif isinstance(change, float):
                row.values[column] = change
            elif change is None:
                row.texts.pop(column, None)
            else:
                row.texts[column] = change
        row.times[GROUP], row.stamps[GROUP] = now_ns, 10**18 + now_ns
        told = plain.due(row.values, row.quality, row.texts, now_ns)
        assert telemetry.update(GROUP, now_ns) == [show(MACHINE, row, MACHINE.points[c], now_ns) for c in told]
