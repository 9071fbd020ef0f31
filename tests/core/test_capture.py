import math
import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent._core.capture import Capture
from edgeagent._core.profile import measure, window_share
from edgeagent._core.ring import Ring
from tests.core.oracles import Oven

NAN = math.nan
SECOND = 1_000_000_000
START = 1_000 * SECOND
MODEL_A = (48.53, 78.2, 502.5, 630.3, 22.22, 25.0)
NO_ROWS = array("q"), array("d"), bytearray()


class Lane:
    """A small oven of 2 heated zones and a cooling zone: belt, five zone columns and oxygen, with its ring."""

    points = 7

    def __init__(self, **changes):
        self.values, self.quality = array("d", [0.0]) * self.points, bytearray(self.points)
        self.layout = {
            "speed": 0, "millimetres_per_second": 10 / 60, "period_ns": SECOND // 10, "inlet_mm": 0.0,
            "zones": [(50.0, 150.0, True, (1, 2)), (170.0, 270.0, True, (3, 4)), (280.0, 380.0, False, (5,))],
            "stay": (0, 6), "thermal": (20.0, 20.0, 90.0, 60.0, 22.0, 25.0),
        }  # fmt: skip
        self.layout |= changes
        self.capture = Capture(self.values, self.quality, **self.layout)
        self.ring = Ring(1000, self.values, self.quality, range(self.points))

    def feed(self, t, values, quality=None):
        self.values[:] = array("d", values)
        self.quality[:] = bytes(quality or len(values))
        self.ring.push(t)
        return self.capture.feed(t)

    def enter(self, t, length):
        return self.capture.enter(t, length, *self.ring.since(t))


class ContestOven(Lane):
    """Eleven zones with two columns each, 70 cm/min, constant setpoints; its last column is the time in s."""

    points = 24

    def __init__(self, **changes):
        zones = [(250 + 355.0 * k, 555 + 355.0 * k, k < 9, (1 + 2 * k, 2 + 2 * k)) for k in range(11)]
        super().__init__(**{"zones": zones, "stay": (0,), "thermal": MODEL_A} | changes)
        self.setpoints = [s for s in [175.0] * 5 + [195.0, 235.0, 255.0, 255.0, 25.0, 25.0] for _ in range(2)]

    def run(self, t_ns, speed=70.0):
        return self.feed(START + t_ns, [speed, *self.setpoints, t_ns * 1e-9])


def flat(figures):
    for part in figures:
        if isinstance(part, tuple):
            yield from flat(part)
        else:
            yield part


def same(figures, others):
    assert list(flat(figures)) == pytest.approx(list(flat(others)), rel=1e-9, abs=2e-9, nan_ok=True)


def a_row(speed=60.0, zones=100.0, oxygen=500.0):
    return [speed, zones, zones, zones, zones, zones, oxygen]


@pytest.mark.parametrize("dt_ns", [SECOND // 10, SECOND // 2, 2 * SECOND])
def test_the_reference_board_is_as_warm_as_the_fitted_model_says(dt_ns):
    oven = ContestOven()
    oven.run(0)
    slot = oven.enter(START, 0.0)
    for t in range(dt_ns, 374 * SECOND, dt_ns):
        oven.run(t)
    felt = dict(zip(*oven.capture.trace(slot), strict=True))
    wanted = {30: 44.78, 60: 100.53, 120: 153.37, 180: 171.95, 240: 213.01, 270: 232.37, 300: 239.60,
              330: 207.13, 360: 160.76}  # fmt: skip
    assert [felt[t * SECOND] for t in wanted] == pytest.approx(list(wanted.values()), abs=0.02)


def test_the_reference_board_has_a_process_window_index_of_84():
    oven = ContestOven(inlet_mm=100.0)
    oven.run(0)
    slot = oven.enter(START, 200.0)
    for t in range(1, 3734):
        oven.run(t * SECOND // 10)
    profile = measure(*oven.capture.trace(slot), 217, 150, 190)
    assert profile.peak == pytest.approx(240.820, abs=0.002)
    assert profile.peak_ns == pytest.approx(294.4 * SECOND, abs=SECOND // 5)
    assert profile.time_above_liquidus == pytest.approx(78.236, abs=0.005)
    assert profile.soak == pytest.approx(98.363, abs=0.005)
    assert (profile.max_rise, profile.max_fall) == pytest.approx((2.175, -1.569), abs=0.005)
    figures = profile.peak, profile.time_above_liquidus, profile.soak, profile.max_rise, profile.max_fall
    limits = (240, 250), (40, 90), (60, 120), (0, 3), (-3, 0)
    shares = [window_share(value, *limit) for value, limit in zip(figures, limits, strict=True)]
    assert shares == pytest.approx([-83.6, 52.9, 27.9, 45.0, -4.6], abs=0.3)
    assert max(map(abs, shares)) == pytest.approx(83.6, abs=0.05)


@pytest.mark.parametrize(("stop_s", "reached_s"), [(0, 43.07), (30, 73.07)])
def test_a_board_reaches_the_middle_of_a_zone_by_the_measured_speed(stop_s, reached_s):
    halves = [(250.0, 402.5, True, (1,)), (402.5, 555.0, True, (2,))]
    oven = ContestOven(zones=halves, period_ns=SECOND // 100)
    centred = ContestOven(zones=[(250.0, 555.0, True, (23,))], period_ns=SECOND // 100)
    for lane in (oven, centred):
        lane.run(0)
        slot = lane.enter(START, 200.0)
        for t in range(1, 7500):
            lane.run(t * SECOND // 100, speed=0.0 if 1000 < t <= 1000 + 100 * stop_s else 70.0)
    entered = oven.capture.figures(slot).zones[1].entered_ns
    assert (entered - START) * 1e-9 == pytest.approx(reached_s, abs=0.01)
    assert 0 <= centred.capture.figures(slot).zones[0].columns[0][4] - reached_s < 0.02


def test_a_board_counts_from_its_entry_though_it_is_known_only_when_its_rear_edge_passed():
    lane = Lane()
    for beat in range(50):
        lane.feed(START + beat * SECOND // 10, a_row(oxygen=100.0 + beat))
    slot = lane.enter(START + SECOND, 40.0)
    figures = lane.capture.figures(slot)
    assert (figures.entered_ns, figures.expected, figures.good, figures.longest_gap_s) == (START + SECOND, 40, 40, 0.0)
    assert figures.place_mm == pytest.approx(39.0)
    assert figures.stay[1] == (40, pytest.approx(129.5), 110.0, 149.0)


def test_a_gap_is_bridged_by_the_trapezoid_and_told():
    lane = Lane()
    lane.feed(START, a_row(60.0))
    slot = lane.enter(START, 0.0)
    lane.feed(START + SECOND, a_row(1e6), [3] * 7)
    lane.feed(START + 2 * SECOND, a_row(NAN))
    assert lane.capture.place(slot) == 0.0
    assert lane.capture.figures(slot).longest_gap_s == 2.0
    lane.feed(START + 4 * SECOND, a_row(120.0))
    assert lane.capture.place(slot) == lane.capture.travel_mm == pytest.approx(60.0)
    figures = lane.capture.figures(slot)
    assert (figures.expected, figures.good, figures.longest_gap_s) == (41, 2, 4.0)


def test_a_zone_without_thermocouples_is_held_five_seconds_then_the_estimate_is_unknown_for_good():
    lane = Lane()
    lane.feed(START, a_row(600.0, 200.0))
    slot = lane.enter(START, 0.0)
    broken = [0, 3, 3, 0, 0, 0, 0]
    for second in range(1, 12):
        lane.feed(START + second * SECOND, a_row(30.0, 200.0), broken if second < 8 else None)
    felt = dict(zip(*lane.capture.trace(slot), strict=True))
    assert [second for second in range(12) if math.isnan(felt[second * SECOND])] == [6, 7, 8, 9, 10, 11]
    assert lane.capture.figures(slot).zones[0].columns[0][0] == 4


def test_nobody_knows_what_a_board_felt_over_more_than_an_hour():
    lane = Lane()
    lane.feed(START, a_row())
    slot = lane.enter(START, 0.0)
    lane.feed(START + 3601 * SECOND, a_row(0.0))
    assert math.isnan(lane.capture.figures(slot).estimate)


def test_boards_behind_a_held_board_stop_at_its_rear_edge():
    lane = Lane()
    lane.feed(START, a_row(60.0))
    first = lane.enter(START, 30.0)
    for second in range(1, 10):
        lane.feed(START + second * SECOND, a_row(60.0))
    second_board = lane.enter(START + 5 * SECOND, 20.0)
    lane.capture.move(first, 100.0)
    lane.capture.hold(first, True)
    for second in range(10, 30):
        lane.feed(START + second * SECOND, a_row(60.0))
    assert (lane.capture.place(first), lane.capture.place(second_board)) == (100.0, 70.0)
    lane.capture.hold(first, False)
    lane.feed(START + 30 * SECOND, a_row(60.0))
    assert (lane.capture.place(first), lane.capture.place(second_board)) == pytest.approx((110.0, 80.0))


def test_a_moved_board_keeps_its_counts_and_leaves_the_zone_it_is_not_in():
    lane = Lane()
    lane.feed(START, a_row(600.0))
    slot = lane.enter(START, 0.0)
    lane.feed(START + SECOND, a_row(600.0))
    before = lane.capture.figures(slot)
    lane.capture.move(slot, 200.0)
    after = lane.capture.figures(slot)
    assert (after.good, after.stay, after.zones[0].columns) == (before.good, before.stay, before.zones[0].columns)
    assert after.zones[0].seconds == pytest.approx(0.5)
    lane.feed(START + 2 * SECOND, a_row(0.0))
    assert lane.capture.figures(slot).zones[1].entered_ns == START + SECOND


def test_a_full_trace_is_thinned_and_still_covers_the_whole_stay():
    lane = Lane(trace_points=5)
    lane.feed(START, a_row())
    slot = lane.enter(START, 0.0)
    for beat in range(1, 100):
        lane.feed(START + beat, a_row())
        times, celsius = lane.capture.trace(slot)
        stride = lane.capture.stride(slot)
        assert list(times) == list(range(0, beat + 1, stride))
        assert len(times) == len(celsius) <= 5
    assert lane.capture.stride(slot) == 32


def test_slots_are_kept_in_order_of_entry_and_are_bounded():
    lane = Lane(slots=2)
    a, b = (lane.capture.enter(t, 10.0, *NO_ROWS) for t in (0, 5))
    with pytest.raises(ValueError, match="all 2 slots are taken"):
        lane.capture.enter(6, 10.0, *NO_ROWS)
    assert lane.capture.leave(a).entered_ns == 0
    c = lane.capture.enter(7, 10.0, *NO_ROWS)
    assert lane.capture.slots() == (b, c)
    lane.capture.leave(b)
    for call in (lane.capture.figures, lane.capture.leave, lane.capture.trace, lane.capture.dump, lane.capture.place):
        with pytest.raises(ValueError, match="holds no board"):
            call(b)
        with pytest.raises(ValueError, match="holds no board"):
            call(-1)


def test_time_going_back_is_refused_and_a_row_counts_once():
    lane = Lane()
    lane.feed(START, a_row())
    slot = lane.enter(START, 10.0)
    assert lane.capture.feed(START) == 1
    assert lane.capture.figures(slot).good == 1
    with pytest.raises(ValueError, match="times must not go back"):
        lane.capture.feed(START - 1)


@pytest.mark.parametrize(("changes", "said"), [
    ({"speed": 7}, "column 7"),
    ({"stay": (-1,)}, "column -1"),
    ({"zones": [(0.0, 10.0, True, (1,)), (5.0, 15.0, True, (2,))]}, "zone 1"),
    ({"zones": [(10.0, 10.0, True, (1,))]}, "zone 0"),
    ({"thermal": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)}, "tau"),
    ({"thermal": (1.0, 1.0, 270.0, 3.0, 4.0, 5.0)}, "ramp ends at 270"),
    ({"slots": 0}, "0 slots"),
    ({"period_ns": 0}, "period 0"),
])  # fmt: skip
def test_a_lane_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Lane(**changes)


def test_rows_of_another_shape_are_refused():
    lane = Lane()
    for values, quality in ((6, 7), (7, 6), (14, 7)):
        rows = array("q", [0]), array("d", [0.0]) * values, bytearray(quality)
        for call in (lane.capture.feed_rows, lambda *rows: lane.capture.enter(0, 1.0, *rows)):
            with pytest.raises(ValueError, match="1 rows of 7 points"):
                call(*rows)
    for length in (-1.0, NAN, math.inf):
        with pytest.raises(ValueError, match="length"):
            lane.capture.enter(0, length, *NO_ROWS)


class Script:
    """A drawn run: rows with gaps, bad qualities and stops, and what is done after each of them."""

    def __init__(self, seed, beats):
        chance = random.Random(seed)
        self.rows, self.done, t = [], [], START
        bad_share, speed = chance.choice([0.0, 0.1, 0.4]), chance.uniform(50, 800)
        for _ in range(beats):
            t += chance.choice([SECOND // 10, SECOND // 10, chance.randrange(1, 6 * SECOND)])
            speed = chance.choice([speed, speed, 0.0, chance.uniform(0, 900)])
            values = [speed, *(chance.choice([chance.uniform(20, 280), NAN if chance.random() < bad_share else 1.0])
                               for _ in range(6))]  # fmt: skip
            quality = [chance.randrange(4) if chance.random() < bad_share else 0 for _ in range(7)]
            self.rows.append((t, values, quality))
            self.done.append((chance.random() < 0.15, chance.uniform(0, 60), chance.random() < 0.1, chance.random()))


scripts = st.builds(Script, st.integers(0, 2**32), st.integers(1, 60))


def live(lane, script, until=None):
    """Feed a script with every board entered at once; yields its slots after each row."""
    slots = []
    told = list(zip(script.rows, script.done, strict=True))[:until]
    for (t, values, quality), (enters, length, turns, which) in told:
        lane.feed(t, values, quality)
        if enters:
            slots.append([lane.enter(t, length), False])
        if turns and slots:
            chosen = slots[int(which * len(slots))]
            chosen[1] = not chosen[1]
            lane.capture.hold(*chosen)
    return [slot for slot, _ in slots]


@settings(max_examples=150, deadline=None)
@given(scripts)
def test_every_figure_is_what_plain_python_finds(script):
    lane = Lane()
    slots = live(lane, script)
    oven, boards = Oven(**lane.layout), []
    for (t, values, quality), (enters, length, turns, which) in zip(script.rows, script.done, strict=True):
        oven.feed(t, values, quality)
        if enters:
            boards.append(oven.enter(t, length))
            oven.first_row(boards[-1], t, values, quality)
        if turns and boards:
            board = boards[int(which * len(boards))]
            board.held = board.standing = not board.held
    assert lane.capture.travel_mm == pytest.approx(oven.travel)
    for slot, board in zip(slots, boards, strict=True):
        same(lane.capture.figures(slot), oven.figures(board))
        times, celsius = lane.capture.trace(slot)
        assert list(times) == [t for t, _ in board.trace]
        assert list(celsius) == pytest.approx([c for _, c in board.trace], rel=1e-9, nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(scripts, st.floats(0, 1), st.floats(0, 1))
def test_a_board_entered_by_replay_is_a_board_that_was_fed_live(script, early, late):
    entry, known = sorted(int(share * len(script.rows)) for share in (early * 0.999, late * 0.999))
    fed, replayed = Lane(), Lane()
    slots = []
    for i, row in enumerate(script.rows):
        for lane, when in ((fed, entry), (replayed, known)):
            lane.feed(*row)
            if i == when:
                slots.append(lane.enter(script.rows[entry][0], 30.0))
    assert list(flat(replayed.capture.figures(slots[1]))) == pytest.approx(
        list(flat(fed.capture.figures(slots[0]))), rel=1e-15, abs=0, nan_ok=True)
    assert replayed.capture.trace(slots[1])[0] == fed.capture.trace(slots[0])[0]


@settings(max_examples=100, deadline=None)
@given(scripts, st.floats(0, 1), st.integers(-2000 * SECOND, 2000 * SECOND))
def test_a_lane_dumped_and_loaded_goes_on_as_if_it_had_never_stopped(script, share, shift):
    stop = int(share * len(script.rows))
    before, after = Lane(), Lane()
    slots = live(before, script, stop)
    travel, good_ns, speed = before.capture.lane_state()
    after.capture.set_travel(travel, good_ns + shift, speed)
    kept = [(before.capture.dump(slot), *before.capture.trace(slot)) for slot in slots]
    loaded = [after.capture.load(*board, shift_ns=shift) for board in kept]
    for t, values, quality in script.rows[stop:]:
        before.feed(t, values, quality)
        after.feed(t + shift, values, quality)
    assert after.capture.lane_state()[::2] == pytest.approx(before.capture.lane_state()[::2], rel=1e-12, nan_ok=True)
    for old, new in zip(slots, loaded, strict=True):
        wanted, got = before.capture.figures(old), after.capture.figures(new)
        back = [z._replace(entered_ns=z.entered_ns - shift if z.entered_ns != -1 else -1) for z in got.zones]
        same(got._replace(entered_ns=got.entered_ns - shift, last_ns=got.last_ns - shift, zones=tuple(back)), wanted)
        assert after.capture.trace(new)[0] == before.capture.trace(old)[0]


@settings(max_examples=50, deadline=None)
@given(scripts)
def test_many_rows_at_once_are_the_same_rows_one_by_one(script):
    one, many = Lane(), Lane()
    slots = [lane.capture.enter(script.rows[0][0], 20.0, *NO_ROWS) for lane in (one, many)]
    for row in script.rows:
        one.feed(*row)
    many.capture.feed_rows(*one.ring.since(0))
    same(many.capture.figures(slots[1]), one.capture.figures(slots[0]))
    assert bytes(many.values) == bytes(one.values)


def a_dump():
    lane = Lane()
    live(lane, Script(3, 60))
    slot = lane.capture.slots()[0]
    return lane, slot, lane.capture.dump(slot)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused(data):
    _, _, state = a_dump()
    damaged = bytearray(state)
    kind = data.draw(st.sampled_from(["flip", "cut", "longer", "noise"]))
    if kind == "flip":
        damaged[data.draw(st.integers(0, len(state) - 1))] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del damaged[data.draw(st.integers(0, len(state) - 1)):]
    elif kind == "longer":
        damaged += data.draw(st.binary(min_size=1))
    else:
        damaged[:] = data.draw(st.binary(max_size=len(state)))
    lane = Lane()
    with pytest.raises(ValueError, match="board state"):
        lane.capture.load(bytes(damaged), array("q"), array("d"))
    assert lane.capture.slots() == ()


def test_a_dump_of_another_layout_or_with_another_trace_is_refused():
    lane, slot, state = a_dump()
    with pytest.raises(ValueError, match="another map"):
        Lane(stay=(0,)).capture.load(state, *lane.capture.trace(slot))
    with pytest.raises(ValueError, match="as many of each"):
        Lane().capture.load(state, array("q", [1]), array("d"))
    with pytest.raises(ValueError, match="at most 2"):
        Lane(trace_points=2).capture.load(state, array("q", [1, 2, 3]), array("d", [1.0, 2.0, 3.0]))


def test_an_uncertain_value_is_no_part_of_any_figure_and_an_uncertain_speed_moves_nothing():
    sure, spoiled = Lane(), Lane()
    doubt = bytes([0, *[1] * 6])
    for lane in (sure, spoiled):
        lane.feed(START, a_row())
        lane.enter(START, 20.0)
    for n in range(1, 100):
        is_spoiled = n % 7 == 3
        sure.feed(START + n * SECOND // 10, [60.0, *[NAN] * 6] if is_spoiled else a_row())
        spoiled.feed(START + n * SECOND // 10, a_row(zones=900.0, oxygen=9e9) if is_spoiled else a_row(),
                     doubt if is_spoiled else None)
    same(spoiled.capture.figures(0), sure.capture.figures(0))
    before = spoiled.capture.travel_mm
    spoiled.feed(START + 10 * SECOND, a_row(speed=9000.0), bytes([1, *[0] * 6]))
    assert spoiled.capture.travel_mm == before
